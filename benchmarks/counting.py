"""Does a model know how many people speak? Mixtures, or conversations, of one, two and three voices.

    python benchmarks/counting.py path/to/speech/dev --model default
    python benchmarks/counting.py path/to/speech/dev --model default --minutes 5 --recordings 12
    python benchmarks/counting.py path/to/speech/dev --model default --noise babble
    python benchmarks/counting.py path/to/speech/dev --model default --rooms path/to/responses
    python benchmarks/counting.py path/to/speech/dev --model runs/counting/model --recordings 20 --seconds 4

Prints a confusion matrix in Markdown: a row for each number that speaks, a column for each that was found, and what the
outputs are worth to somebody who says the number (`--sources N`), in their best order: improvement of SI-SDR over the
mixture, or of a single voice without noise the SI-SDR itself. With `--minutes`, recordings are conversations in turns,
and all of one has one assignment.
"""

import argparse
import time
from collections import Counter
from typing import Any

import torch

from slotaudio.data.conversations import Conversations
from slotaudio.data.folder import FolderMixtures
from slotaudio.evaluation.mean import Mean
from slotaudio.metrics import score
from slotaudio.separation.counting import Separators, count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", help="a folder with one folder per speaker")
    parser.add_argument("--model", action="append", required=True, help="bundled name or folder")
    parser.add_argument("--speakers", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--recordings", type=int, default=60, help="of each number")
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--seconds", type=float, default=6.0, help="of a mixture, all of whose voices speak throughout")
    length.add_argument("--minutes", type=float, help="of a conversation, instead of mixtures")
    parser.add_argument("--noise", help="a folder of noise, or babble, 10 dB below the voices")
    parser.add_argument("--rooms", help="a folder of impulse responses, one for each voice")
    parser.add_argument("--band", type=float, nargs=2, metavar="HZ", help="of a telephone, as 300 3400")
    parser.add_argument("--slope", type=float, help="dB per octave beyond the band; 24 by default")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    if options.slope is not None and options.band is None:
        parser.error("--slope is that of a --band: give both")
    torch.set_num_threads(1)
    for name in options.model:
        found = {number: listen(name, number, options) for number in options.speakers}
        most = max(max(counts) for counts, _ in found.values())
        columns = range(1, max(most, *options.speakers) + 1)
        heads = " | ".join(f"found {column}" for column in columns)
        long = f"{options.minutes:g} minutes" if options.minutes else f"{options.seconds:g} s"
        print(f"\n`{name}`, {options.recordings} recordings of {long} of each number, seed {options.seed}\n")
        print(f"| who speaks | {heads} | right | dB, number told |\n|{'---|' * (len(columns) + 3)}")
        for number, (counts, quality) in found.items():
            cells = " | ".join(str(counts[column]) for column in columns)
            print(f"| {number} | {cells} | {counts[number] / options.recordings:.0%} | {quality} |")
        right = sum(counts[number] for number, (counts, _) in found.items()) / (options.recordings * len(found))
        print(f"\nRight: {right:.1%} of all", flush=True)


def recordings(number: int, rate: int, options: argparse.Namespace) -> Any:
    """Return the data set of recordings of so many voices."""
    shared = {"size": options.recordings, "seed": options.seed, "fixed": True, "resample": True}
    if options.noise:
        shared |= {"noise": options.noise, "snr": (10.0, 10.0)}
    if options.rooms:
        shared |= {"rooms": options.rooms, "reverberant": 1.0}
    if options.band:
        shared |= {"band": options.band, "slope": 24.0 if options.slope is None else options.slope}
    if options.minutes:
        return Conversations(options.data, 60 * options.minutes, number, rate, **shared)
    return FolderMixtures(options.data, options.seconds, number, rate, **shared)


def listen(name: str, number: int, options: argparse.Namespace) -> tuple[Counter[int], Mean]:
    """Return how often each number of sources was found in recordings of so many voices, and the decibels."""
    counting = Separators(name, "unknown").first
    told = Separators(name, number).first if number <= counting.model.slots else None
    counts: Counter[int] = Counter()
    decibels = []
    data = recordings(number, counting.sample_rate, options)
    for index in range(options.recordings):
        mixture, sources, _ = data[index]
        counts[count(counting, mixture)] += 1
        if told is not None:
            estimates = told(mixture).sources
            scored = score(estimates[None], sources[None], mixture[None], metrics=("si_sdr",))
            alone = number == 1 and not options.noise
            decibels.append(float(scored.mean("si_sdr" if alone else "si_sdr_i").mean()))
    return counts, Mean.of(decibels)


if __name__ == "__main__":
    began = time.process_time()
    main()
    print(f"\n{time.process_time() - began:.0f} s of processor time")
