"""What PASE's encoders learned: their workers on speakers never heard, and who speaks from a linear probe.

    python benchmarks/pase.py runs/pase-small runs/pase-plus-small --speech path/to/others
    python benchmarks/pase.py runs/pase-small --speech path/to/others --rooms path/to/rooms --noises path/to/noises

The folders are those of `slotaudio train` with the recipes of slotaudio-pase; the speech is of speakers that were not
trained on. Prints Markdown; nothing is drawn from anywhere but fixed seeds.
"""

import argparse
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from slotaudio.data.batches import collate
from slotaudio.data.bundled import speech as bundled
from slotaudio.data.folder import FolderMixtures
from slotaudio.data.speech import SpeechFolder
from slotaudio.evaluation.hearing import audible
from slotaudio.evaluation.logistic import Logistic, fit
from slotaudio.evaluation.probe import probe
from slotaudio.model import SlotModel
from slotaudio.recipe import load_recipe
from slotaudio.representation import Embedder, embedder, joined
from slotaudio.types import Batch
from slotaudio_pase.contamination import Contamination
from slotaudio_pase.objective import PaseWorkers
from slotaudio_pase.workers import Regression

RATE = 16000
NEVER = dict.fromkeys(("reverberation", "overlap", "noise", "clipping", "chopping", "band_drop", "narrow_band"), 0.0)


@dataclass
class Run:
    """A training run: what it started from, and what it came to."""

    name: str
    step: int
    untrained: SlotModel
    trained: SlotModel
    fresh: PaseWorkers
    workers: PaseWorkers


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, help="folders of slotaudio train")
    parser.add_argument("--speech", required=True, help="folder of speakers that were not trained on")
    parser.add_argument(
        "--mixtures", type=int, default=200, help="pairs of utterances that the workers are asked about"
    )
    parser.add_argument("--folds", type=int, default=5, help="of the probe")
    parser.add_argument("--examples", type=int, default=10000, help="that a probe is fitted on, at most")
    parser.add_argument("--rooms", help="folder of impulse responses; synthetic ones by default")
    parser.add_argument("--noises", help="folder of noises; synthetic ones by default")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    folder = SpeechFolder(options.speech, RATE)
    folder.preload()
    runs = [load(path) for path in options.runs]
    for run in runs:
        print_workers(run, options.speech, options.mixtures)
    features: dict[str, Embedder] = {
        "MFCC, 20": embedder("mfcc"),
        "log-mel, 40": embedder({"name": "log_mel", "bands": 40}),
    }
    for run in runs:
        features[f"{run.name}, untrained"] = embedder("tokens", run.untrained)
        features[f"{run.name}, {run.step:,} steps"] = embedder("tokens", run.trained)
    print_probes(folder, features, options.folds, options.examples)
    print_robustness(folder, features, options)


def load(path: Path) -> Run:
    """Build a run's model and workers twice: as they started, and as they ended."""
    recipe = load_recipe(path / "recipe.toml")
    checkpoint = torch.load(path / "last.ckpt", map_location="cpu", weights_only=True)
    torch.manual_seed(recipe.train.seed)
    untrained = recipe.model()
    fresh = recipe.objective(untrained)
    trained, workers = deepcopy(untrained), deepcopy(fresh)
    for part, prefix in ((trained, "model."), (workers, "objective.")):
        state = checkpoint["state_dict"]
        part.load_state_dict({key.removeprefix(prefix): state[key] for key in state if key.startswith(prefix)})
    # untrained workers are asked about the same standardised targets
    statistics = {key: value for key, value in workers.state_dict().items() if ".standardise." in key}
    fresh.load_state_dict(statistics, strict=False)
    settle(untrained)
    name = str(recipe.table["encoder"]["name"])
    return Run(name, checkpoint["global_step"], untrained.eval(), trained.eval(), fresh.eval(), workers.eval())


@torch.no_grad()
def settle(model: SlotModel) -> None:
    """Fit the batch norms of an encoder that was never trained on a few voices, so that its layers are in scale."""
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm1d):
            layer.momentum = None  # the plain mean over what follows
            layer.reset_running_stats()
    model.train()
    voices = SpeechFolder(bundled("train"))
    for utterances in voices.speakers.values():
        wave = voices.read(utterances[0], 0, min(voices.length(utterances[0]), 3 * voices.rate))
        model.encode(torch.from_numpy(wave)[None, None])


def batches(speech: str, mixtures: int) -> Iterator[Batch]:
    data = FolderMixtures(speech, seconds=3.0, sources=2, size=mixtures, seed=1, fixed=True)
    for first in range(0, mixtures, 8):
        yield collate([data[index] for index in range(first, min(mixtures, first + 8))])


def print_workers(run: Run, speech: str, mixtures: int) -> None:
    """Print what each worker misses on unseen speakers: before training, after, and without listening."""
    found: dict[str, list[tuple[float, float, float]]] = {}
    with torch.no_grad():
        for number, batch in enumerate(batches(speech, mixtures)):
            run.fresh.seed = run.workers.seed = number  # other chunks in each batch
            before, after = run.fresh(run.untrained, batch), run.workers(run.trained, batch)
            deaf = ignorant(run.workers, batch)
            for name in before:
                found.setdefault(name, []).append((float(before[name]), float(after[name]), deaf.get(name, np.nan)))
    print(f"## Workers of `{run.name}` on speakers never heard\n")
    print(f"{run.step:,} steps; {mixtures} pairs of utterances; ± is a 95 % interval over batches of 8.\n")
    print("| worker | without listening | untrained | trained |\n|---|---|---|---|")
    for name, values in found.items():
        if name != "loss" and not name.endswith("_accuracy"):
            before, after, deaf = np.mean(values, axis=0)
            print(f"| {name} | {deaf:.3f} | {before:.3f} | {after:.3f} |")
    print("\n| right answers | chance | untrained | trained |\n|---|---|---|---|")
    for name, values in found.items():
        if name.endswith("_accuracy"):
            mean, error = np.mean(values, axis=0), 1.96 * np.std(values, axis=0, ddof=1) / np.sqrt(len(values))
            shares = " | ".join(f"{mean[i]:.1%} ± {error[i]:.1%}" for i in (0, 1))
            print(f"| {name.removesuffix('_accuracy')} | 50 % | {shares} |")
    print(flush=True)


def ignorant(workers: PaseWorkers, batch: Batch) -> dict[str, float]:
    """Return the losses of workers that know the targets' means only, or call every pair even."""
    generator = torch.Generator().manual_seed(workers.seed)
    wave = workers._chunks(batch.sources, generator)[0].flatten(0, 1)[:, 0]
    losses = {}
    for name, head in workers.heads.items():
        losses[name] = float(np.log(2))
        if isinstance(head, Regression):
            wanted = head.standardise(head.described(wave))
            losses[name] = float(wanted.abs().mean() if head.absolute else wanted.square().mean())
    return losses


def print_probes(folder: SpeechFolder, features: Mapping[str, Embedder], folds: int, examples: int) -> None:
    """Print what a linear classifier makes of the features."""
    found = list(probe(folder, features, ("frame", "window"), window=0.25, folds=folds, examples=examples))
    first = found[0]
    print("## Who speaks?\n")
    print(
        f"{first.speakers} speakers, {first.utterances} utterances, {folds} folds; a frame is 10 ms, 250 ms are the "
        "mean and the standard deviation of their frames. In brackets the 95 % interval over utterances.\n"
    )
    print("| features | numbers per frame | frame | 250 ms |\n|---|---|---|---|")
    for name in features:
        frame, window = (
            next(row for row in found if (row.features, row.span) == (name, s)) for s in ("frame", "window")
        )
        cells = " | ".join(f"{row.accuracy:.1%} ({row.low:.1%} to {row.high:.1%})" for row in (frame, window))
        print(f"| {name} | {frame.dim} | {cells} |")
    print(f"\nChance: {first.chance:.1%}.\n", flush=True)


def print_robustness(folder: SpeechFolder, features: Mapping[str, Embedder], options: Any) -> None:
    """Print how a classifier of frames that was fitted on clean speech does on speech that was spoiled."""
    real: dict[str, Any] = {"rooms": options.rooms, "noises": options.noises}
    conditions = {
        "clean": Contamination(**NEVER),
        "all but overlap": Contamination(overlap=0.0, **real),
        "reverberation": Contamination(**{**NEVER, "reverberation": 1.0}, **real),
        "noise, 5 dB": Contamination(**{**NEVER, "noise": 1.0}, noise_snr=(5.0,), **real),
        "band drop": Contamination(**{**NEVER, "band_drop": 1.0}),
        "below 4 kHz only": Contamination(**{**NEVER, "narrow_band": 1.0}),
        "clipping at 0.3": Contamination(**{**NEVER, "clipping": 1.0}, clip_factors=(0.3,)),
    }
    voices = [[clean(folder, file) for file in files] for files in folder.speakers.values()]
    tested = [(speaker, wave) for speaker, waves in enumerate(voices) for wave in waves[-3:]]
    spoiled = {
        condition: [spoil(wave, torch.Generator().manual_seed(number)) for number, (_, wave) in enumerate(tested)]
        for condition, spoil in conditions.items()
    }
    print("## Spoiled speech\n")
    print(
        "Frames again, fitted on all but the last three utterances of each speaker, tested on those, spoiled; in "
        "brackets the change in points.\n"
    )
    print(f"| features | {' | '.join(conditions)} |\n|---|{'---|' * len(conditions)}")
    for name, features_of in features.items():
        fitted = [
            (heard(features_of, wave, wave), speaker) for speaker, waves in enumerate(voices) for wave in waves[:-3]
        ]
        classifier = classify(fitted, len(voices), options.examples)
        shares = []
        for waves in spoiled.values():
            right = total = 0
            for (speaker, wave), now in zip(tested, waves, strict=True):
                vectors = heard(features_of, wave, now)
                right += int((classifier.predict(vectors) == speaker).sum())
                total += len(vectors)
            shares.append(right / total)
        drops = [f"{share:.1%} ({100 * (share - shares[0]):+.1f})" for share in shares[1:]]
        print(f"| {name} | {shares[0]:.1%} | {' | '.join(drops)} |", flush=True)


def clean(folder: SpeechFolder, file: str) -> Tensor:
    return torch.from_numpy(folder.read(file, 0, folder.length(file)))[None]


def heard(features: Embedder, wave: Tensor, spoiled: Tensor) -> np.ndarray:
    """Return the vectors of the frames in which somebody speaks; which these are is told from the clean speech."""
    embedding = joined(list(features([spoiled], RATE)))
    return embedding.vectors[audible(wave[0], RATE, embedding.times, embedding.window), 0]


def classify(fitted: list[tuple[np.ndarray, int]], speakers: int, examples: int) -> Logistic:
    vectors = np.concatenate([each for each, _ in fitted])
    labels = np.concatenate([np.full(len(each), speaker) for each, speaker in fitted])
    kept = np.random.default_rng(0).permutation(len(vectors))[:examples]
    return fit(vectors[kept], labels[kept], speakers)


if __name__ == "__main__":
    main()
