"""Where to listen again: stretches in which outputs sound like each other's voices, known when all of them are."""

from collections.abc import Sequence

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from slotaudio.separation.identity import VoiceMemory, hop_samples
from slotaudio.separation.orders import MOST_ORDERED, Orders
from slotaudio.separation.turns import AUDIBLE, KNOWN, SEGMENT
from slotaudio.types import Matcher

_AT_ONCE = 4
"""Segments that are described at once."""
_TRUST, _LAPSE = 0.4, 0.3
"""As in `TurnFollower`; whoever looks back sees where voices change places, and need not expect it so rarely."""
_DOUBT = 0.12
"""How likely another order of the outputs is, from which on a segment is doubtful."""
_GAP = 2.0
"""Seconds between doubtful segments that are one stretch."""

WORTH_TELLING = 0.05
"""Share of a recording that has to be doubtful: of less than that, hardly anything is wrong."""

Stretch = tuple[float, float]
"""Beginning and end in seconds."""


class DoubtMeter:
    """Listen to the outputs of a separation; say at its end where voices may have changed places.

    All orders of the outputs are weighed in each half second by the voices that the outputs have over the whole
    recording: what a stream cannot know yet when it decides. An hour of two outputs takes two megabytes.

    Args:
        matcher: the one the model was trained with; only orders that it can give are considered.
        sample_rate: of the outputs, in hertz.
    """

    def __init__(self, matcher: Matcher, sample_rate: int) -> None:
        self.matcher = matcher
        self.sample_rate = sample_rate
        self.hop = hop_samples(sample_rate)
        self.segment = round(SEGMENT * sample_rate / self.hop)
        self._hearing = VoiceMemory(sample_rate, audible=AUDIBLE)
        self._waves: Float[Tensor, "batch slots channels time"] | None = None
        self._said: list[Float[Tensor, "batch slots segments statistics"]] = []

    @property
    def seconds(self) -> float:
        """Seconds that were heard."""
        return len(self._said) * _AT_ONCE * self.segment * self.hop / self.sample_rate

    def push(self, outputs: Float[Tensor, "batch slots channels time"]) -> None:
        """Take the next samples of all outputs; what does not fill two seconds at the end is not heard."""
        self._waves = outputs if self._waves is None else torch.cat([self._waves, outputs], dim=-1)
        frames = _AT_ONCE * self.segment
        while self._waves.shape[-1] >= (frames + 1) * self.hop:
            said = self._hearing.frames(self._waves[..., : (frames + 1) * self.hop])
            self._said.append(said.unflatten(2, (_AT_ONCE, self.segment)).sum(dim=3))
            self._waves = self._waves[..., frames * self.hop :]

    def stretches(self, outputs: Sequence[int], recording: int = 0) -> list[Stretch]:
        """Return where some of these outputs, each of which holds a source, may hold each other's voices.

        Args:
            outputs: those that hold a source: others sound like everybody.
            recording: of the batch.
        """
        if not self._said or len(outputs) < 2:
            return []
        said = torch.cat([piece[recording, list(outputs)] for piece in self._said], dim=1)
        count, steps, _ = said.shape
        voices = VoiceMemory(self.sample_rate)
        voices.remember(said.sum(dim=1)[None])
        if count > MOST_ORDERED or float(voices.seconds().min()) < KNOWN:
            return []
        weights = Orders(self.matcher)
        orders = weights.possible(count)
        evidence = voices.evidence(rearrange(said, "slots steps d -> 1 (steps slots) d"))
        evidence = rearrange(evidence, "1 (steps slots) o -> steps 1 slots o", slots=count)
        heard = _TRUST * evidence[:, :, orders, torch.arange(count)].sum(dim=-1)
        moves = (1 - _LAPSE) * torch.eye(len(orders)) + _LAPSE / len(orders)
        likely = weights.weigh(moves.log().expand(steps, 1, -1, -1), heard)[:, 0, 0]
        return _merged((likely < 1 - _DOUBT).nonzero()[:, 0].tolist(), self.segment * self.hop / self.sample_rate)


def _merged(segments: Sequence[int], seconds: float) -> list[Stretch]:
    stretches: list[Stretch] = []
    for segment in segments:
        start, end = segment * seconds, (segment + 1) * seconds
        if stretches and start - stretches[-1][1] <= _GAP:
            start = stretches.pop()[0]
        stretches.append((round(start, 2), round(end, 2)))
    return stretches


def told(stretches: Sequence[Stretch], most: int = 12) -> str:
    """Say where to listen; of many stretches only the longest."""
    longest = sorted(sorted(stretches, key=lambda stretch: stretch[0] - stretch[1])[:most])
    times = ", ".join(f"{_clock(start)}-{_clock(end)}" for start, end in longest)
    total = sum(end - start for start, end in stretches)
    some = f"{len(stretches)} places, {total:.0f} s together, the longest of which are" if len(stretches) > most else ""
    return f"voices may have changed places at {some}{' ' * bool(some)}{times}: listen there"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
