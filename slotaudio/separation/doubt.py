"""Where to listen again: stretches in which voices may have changed places, and how they are told of."""

import math
from collections.abc import Sequence

_GAP = 2.0
"""Seconds between doubtful segments that are one stretch."""

WORTH_TELLING = 0.05
"""Share of a recording that has to be doubtful: of less than that, hardly anything is wrong."""

Stretch = tuple[float, float]
"""Beginning and end in seconds."""


def merged(segments: Sequence[Stretch]) -> list[Stretch]:
    """Make one stretch of those that are near to each other."""
    stretches: list[Stretch] = []
    for start, end in segments:
        if stretches and start - stretches[-1][1] <= _GAP:
            start = stretches.pop()[0]
        stretches.append((round(start, 2), round(end, 2)))
    return stretches


def told(stretches: Sequence[Stretch], most: int = 12) -> str:
    """Say where to listen; of many stretches only the longest."""
    longest = sorted(sorted(stretches, key=lambda stretch: stretch[0] - stretch[1])[:most])
    times = ", ".join(f"{_clock(math.floor(start))}-{_clock(math.ceil(end))}" for start, end in longest)
    total = sum(end - start for start, end in stretches)
    some = f"{len(stretches)} places, {total:.0f} s together, the longest of which are" if len(stretches) > most else ""
    return f"voices may have changed places at {some}{' ' * bool(some)}{times}: listen there"


def _clock(seconds: int) -> str:
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
