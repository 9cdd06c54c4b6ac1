"""Does a model know how many people speak? Mixtures of one, two and three voices, `--sources unknown`.

    python benchmarks/counting.py path/to/speech/dev --model band-split
    python benchmarks/counting.py path/to/speech/dev --model runs/counting/model --mixtures 20 --seconds 4

Prints a confusion matrix in Markdown: a row for each number that speaks, a column for each that was found, and what
the outputs are worth to somebody who says the number (`--sources N`): the N likeliest, in their best order, against the
mixture, or of a single voice the SI-SDR itself.
"""

import argparse
import time
from collections import Counter

import torch

from slotaudio import Separator
from slotaudio.data.folder import FolderMixtures
from slotaudio.evaluation.results import Mean
from slotaudio.metrics import score
from slotaudio.separation.presence import PRESENT


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", help="a folder with one folder per speaker")
    parser.add_argument("--model", action="append", required=True, help="bundled name or folder")
    parser.add_argument("--speakers", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--mixtures", type=int, default=60, help="of each number")
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(1)
    for name in options.model:
        found = {number: listen(name, number, options) for number in options.speakers}
        most = max(max(counts) for counts, _ in found.values())
        columns = range(1, max(most, *options.speakers) + 1)
        heads = " | ".join(f"found {column}" for column in columns)
        print(f"\n`{name}`, {options.mixtures} mixtures of {options.seconds:g} s of each number, seed {options.seed}\n")
        print(f"| who speaks | {heads} | right | dB, number told |\n|{'---|' * (len(columns) + 3)}")
        for number, (counts, quality) in found.items():
            cells = " | ".join(str(counts[column]) for column in columns)
            print(f"| {number} | {cells} | {counts[number] / options.mixtures:.0%} | {quality} |")
        right = sum(counts[number] for number, (counts, _) in found.items()) / (options.mixtures * len(found))
        print(f"\nRight: {right:.1%} of all", flush=True)


def listen(name: str, number: int, options: argparse.Namespace) -> tuple[Counter[int], Mean]:
    """Return how often each number of sources was found in mixtures of so many voices, and the decibels."""
    separator = Separator.from_pretrained(name)
    mixtures = FolderMixtures(
        options.data,
        options.seconds,
        number,
        separator.sample_rate,
        options.mixtures,
        options.seed,
        fixed=True,
        resample=True,
    )
    counts: Counter[int] = Counter()
    decibels = []
    for index in range(options.mixtures):
        mixture, sources, _ = mixtures[index]
        separated = separator(mixture)
        counts[max(1, int((separated.presence > PRESENT).sum()))] += 1
        if number <= separator.model.slots:
            likeliest = separated.presence.argsort(descending=True, stable=True)[:number]
            scored = score(separated.sources[likeliest][None], sources[None], mixture[None], metrics=("si_sdr",))
            decibels.append(float(scored.mean("si_sdr" if number == 1 else "si_sdr_i").mean()))
    return counts, Mean.of(decibels)


if __name__ == "__main__":
    began = time.process_time()
    main()
    print(f"\n{time.process_time() - began:.0f} s of processor time")
