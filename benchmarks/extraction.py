"""How often an example picks its speaker out of a mixture, and how often it finds somebody who is not there.

    python benchmarks/extraction.py path/to/speech
    python benchmarks/extraction.py path/to/speech --mixtures 50 --model runs/mine/model

The folder is speaker/utterance.flac with speakers of three utterances or more. Two speakers talk all the time; the
examples are other utterances of theirs, and one of a speaker who is not there. Prints Markdown.
"""

import argparse
import platform
import random
import sys

import numpy as np
import torch

from slotaudio import Separator
from slotaudio.data.folder import FolderMixtures
from slotaudio.data.speech import SpeechFolder
from slotaudio.evaluation.hearing import audible, loudest
from slotaudio.metrics import si_sdr
from slotaudio.representation import joined
from slotaudio.representation.slots import Steps
from slotaudio.separation.extraction import LEAST, Voices, same_voice, voice_of
from slotaudio.separation.oracle import oracle


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("speech", help="folder with one folder per speaker")
    parser.add_argument("--mixtures", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=6.0, help="of a mixture and of an example, at most")
    parser.add_argument("--model", default="default", help="bundled name, folder or hub name; '' for ideal masks only")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    folder = SpeechFolder(options.speech, resample=True)
    mixtures = FolderMixtures(
        options.speech, seconds=options.seconds, size=options.mixtures, seed=options.seed, fixed=True, resample=True
    )
    draw = random.Random(options.seed)
    model = Separator.from_pretrained(options.model) if options.model else None
    found: dict[str, list[tuple[bool, float, float]]] = {}
    try:
        for index in range(len(mixtures)):
            compare(found, mixtures, index, folder, draw, model, options)
            print(f"\r{index + 1} of {len(mixtures)}", end="", flush=True, file=sys.stderr)
    except KeyboardInterrupt:
        pass  # what was measured is reported
    report(found, options)


def compare(found, mixtures, index, folder, draw, model, options) -> None:
    """Try three examples on one mixture."""
    mixture, sources, _ = mixtures[index]
    plan = mixtures.plan(index)
    used = {take.utterance for take in plan.takes}
    present = [take.speaker for take in plan.takes]
    absent = draw.choice([speaker for speaker in folder.speakers if speaker not in present])
    waves = [
        example(folder, draw.choice([name for name in folder.speakers[speaker] if name not in used]), options.seconds)
        for speaker in (*present, absent)
    ]
    knowing = Separator(oracle(sources[None], "stft"))
    knowing.model.decoder.rewind(knowing.framing)
    by_voice(found, "voice, ideal masks", knowing, mixture, sources, waves)
    if model is not None:
        by_voice(found, f"voice, outputs of `{options.model}`", model, mixture, sources, waves, options.model)


def example(folder: SpeechFolder, utterance: str, seconds: float) -> torch.Tensor:
    """Read the beginning of an utterance: ``1 time``."""
    length = min(folder.length(utterance), round(seconds * folder.rate))
    return torch.from_numpy(folder.read(utterance, 0, length))[None]


def by_voice(found, name, separator, mixture, sources, examples, slots_of="") -> None:
    """Compare as `slotaudio extract` does, and by the slots too."""
    steps = Steps(separator)
    outputs = separator(mixture, 16000, observer=steps.observe).sources
    voices = Voices(16000, separator.sample_rate)
    voices.push(outputs)
    said = voices.finish()
    scores = [same_voice(voice_of(wave, 16000, separator.sample_rate), said) for wave in examples]
    keep(found, name, outputs, sources, scores)
    if slots_of:
        slots = joined(list(steps.finished(mixture.shape[-1] / 16000, last=True)))
        keep(found, f"slots of `{slots_of}`", outputs, sources, by_slots(separator, slots, examples))


def by_slots(separator, slots, examples) -> list[torch.Tensor]:
    """Return cosines of mean slots, relative to the mean of the mixture's."""
    weights = 10 ** (slots.level / 20)
    means = (slots.vectors * weights[..., None]).sum(axis=0) / weights.sum(axis=0)[:, None]
    means -= means.mean(axis=0)
    scores = []
    for wave in examples:
        heard = separator.slots(wave, 16000, attention=False)
        spoken = audible(wave[0], 16000, heard.times, heard.window)
        voice = loudest(heard)[spoken].mean(axis=0) - slots.vectors.mean(axis=(0, 1))
        scores.append(torch.from_numpy(means @ voice / np.linalg.norm(means, axis=1) / np.linalg.norm(voice)))
    return scores


def keep(found, name, outputs, sources, scores) -> None:
    """Note of each example of somebody present whether the output that is best for them was picked."""
    quality = torch.stack([torch.stack([si_sdr(output, source).mean() for source in sources]) for output in outputs])
    straight = quality[0, 0] + quality[1, 1] >= quality[0, 1] + quality[1, 0]
    stranger = float(scores[-1].max())
    for speaker, score in enumerate(scores[:-1]):
        right = speaker if straight else 1 - speaker
        found.setdefault(name, []).append((int(score.argmax()) == right, float(score.max()), stranger))


def report(found, options) -> None:
    """Print one line per way of comparing."""
    count = len(next(iter(found.values()))) // 2
    print(
        f"\n{count} mixtures of {options.seconds:g} s, two speakers all the time, seed {options.seed}, "
        f"{platform.machine()}, {torch.get_num_threads()} thread(s)\n"
    )
    print("| by | right output | 95 % | accepted, of the right ones | accepted, of strangers |")
    print("|---|---|---|---|---|")
    for name, trials in found.items():
        right = np.array([trial[0] for trial in trials])
        share, half = right.mean(), 1.96 * np.sqrt(max(right.mean() * (1 - right.mean()), 1 / len(right)) / len(right))
        accepted = stranger = "–"
        if name.startswith("voice"):
            accepted = f"{np.mean([score >= LEAST for was_right, score, _ in trials if was_right]):.0%}"
            stranger = f"{np.mean([score >= LEAST for _, _, score in trials[::2]]):.0%}"
        print(f"| {name} | {share:.1%} | ±{half:.1%} | {accepted} | {stranger} |")


if __name__ == "__main__":
    main()
