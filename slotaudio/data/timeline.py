"""Who speaks when: timelines of conversations with turns, gaps, overlaps and pauses."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from slotaudio.errors import DataError
from slotaudio.rttm import Turn

_SHORTEST = 0.2
_DECIMALS = 3  # RTTM's, and a whole number of samples at 8, 16, 32 and 48 kHz


@dataclass(frozen=True)
class Manner:
    """How people talk to each other.

    Args:
        overlap: wanted share of the time with speech in which two speak at once, 0 to 1.
        turn: least and most seconds of a turn.
        gap: least and most seconds between turns that do not overlap.
        pauses: long pauses of everybody, per minute.
        pause: least and most seconds of a long pause.

    Raises:
        DataError: an option is out of range.
    """

    overlap: float = 0.2
    turn: Sequence[float] = (1.0, 8.0)
    gap: Sequence[float] = (0.1, 0.8)
    pauses: float = 0.5
    pause: Sequence[float] = (5.0, 8.0)

    def __post_init__(self) -> None:
        if not 0 <= self.overlap <= 1:
            raise DataError(f"overlap = {self.overlap}: give a share between 0 and 1")
        if self.pauses < 0:
            raise DataError(f"pauses = {self.pauses} per minute: give 0 or more")
        for name, least in (("turn", _SHORTEST), ("gap", 0.0), ("pause", 0.0)):
            bounds = getattr(self, name)
            if len(bounds) != 2 or not least <= bounds[0] <= bounds[1]:
                raise DataError(f"{name} = {bounds!r}: give the least and the most seconds, from {least}")


def draw_timeline(
    rng: np.random.Generator, speakers: Sequence[str], seconds: float, manner: Manner, recording: str = "conversation"
) -> list[Turn]:
    """Draw turns that fill `seconds`, in order of their starts; never more than two speak at once.

    Every next turn starts before the last one is over by as much as the share of overlap so far falls
    short of the wanted one, half to one and a half times that; where nothing falls short, after a gap.

    Raises:
        DataError: fewer than one speaker.
    """
    if not speakers:
        raise DataError("a conversation needs at least one speaker")
    turns: list[Turn] = []
    done = dict.fromkeys(speakers, 0.0)
    alone = end = 0.0  # from when to when the longest speaker has nobody beside him
    spoken = overlapped = 0.0
    while end < seconds:
        # whoever has the floor longest cannot overlap himself
        others = [name for name in speakers if not turns or done[name] < end] or list(speakers)
        speaker = others[rng.integers(len(others))]
        length = float(np.exp(rng.uniform(np.log(manner.turn[0]), np.log(manner.turn[1]))))
        missing = (manner.overlap * (spoken + length) - overlapped) / (1 + manner.overlap) * rng.uniform(0.5, 1.5)
        room = end - max(alone, done[speaker])
        shared = room if manner.overlap == 1 else min(missing, room)
        mean_turn = spoken / len(turns) if turns else length
        if rng.random() < manner.pauses * mean_turn / 60 and turns:
            start = end + rng.uniform(manner.pause[0], manner.pause[1])
        elif shared > 0:
            start = end - shared
        else:
            start = end + (rng.uniform(manner.gap[0], manner.gap[1]) if turns else 0.0)
        start, stop = round(start, _DECIMALS), round(min(start + length, seconds), _DECIMALS)
        if stop - start >= _SHORTEST:
            turns.append(Turn(start, round(stop - start, _DECIMALS), speaker, recording))
        spoken += max(0.0, stop - max(start, end))
        overlapped += max(0.0, min(stop, end) - start)
        done[speaker] = stop
        alone, end = (max(start, end), stop) if stop > end else (max(alone, stop), end)
        if start >= seconds:
            break
    return sorted(turns)


def overlap_of(turns: Sequence[Turn]) -> float:
    """Return the share of the time with speech in which more than one speaks; 0 where nobody does."""
    edges = sorted([(turn.start, 1) for turn in turns] + [(turn.end, -1) for turn in turns])
    spoken = overlapped = before = 0.0
    speaking = 0
    for time, change in edges:
        spoken += (time - before) * (speaking > 0)
        overlapped += (time - before) * (speaking > 1)
        speaking += change
        before = time
    return overlapped / spoken if spoken else 0.0
