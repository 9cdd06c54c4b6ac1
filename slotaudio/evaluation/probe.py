"""Linear probe: how well do features tell whose voice they are of, when all that may be learned is a line?"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, Int

from slotaudio.data.speech import SpeechFolder
from slotaudio.errors import UserError
from slotaudio.evaluation.hearing import audible, decibels, following, loudest
from slotaudio.evaluation.logistic import Logistic, fit
from slotaudio.representation import Embedder, joined

SPANS = ("frame", "window", "utterance")
"""How much of a voice an example shows."""

_PENALTIES = (1e-1, 1e-2, 1e-3, 1e-4)
_BLOCK = 65536
_Z = 1.96


@dataclass(frozen=True)
class Probed:
    """How often the voice was told right, on utterances that nothing was fitted on."""

    features: str
    span: str
    dim: int
    """Numbers per example."""
    accuracy: float
    low: float
    high: float
    """95 % confidence interval that takes utterances, not their steps, as independent."""
    chance: float
    """Accuracy of naming the speaker with most examples, whatever is heard."""
    speakers: int
    utterances: int
    examples: int


@dataclass(frozen=True)
class _Heard:
    """What is kept of one utterance: vectors of the steps in which somebody speaks."""

    speaker: int
    fold: int
    vectors: Float[np.ndarray, "steps dim"]
    times: Float[np.ndarray, " steps"]


def probe(
    folder: SpeechFolder,
    embedders: Mapping[str, Embedder],
    spans: Sequence[str] = SPANS,
    *,
    window: float = 0.25,
    folds: int = 5,
    utterances: int = 20,
    examples: int = 20000,
    mixed: bool = False,
    seed: int = 0,
    progress: Callable[[float], None] | None = None,
) -> Iterator[Probed]:
    """Fit a multinomial logistic regression on each kind of features and yield what it gets right.

    Each speaker's utterances are dealt out to `folds` parts. Every part is tested once, by a classifier that was
    fitted on the others; the weight of its penalty is the one of four that does best on one of them. Speakers are
    those of the folder that have at least two utterances. What is heard are the steps within 30 dB of the
    utterance's loudest; of slots, the one whose output is loudest at that step.

    With `mixed`, another speaker talks over every utterance, just as loud, and only steps in which both are heard
    count. The question is then whose voice a slot is: the one is taken whose output follows the level of the
    utterance against that of the other. Features that are no sets hear both at once.

    Recordings of one speaker share more than the voice (room, microphone, the same day): compare features, not
    figures of different folders.

    Args:
        folder: of the speakers.
        embedders: by the name of their features (`slotaudio.representation.embedder`).
        spans: ``"frame"`` (each step), ``"window"`` (mean and standard deviation of the steps of `window` seconds)
            and ``"utterance"`` (of all its steps).
        window: in seconds.
        folds: 2 or more.
        utterances: of each speaker, at most; drawn by chance.
        examples: that a classifier is fitted on, drawn by chance where there are more.
        mixed: let another speaker talk over every utterance: one of the same fold, so that no utterance is both
            fitted on and tested.
        seed: decides what is drawn.
        progress: called with the share that is done, 0 to 1.

    Raises:
        UserError: an option out of range, fewer than two speakers with two utterances, or nobody is heard.
    """
    _check(spans, window, folds=folds, utterances=utterances, examples=examples)
    rng = np.random.default_rng(seed)
    dealt = _deal(folder, folds, utterances, rng)
    over = _partners(dealt, rng) if mixed else [None] * len(dealt)
    done, total = 0, len(embedders) * len(dealt)
    for name, embedder in embedders.items():
        heard: list[_Heard] = []
        for (speaker, fold, utterance), other in zip(dealt, over, strict=True):
            heard += _hear(embedder, folder, utterance, other, speaker, fold)
            done += 1
            if progress is not None:
                progress(done / total)
        if not heard:
            raise UserError(
                f"{folder.path}: {'no two voices are ever heard together' if mixed else 'nobody is heard'} in "
                f"{len(dealt)} utterances; give a folder of recordings that are not silent"
            )
        for span in spans:
            yield _probe(name, span, [_pooled(each, span, window) for each in heard], folds, examples, seed)


def _check(spans: Sequence[str], window: float, **numbers: int) -> None:
    for span in spans:
        if span not in SPANS:
            raise UserError(f"span {span!r} is not known; choose {', '.join(SPANS)}")
    if not spans:
        raise UserError(f"no span: choose from {', '.join(SPANS)}")
    if window <= 0:
        raise UserError(f"window = {window:g}: give a window of more than 0 seconds")
    for name, number in numbers.items():
        if number < 2:
            raise UserError(f"{name} = {number}: give 2 or more")


def _deal(folder: SpeechFolder, folds: int, utterances: int, rng: np.random.Generator) -> list[tuple[int, int, str]]:
    """Return speaker, fold and name of every utterance."""
    kept = {speaker: files for speaker, files in folder.speakers.items() if len(files) > 1}
    if len(kept) < 2:
        raise UserError(
            f"{folder.path}: {len(kept)} of {len(folder.speakers)} speakers have two utterances or more: a probe needs "
            "two such speakers at least, to fit on some of their utterances and test on the others"
        )
    dealt = []
    for speaker, files in enumerate(kept.values()):
        first = int(rng.integers(folds))
        for rank, index in enumerate(rng.permutation(len(files))[:utterances]):
            dealt.append((speaker, (first + rank) % folds, files[index]))
    return dealt


def _partners(dealt: Sequence[tuple[int, int, str]], rng: np.random.Generator) -> list[str]:
    """Return for every utterance one of another speaker in the same fold, or failing that in any."""
    partners = []
    for speaker, fold, _ in dealt:
        others = [name for who, where, name in dealt if who != speaker and where == fold]
        others = others or [name for who, _, name in dealt if who != speaker]
        partners.append(others[int(rng.integers(len(others)))])
    return partners


def _hear(
    embedder: Embedder, folder: SpeechFolder, utterance: str, other: str | None, speaker: int, fold: int
) -> list[_Heard]:
    wave = torch.from_numpy(folder.read(utterance, 0, folder.length(utterance)))
    over = torch.zeros_like(wave)
    if other is not None:
        spoken_over = torch.from_numpy(folder.read(other, 0, folder.length(other)))
        over = spoken_over.repeat(-(-len(wave) // len(spoken_over)))[: len(wave)]
        over = over * (wave.norm() / over.norm().clamp_min(1e-9))
    embedding = joined(list(embedder((wave + over)[None].split(_BLOCK, dim=1), folder.rate)))
    steps = (folder.rate, embedding.times, embedding.window)
    spoken = audible(wave, *steps)
    if other is not None:
        spoken &= audible(over, *steps)  # otherwise who falls silent gives away whom is meant
    if not spoken.any():
        return []
    prevalence = decibels(wave, *steps) - decibels(over, *steps)
    vectors = loudest(embedding) if other is None else following(embedding, prevalence)
    return [_Heard(speaker, fold, vectors[spoken], embedding.times[spoken])]


def _pooled(heard: _Heard, span: str, window: float) -> _Heard:
    """Turn steps into examples: themselves, or mean and deviation of those that belong together."""
    if span == "frame":
        return heard
    group = np.zeros(len(heard.times)) if span == "utterance" else np.floor(heard.times / window + 1e-6)
    parts = [heard.vectors[group == number] for number in np.unique(group)]
    pooled = np.stack([np.concatenate([part.mean(axis=0), part.std(axis=0)]) for part in parts])
    return _Heard(heard.speaker, heard.fold, pooled, heard.times[: len(parts)])


def _probe(name: str, span: str, heard: Sequence[_Heard], folds: int, most: int, seed: int) -> Probed:
    heard = _without_constants(heard)
    speakers = 1 + max(each.speaker for each in heard)
    rng = np.random.default_rng([seed, 1])
    right, counts = np.zeros(len(heard)), np.array([len(each.vectors) for each in heard])
    for fold in range(folds):
        tested = [number for number, each in enumerate(heard) if each.fold == fold]
        fitted = [each for each in heard if each.fold != fold]
        if not tested or not fitted:
            continue
        classifier = _fit(fitted, (fold + 1) % folds, speakers, most, rng)
        for number in tested:
            right[number] = (classifier.predict(heard[number].vectors) == heard[number].speaker).sum()
    low, high = _interval(right, counts)
    per_speaker = np.bincount([each.speaker for each in heard], weights=counts, minlength=speakers)
    return Probed(
        features=name,
        span=span,
        dim=heard[0].vectors.shape[1],
        accuracy=float(right.sum() / counts.sum()),
        low=low,
        high=high,
        chance=float(per_speaker.max() / counts.sum()),
        speakers=speakers,
        utterances=len(heard),
        examples=int(counts.sum()),
    )


def _fit(heard: Sequence[_Heard], validation: int, speakers: int, most: int, rng: np.random.Generator) -> Logistic:
    """Choose the penalty on one fold, then fit on all of them."""
    inner = [each for each in heard if each.fold != validation]
    outer = [each for each in heard if each.fold == validation]
    best = _PENALTIES[len(_PENALTIES) // 2]
    if inner and outer:
        features, labels = _examples(inner, most, rng)
        true_features, true_labels = _examples(outer, most, rng)
        scores, start = [], None
        for penalty in _PENALTIES:
            classifier = fit(features, labels, speakers, penalty, start)
            start = classifier.weights
            scores.append((classifier.predict(true_features) == true_labels).mean())
        best = _PENALTIES[int(np.argmax(scores))]
    features, labels = _examples(heard, most, rng)
    return fit(features, labels, speakers, best)


def _examples(
    heard: Sequence[_Heard], most: int, rng: np.random.Generator
) -> tuple[Float[np.ndarray, "examples dim"], Int[np.ndarray, " examples"]]:
    features = np.concatenate([each.vectors for each in heard])
    labels = np.repeat([each.speaker for each in heard], [len(each.vectors) for each in heard])
    if len(features) > most:
        kept = rng.choice(len(features), most, replace=False)
        features, labels = features[kept], labels[kept]
    return features, labels


def _without_constants(heard: Sequence[_Heard]) -> list[_Heard]:
    """Leave out numbers that never change, such as the deviation of windows that hold one step."""
    first = heard[0].vectors[0]
    changes = np.any([(each.vectors != first).any(axis=0) for each in heard], axis=0)
    return [replace(each, vectors=each.vectors[:, changes]) for each in heard]


def _interval(right: Float[np.ndarray, " utterances"], counts: Int[np.ndarray, " utterances"]) -> tuple[float, float]:
    """Return Wilson's interval for as many independent examples as would vary as much as the utterances do."""
    total, number = counts.sum(), len(counts)
    share = right.sum() / total
    variance = np.square(right - share * counts).sum() * number / max(1, number - 1) / total**2
    # where all are right or all are wrong, nothing is known of how the examples of an utterance go together
    independent = share * (1 - share) / variance if variance > 0 else number
    middle = (share + _Z**2 / (2 * independent)) / (1 + _Z**2 / independent)
    half = _Z / (1 + _Z**2 / independent) * np.sqrt(share * (1 - share) / independent + _Z**2 / (4 * independent**2))
    return float(max(0.0, middle - half)), float(min(1.0, middle + half))
