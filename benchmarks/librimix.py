"""Mixtures on the fly: are they LibriMix's to the last bit, how many come per second, and how many GPUs is that for?

    python benchmarks/librimix.py path/to/LibriSpeech path/to/LibriMix/metadata --subset train-100 \
        --output docs/results/librimix.md

The first argument may also be a folder with one folder per speaker that holds some of the list's utterances; mixtures
whose utterances are missing are left out. The official generator is stated once more here, on whole files.
"""

import argparse
import platform
import shlex
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile
import torch
from scipy.signal import resample_poly
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

from slotaudio.data.folder import FolderMixtures
from slotaudio.data.librimix import LibriMix
from slotaudio.data.librimix_listed import ListedMixtures
from slotaudio.recipe import load_recipe

VARIANTS = ((16000, "max"), (16000, "min"), (8000, "max"), (8000, "min"))
SUSTAINED = (50, 100, 200, 400)
"""TFLOP/s that a GPU may sustain over the whole step."""


def main() -> None:
    """Compare, measure and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("librispeech", type=Path)
    parser.add_argument("metadata", type=Path)
    parser.add_argument("--subset", default="train-100")
    parser.add_argument("--seconds", type=float, default=4.0, help="to measure each kind of mixture for")
    parser.add_argument("--output", type=Path, help="Markdown file to write")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")  # of mixtures that are left out; the report counts those that are there
    with tempfile.TemporaryDirectory() as folder:
        text = report(asked, list(equality(asked, Path(folder))), dict(speeds(asked, Path(folder))))
    print(text)
    if asked.output:
        asked.output.write_text(text, encoding="utf-8")


def listed(asked: argparse.Namespace, **options: object) -> LibriMix:
    """Return mixtures of the list on the fly."""
    return LibriMix(asked.librispeech, asked.subset, metadata=asked.metadata, missing="skip", **options)


def generate(mixtures: ListedMixtures, out: Path) -> None:
    """Write ``mix_clean``, ``s1`` and ``s2`` as the official generator does, from whole utterances."""
    for row in mixtures.rows:
        paths = [mixtures.folder.path / mixtures._paths[key] for key in row.keys]
        waves = [soundfile.read(path, dtype="float32")[0] * gain for path, gain in zip(paths, row.gains, strict=True)]
        waves = [resample_poly(wave, mixtures.rate, 16000) for wave in waves]
        length = (min if mixtures.mode == "min" else max)(map(len, waves))
        waves = [np.pad(wave[:length], (0, max(0, length - len(wave)))) for wave in waves]
        mixture = np.zeros_like(waves[0])
        for wave in waves:
            mixture += wave
        for name, wave in (("mix_clean", mixture), ("s1", waves[0]), ("s2", waves[1])):
            (out / name).mkdir(parents=True, exist_ok=True)
            soundfile.write(out / name / f"{row.id}.wav", wave, mixtures.rate)


def equality(asked: argparse.Namespace, folder: Path) -> Iterator[str]:
    """Yield a line for each variant: largest difference from the generated files, whole and in random crops."""
    for rate, length in VARIANTS:
        made = listed(asked, rate=rate, length=length)
        generate(made.mixtures, folder / f"wav{rate // 1000}k" / length / asked.subset)
        largest, samples = 0.0, 0
        for seconds in (None, 0.5, 1.0):
            options = {"rate": rate, "length": length, "seconds": seconds}
            read, made = LibriMix(folder, asked.subset, **options), listed(asked, **options)
            order = {read[index][2]["id"]: index for index in range(len(read))}
            for index in range(len(made)) if seconds is None else ():
                mixture, sources, metadata = made[index]
                wanted, references, _ = read[order[metadata["id"]]]
                largest = max(largest, float((mixture - wanted).abs().max()), float((sources - references).abs().max()))
                samples += mixture.numel() + sources.numel()
            for index in range(len(made)) if seconds is not None else ():
                mixture, sources, metadata = made[index]
                start, stop = metadata["start"], metadata["start"] + mixture.shape[-1]
                known = order[metadata["id"]]
                wanted, references = read.mixtures.read(known, start, min(stop, read.mixtures.length(known)))
                size = wanted.shape[-1]
                largest = max(largest, float(np.abs(mixture[0, :size].numpy() - wanted / 32768).max()))
                largest = max(largest, float(np.abs(sources[:, 0, :size].numpy() - references / 32768).max()))
                samples += mixture.numel() + sources.numel()
        yield f"| {rate // 1000} kHz, {length} | {len(made)} | {samples:,} | {largest * 32768:g} |"


def speeds(asked: argparse.Namespace, generated: Path) -> Iterator[tuple[str, float]]:
    """Yield mixtures per second of processor time, which other work on the machine does not spoil."""
    kinds = {
        "official list on the fly, 0.5 s": listed(asked, seconds=0.5),
        "official list on the fly, 1 s": listed(asked, seconds=1.0),
        "official list on the fly, 10 s": listed(asked, seconds=10.0),
        "official list on the fly, 0.5 s, 8 kHz": listed(asked, seconds=0.5, rate=8000),
        "official list on the fly, 0.5 s, utterances in memory": listed(asked, seconds=0.5, cache=True),
        "generated WAV files, 0.5 s": LibriMix(generated, asked.subset, seconds=0.5),
        "dynamic mixing, 0.5 s": LibriMix(asked.librispeech, asked.subset, seconds=0.5),
        "dynamic mixing, 0.5 s, `folder` data set": FolderMixtures(asked.librispeech, 0.5),
    }
    for name, dataset in kinds.items():
        for index in range(min(8, len(dataset))):
            dataset[index]
        count, epoch, began = 0, 0, time.process_time()
        while (elapsed := time.process_time() - began) < asked.seconds:
            if count % len(dataset) == 0:
                epoch += 1
                dataset.set_epoch(epoch)
            dataset[count % len(dataset)]
            count += 1
        yield name, count / elapsed


def step_flops() -> tuple[float, int]:
    """Return the floating-point operations of one training step at the paper's sizes, and its mixtures."""
    recipe = load_recipe("audioslots")
    with FakeTensorMode(), FlopCounterMode(display=False) as counter:
        model = recipe.model()
        count, samples = recipe.train.batch_size, model.window_samples
        prediction = model(torch.zeros(count, 1, model.frontend.channels, samples))
        prediction.estimates.magnitudes.square().mean().backward()
    return float(counter.get_total_flops()), count


def report(asked: argparse.Namespace, equal: list[str], speed: dict[str, float]) -> str:
    """Return the page."""
    flops, batch = step_flops()
    command = ["python", "benchmarks/librimix.py", "path/to/speech", "path/to/metadata", "--subset", asked.subset]
    lines = [
        "# LibriMix on the fly",
        "",
        f"    {shlex.join(command)}",
        "",
        "## Equal to the generated files",
        "",
        "Mixture and sources against 16-bit files that the official generator's arithmetic, stated once more on whole "
        "utterances, wrote: whole mixtures, and random crops of 0.5 s and 1 s. Differences are in units of 16 bits.",
        "",
        "| variant | mixtures | samples compared | largest difference |",
        "|---|---|---|---|",
        *equal,
        "",
        "## Mixtures per second and core",
        "",
        "One process, one thread, FLAC files in the page cache, seconds of processor time (other work on the machine "
        f"then matters little; {platform.machine()}).",
        "",
        "| | mixtures / s | hours of mixtures / h |",
        "|---|---|---|",
    ]
    for name, rate in speed.items():
        seconds = float(name.split(", ")[1].removesuffix(" s"))
        lines.append(f"| {name} | {rate:,.0f} | {rate * seconds:,.0f} |")
    best = speed["official list on the fly, 0.5 s"]
    lines += [
        "",
        "Dynamic mixing reads three seconds around each crop, to measure how loud the speech there "
        "is; the lists have their gains.",
        "",
        "## How many GPUs is that for?",
        "",
        f"A training step at the paper's sizes ({batch} mixtures of 0.5 s) takes {flops / 1e12:.1f} TFLOP (counted by "
        "`torch.utils.flop_counter`, forward and backward). What a GPU needs follows from what it sustains over the "
        "whole step:",
        "",
        "| sustained | step | mixtures / s needed | cores for one GPU | GPUs that 16 cores feed |",
        "|---|---|---|---|---|",
    ]
    for rate in SUSTAINED:
        needed = batch / (flops / 1e12 / rate)
        lines.append(
            f"| {rate} TFLOP/s | {1e3 * flops / 1e12 / rate:.1f} ms | {needed:,.0f} | {needed / best:.1f} | "
            f"{16 * best / needed:.1f} |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
