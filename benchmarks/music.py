"""What the parts of slotaudio-music are worth: sizes, speed, and objectives and the slot view at one budget.

    python benchmarks/music.py                                           # sizes and speed; needs no data
    python benchmarks/music.py path/to/musdb18hq --output runs/music     # also trains and measures, and can be stopped

The folder is laid out like MUSDB18-HQ, however few tracks it holds: models are trained on its training tracks, and
scored on its test tracks. The variants are `music-small` and `music-slots` made smaller still, on the same mixtures for
the same number of steps, all at 11025 Hz. Finished runs are not done again. Prints Markdown.
Needs slotaudio-music (pip install -e plugins/slotaudio-music).
"""

import argparse
import json
import platform
import time
from pathlib import Path
from typing import Any

import torch

from slotaudio import Separator, SlotModel, audio, build
from slotaudio.recipe import Recipe, load_recipe
from slotaudio.resampling import resample
from slotaudio_music.evaluation import SYSTEMS, evaluate

RECIPES = ("music", "music-small", "music-slots")
RATE = 11025
"""Of the stems in the comparison: a quarter of the samples, which hold nearly all of the energy."""
END_TO_END = [
    "encoder.kernel=8",
    "encoder.strides=[4, 4, 4]",
    "bottleneck={name = 'dual_path_transformer', slot_dim = 64, dim = 64, blocks = 1, heads = 2, hidden = 32}",
]
SLOTS = [
    "model.window=none",
    "frontend.window=512",
    "frontend.hop=256",
    "encoder.dim=48",
    "encoder.hidden=48",
    "decoder.hidden=48",
    "bottleneck={name = 'transformer', slot_dim = 48, layers = 1, heads = 2, qkv_dim = 48, mlp_dim = 96}",
]
RELATIVE, L1 = "objective.l1_weight=0.0", "objective.relative_weight=0.0"
VARIANTS: dict[str, tuple[str, list[str]]] = {
    "end-to-end, relative MSE": ("music-small", [*END_TO_END, RELATIVE]),
    "end-to-end, L1": ("music-small", [*END_TO_END, L1]),
    "slot view, relative MSE": ("music-slots", [*SLOTS, RELATIVE]),
    "slot view, L1": ("music-slots", [*SLOTS, L1]),
}
"""Small enough that all runs together take minutes, and about as costly as each other."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", nargs="?", type=Path, help="folder that holds train and test, as MUSDB18-HQ does")
    parser.add_argument("--output", type=Path, default=Path("runs/music"), help="folder of the runs")
    parser.add_argument("--steps", type=int, default=120)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--only", default="", help="train only variants whose name contains this")
    parser.add_argument("--model", type=Path, action="append", default=[], help="also score this trained model")
    parser.add_argument("--report", action="store_true", help="train nothing, report the runs that are there")
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(f"One thread, {platform.machine()}, torch {torch.__version__}\n")
    if options.path is None:
        sizes()
        return
    stems = options.output / f"stems-{RATE}"
    if not options.report:
        if not stems.exists():
            lower(options.path, stems)
        for seed in options.seeds:
            for name in filter(lambda name: options.only in name, VARIANTS):
                train_once(name, seed, stems, options.output, options.steps)
    report(options.output, options.steps, options.seeds)
    for folder in options.model:
        print(f"\n`{folder.name if folder.name != 'model' else folder.parent.name}`, {score(folder, options.path)}")


def sizes(seconds: float = 8.0) -> None:
    """Print parameters by stage, frames, reach, and the processor time of one forward pass."""
    print("| recipe | parameters (encoder, bottleneck, decoder) | steps a second | one step sees | time per second |")
    print("|---|---|---|---|---|")
    for name in RECIPES:
        model = load_recipe(name).model()
        parts = [count(part) for part in (model.encoder, model.bottleneck, model.decoder)]
        stride, field = (getattr(model.encoder, key, None) for key in ("total_stride", "receptive_field"))
        grid = f"{model.sample_rate / stride:.1f}" if stride else "all cells are one step"
        reach = f"{field} samples ({1000 * field / model.sample_rate:.0f} ms)" if field else "the window"
        print(
            f"| `{name}` | {sum(parts) / 1e6:.2f} M ({', '.join(f'{part / 1e6:.2f}' for part in parts)}) | {grid} | "
            f"{reach} | {forward_time(model, seconds) / seconds:.2f} s |",
            flush=True,
        )


def count(part: Any) -> int:
    """Return the number of parameters."""
    return sum(weight.numel() for weight in part.parameters())


def forward_time(model: SlotModel, seconds: float) -> float:
    """Return the least processor time of three separations of one stretch, all slots decoded."""
    separator = Separator(model)
    rate, channels = separator.sample_rate, model.frontend.channels
    wave = 0.1 * torch.randn(channels, round(seconds * rate), generator=torch.Generator().manual_seed(0))
    times = []
    for _ in range(3):
        started = time.process_time()
        separator(wave, rate)
        times.append(time.process_time() - started)
    return min(times)


def lower(path: Path, folder: Path) -> None:
    """Write every stem anew at the rate of the comparison."""
    partial = folder.with_name(f"{folder.name}.partial")
    for file in sorted(file for kind in ("flac", "wav") for file in path.glob(f"t*/*/*.{kind}")):
        wave, rate = audio.read(file)
        target = partial / file.relative_to(path).with_suffix(".flac")
        target.parent.mkdir(parents=True, exist_ok=True)
        audio.write(target, resample(wave, rate, RATE), RATE)
    partial.rename(folder)


def recipe_of(name: str, seed: int, path: Path, steps: int) -> Recipe:
    """Return a variant's recipe: data and training are those of `music-small` for all."""
    source, changes = VARIANTS[name]
    budget = [f"train.steps={steps}", f"train.validate_every={steps}", f"train.warmup_steps={steps // 10}"]
    common = [*budget, "train.ema=0.98", "train.learning_rate=2e-3", f"train.seed={seed}"]
    common += [f"data.{part}.path='{path}'" for part in ("train", "validation")]
    shared = load_recipe("music-small", common).table
    table = load_recipe(source, [*changes, f"frontend.sample_rate={RATE}"]).table
    return Recipe(name, {**table, "data": shared["data"], "train": shared["train"]})


def train_once(name: str, seed: int, path: Path, output: Path, steps: int) -> None:
    """Train a variant unless that was done, and write down its scores."""
    from slotaudio.training.run import train

    folder = run_folder(name, seed, output, steps)
    if (folder / "scores.json").exists():
        return
    started = time.process_time()
    done = train(recipe_of(name, seed, path, steps), folder, force=True)
    seconds = time.process_time() - started
    scores = evaluate(Separator.from_pretrained(done.model, threads=1), tracks(done.model, path))
    found = {
        "seconds": seconds,
        "parameters": count(Separator.from_pretrained(done.model).model),
        "stems": scores.stems,
        "track": {system: scores.track[:, n].mean(0).tolist() for n, system in enumerate(SYSTEMS)},
    }
    (folder / "scores.json").write_text(json.dumps(found, indent=2))


def run_folder(name: str, seed: int, output: Path, steps: int) -> Path:
    """Return the folder of a run."""
    return output / f"{name.replace(',', '').replace(' ', '-').lower()}-{steps}-{seed}"


def tracks(model: Path, path: Path) -> Any:
    """Return the whole test tracks, with the channels that the model takes."""
    loaded = Separator.from_pretrained(model).model
    wave = {"rate": loaded.sample_rate, "channels": loaded.frontend.channels}
    return build("dataset", {"name": "musdb", "path": str(path), "split": "test", "seconds": None}, **wave)


def score(model: Path, path: Path) -> str:
    """Return the table of one saved model, as `slotaudio stems-sdr` prints it."""
    return str(evaluate(Separator.from_pretrained(model, threads=1), tracks(model, path)))


def report(output: Path, steps: int, seeds: list[int]) -> None:
    """Print a row per variant and seed, and what costs nothing below."""
    print(f"{steps} steps each, SDR in dB of whole test tracks, mean over the tracks\n")
    floor: dict[str, list[float]] = {}
    head = None
    for name in VARIANTS:
        for seed in seeds:
            file = run_folder(name, seed, output, steps) / "scores.json"
            if not file.exists():
                continue
            found = json.loads(file.read_text())
            if head is None:
                head = ["variant", "seed", *found["stems"], "mean", "parameters", "processor time"]
                print(f"| {' | '.join(head)} |\n|{'---|' * len(head)}")
            values = found["track"]["model"]
            cost = [f"{found['parameters'] / 1e6:.2f} M", f"{found['seconds']:.0f} s"]
            print(f"| {' | '.join([name, str(seed), *decibels(values), *cost])} |", flush=True)
            channels = "mono" if "slot view" in name else "stereo"
            floor |= {f"{system}, {channels}": found["track"][system] for system in SYSTEMS[1:]}
    for system, values in floor.items():
        print(f"| {' | '.join([system, '', *decibels(values), '', ''])} |")


def decibels(values: list[float]) -> list[str]:
    """Return the values and their mean as text."""
    return [f"{value:.2f}" for value in [*values, sum(values) / len(values)]]


if __name__ == "__main__":
    main()
