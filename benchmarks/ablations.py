"""What each choice of the band-split recipe is worth at equal processor time.

    python benchmarks/ablations.py --train path/to/speech/train --dev path/to/speech/dev --minutes 5
    python benchmarks/ablations.py --report runs/*/runs.jsonl --page docs/results/ablations.md

Every variant is the recipe with one thing changed, trained and measured as the contestants of peers.py are, on the same
mixtures; `band-split` of peers.py is the recipe itself. The report takes the runs of several files and compares each
variant with the recipe's run of the same seed and budget.
"""

import argparse
import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from contest import contest, read
from page import fill
from peers import BAND_SPLIT
from torch import nn

from slotaudio import Spec
from slotaudio.recipe import load_recipe


def changed(*changes: str) -> Callable[[], nn.Module]:
    """Return what builds the recipe's model with these changes."""
    return lambda: load_recipe("band-split", changes).model()


def random_branches() -> nn.Module:
    """Return the recipe's model with the ends of its residual branches as PyTorch draws them."""
    model = load_recipe("band-split").model()
    for layer in model.modules():
        if isinstance(layer, nn.Linear) and not layer.weight.any():
            layer.reset_parameters()
    return model


VARIANTS = {
    "band-split": replace(BAND_SPLIT, title="the recipe"),
    "no-lesson": replace(BAND_SPLIT, title="least cost from the start, no ordered lesson", lesson=0.0),
    "adamw": replace(BAND_SPLIT, title="AdamW instead of Muon, the same rate", optimizer="adamw"),
    "fp32": replace(BAND_SPLIT, title="float32 instead of bfloat16", bf16=False),
    "si-sdr": replace(
        BAND_SPLIT, title="SI-SDR instead of SNR",
        objective=Spec("supervised", cost="si_sdr", assignment="clip"),
    ),
    "hop-256": replace(
        BAND_SPLIT, title="window 512, hop 256 instead of 1024, 512",
        build=changed("frontend.window=512", "frontend.hop=256"),
    ),
    "fine-hop": replace(BAND_SPLIT, title="hop 256 instead of 512", build=changed("frontend.hop=256")),
    "branches": replace(BAND_SPLIT, title="residual branches start at random, not at zero", build=random_branches),
    "spectral": replace(
        BAND_SPLIT, title="a multi-resolution spectral distance besides, of weight 2",
        objective=Spec("supervised", cost="snr", assignment="clip", spectral_weight=2.0),
    ),
    "lesson-only": replace(BAND_SPLIT, title="the ordered lesson all the time", lesson=1.0),
    "speed": replace(BAND_SPLIT, title="speed perturbed by up to a tenth", data={"speed": (0.9, 1.1)}),
    "no-groups": replace(BAND_SPLIT, title="speakers of all corpora drawn alike", data={"groups": None}),
}  # fmt: skip


def report(about: str | None) -> None:
    """Print the table, and fill the page if asked."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--report", type=Path, nargs="+", required=True, metavar="RUNS", help="runs.jsonl of both scripts"
    )
    parser.add_argument("--page", type=Path, help="Markdown file whose table is replaced")
    options = parser.parse_args()
    runs = [found for path in options.report for found in read(path) if found.get("name") in VARIANTS]
    if not any(run["name"] == "band-split" for run in runs):
        parser.error("no finished run of the recipe itself, band-split, among these")
    text = table(runs)
    print(text)
    if options.page:
        fill(options.page, text)


def table(runs: Sequence[dict[str, Any]]) -> str:
    """Return the table in Markdown, the best variant first."""
    base = {(run["seed"], run["minutes"]): run for run in runs if run["name"] == "band-split"}
    rows = []
    for name, variant in VARIANTS.items():
        pairs = [(run, base[run["seed"], run["minutes"]]) for run in runs if run["name"] == name and same(run, base)]
        if pairs:
            gain = statistics.mean(run["curve"][-1][2] - other["curve"][-1][2] for run, other in pairs)
            rows.append((gain, variant.title, [run for run, _ in pairs]))
    points = rows[0][2][0]["curve"]
    head = " | ".join(f"dB at {minutes:.1f} min" for minutes, _, _ in points)
    lines = [
        f"| variant | seeds | s of audio per s | steps | {head} | against the recipe |",
        "|---" * (5 + len(points)) + "|",
    ]
    for gain, title, found in sorted(rows, key=lambda row: -row[0]):
        speed, steps = (statistics.mean(run[key] for run in found) for key in ("audio_per_second", "steps"))
        means = [statistics.mean(run["curve"][i][2] for run in found) for i in range(len(points))]
        cells = " | ".join(f"{mean:.2f}" for mean in means)
        lines.append(f"| {title} | {len(found)} | {speed:.1f} | {steps:.0f} | {cells} | {gain:+.2f} |")
    return "\n".join(lines)


def same(run: dict[str, Any], base: dict[tuple[int, float], dict[str, Any]]) -> bool:
    """Tell whether the recipe has a run of this seed and budget."""
    return (run["seed"], run["minutes"]) in base


if __name__ == "__main__":
    if "--report" in sys.argv:
        report(__doc__)
    else:
        contest(VARIANTS, __doc__, "runs/ablations")
