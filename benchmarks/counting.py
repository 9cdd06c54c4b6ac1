"""Does a model know how many people speak? Mixtures of one, two and three voices, `--sources unknown`.

    python benchmarks/counting.py path/to/speech/dev --model band-split
    python benchmarks/counting.py path/to/speech/dev --model runs/counting/model --mixtures 20 --seconds 4

Prints a confusion matrix in Markdown: a row for each number that speaks, a column for each that was found.
"""

import argparse
import time
from collections import Counter

import torch

from slotaudio import Separator
from slotaudio.data.folder import FolderMixtures


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
        found = {number: counts(name, number, options) for number in options.speakers}
        most = max(max(each) for each in found.values())
        columns = range(1, max(most, *options.speakers) + 1)
        heads = " | ".join(f"found {column}" for column in columns)
        print(f"\n`{name}`, {options.mixtures} mixtures of {options.seconds:g} s of each number, seed {options.seed}\n")
        print(f"| who speaks | {heads} | right |\n|{'---|' * (len(columns) + 2)}")
        for number, each in found.items():
            cells = " | ".join(str(each[column]) for column in columns)
            print(f"| {number} | {cells} | {each[number] / options.mixtures:.0%} |")
        right = sum(each[number] for number, each in found.items()) / (options.mixtures * len(found))
        print(f"\nRight: {right:.1%} of all", flush=True)


def counts(name: str, number: int, options: argparse.Namespace) -> Counter[int]:
    """Return how often each number of sources was found in mixtures of so many voices."""
    separator = Separator.from_pretrained(name, sources="unknown")
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
    return Counter(len(separator(mixtures[index][0]).slots) for index in range(options.mixtures))


if __name__ == "__main__":
    began = time.process_time()
    main()
    print(f"\n{time.process_time() - began:.0f} s of processor time")
