"""Where voices are said to have changed places, have they? Conversations of two, against their true sources.

    python benchmarks/doubt.py path/to/speech/dev --mixtures 5 --noise path/to/noise
    python benchmarks/doubt.py path/to/speech/dev --mixtures 3

Every heard half second is right or wrong under the one assignment of its conversation, as `slotaudio evaluate --long`
counts them. Prints in Markdown how much of the time is wrong, how much is said to be doubtful, which share of the wrong
time that is, how much of what is doubtful is wrong, and how many doubtful stretches have something wrong in them.
"""

import argparse
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from slotaudio import Separator
from slotaudio.data.conversations import Conversations
from slotaudio.identity import IdentityMeter, identity_score

COLUMNS = ("right speaker", "doubtful time", "of the wrong time", "of it wrong", "stretches", "with something wrong")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", help="a folder with one folder per speaker")
    parser.add_argument("--model", default="band-split")
    parser.add_argument("--mixtures", type=int, default=6)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--noise", help="a folder of noise, 10 dB below the voices")
    parser.add_argument("--groups", help="the only group of speakers who meet")
    options = parser.parse_args()
    torch.set_num_threads(1)
    separator = Separator.from_pretrained(options.model, sources=2, precision="bf16")
    around: dict[str, Any] = {"noise": options.noise, "snr": (10.0, 10.0)} if options.noise else {}
    conversations = Conversations(
        options.data,
        60 * options.minutes,
        rate=separator.sample_rate,
        size=options.mixtures,
        fixed=True,
        groups={options.groups: 1.0} if options.groups else None,
        **around,
    )
    print(f"| conversation | {' | '.join(COLUMNS)} |\n|{'---|' * (len(COLUMNS) + 1)}")
    counts = []
    for number in range(options.mixtures):
        mixture, sources, _ = conversations[number]
        found = separator(mixture)
        counts.append(count(found.sources[:, 0], sources[:, 0], found.doubtful, separator.sample_rate))
        print(row(str(number), counts[-1]), flush=True)
    print(row("all", torch.stack(counts).sum(dim=0)))


def count(
    outputs: Float[Tensor, "two time"],
    sources: Float[Tensor, "two time"],
    stretches: Sequence[tuple[float, float]],
    sample_rate: int,
) -> Float[Tensor, "six"]:
    """Return how many half seconds are heard, wrong, doubtful and both, and how many stretches there are, and wrong."""
    meter = IdentityMeter(sample_rate)
    order = list(identity_score(outputs, sources, sample_rate).assignment)
    size = round(meter.window * sample_rate)
    true, made = (wave.unfold(1, size, size).double() for wave in (sources, outputs[order]))
    energy = true.square().sum(dim=2)
    heard = energy > energy.amax(dim=1, keepdim=True) * 10 ** (-meter.audible / 10)
    straight, crossed = ((true - each).square().sum(dim=2) * heard for each in (made, made.flip(0)))
    anybody = heard.any(dim=0)
    wrong = (straight.sum(dim=0) > crossed.sum(dim=0)) & anybody
    doubtful = torch.stack([within(stretch, len(wrong), meter.window) for stretch in stretches or [(0.0, 0.0)]])
    struck = [
        bool((wrong & within((start - 0.5, end + 0.5), len(wrong), meter.window)).any()) for start, end in stretches
    ]
    named = doubtful.any(dim=0) & anybody
    return torch.tensor(
        [anybody.sum(), wrong.sum(), named.sum(), (named & wrong).sum(), len(stretches), sum(struck)],
        dtype=torch.float64,
    )


def within(stretch: tuple[float, float], windows: int, seconds: float) -> Bool[Tensor, "windows"]:
    """Return the windows whose middle is in a stretch."""
    middle = (torch.arange(windows) + 0.5) * seconds
    return (middle > stretch[0]) & (middle < stretch[1])


def row(name: str, counts: Float[Tensor, "six"]) -> str:
    heard, wrong, named, both, stretches, struck = counts.tolist()
    shares = [1 - wrong / heard, named / heard, both / max(1, wrong), both / max(1, named)]
    return f"| {name} | {' | '.join(f'{share:.1%}' for share in shares)} | {stretches:.0f} | {struck:.0f} |"


if __name__ == "__main__":
    main()
