"""How many sources there are, and which outputs hold them: more slots than sources is normal."""

import re
from array import array
from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from slotaudio.errors import UserError
from slotaudio.separation.observation import Observation

_EXPLAINED = "howto/unknown-number"
UNKNOWN = "unknown"
"""As a number of sources: whatever is found."""

PRESENT = 0.5
"""An output with a higher score is a source."""

_LEAST_SHARE = 0.25
_AUDIBLE_DB = 25.0
_SUREST_SECONDS, _SUREST_SHARE = 2.0, 0.01
_STRETCH = 12.0
"""Seconds within which a voice is trusted to stay in its output."""
_TOGETHER_SHARE = 0.25
"""Of the stretches in which anybody is present, in which so many have to be."""


class PresenceMeter:
    """Watch a separation window by window; say how likely each output is a source.

    Models that were taught presence say so themselves: the logits of each window. Of others it is measured: the
    share that an output has of the energy of all outputs, in windows that are audible; what leaks into
    an output without a source stays below a source's share.

    Nobody speaks all the time. The score of an output is its mean over the windows in which it is surest: two
    seconds of them, or the hundredth part of a recording that is longer than 200 s. How many sources there are is
    decided within stretches of twelve seconds, for over minutes a voice may come back in another output: so many
    outputs are present in a quarter of the stretches in which any is. An hour takes some hundred kilobytes.

    Args:
        slots: of the model.
        hop: seconds from window to window.
        observer: called with every window too.
        merged: the first output holds what all slots do.
    """

    def __init__(
        self, slots: int, hop: float, observer: Callable[[Observation], None] | None = None, merged: bool = False
    ) -> None:
        self.slots = slots
        self.merged = merged
        self.hop = hop
        self.observer = observer
        self._batch = 1
        self._taught = False
        self._values = array("f")  # of all windows on end, four bytes each

    def update(self, seen: Observation) -> None:
        """Take the next window; pass this as the `observer` of a separation."""
        self._batch = len(seen.order)
        self._taught = seen.slots.presence is not None
        if seen.slots.presence is not None:
            self._values.extend(seen.slots.presence.float().sigmoid().mean(dim=1).flatten().tolist())
        elif seen.level is not None:
            self._values.extend((10 ** (seen.level / 10)).mean(dim=1).flatten().tolist())
        if self.observer is not None:
            self.observer(seen)

    def scores(self) -> Float[Tensor, "batch slots"]:
        """Return how likely each output is a source, 0 to 1; `PRESENT` divides. Zeros for silence.

        Raises:
            UserError: nothing was observed.
        """
        return self._surest(self._windows())

    def found(self) -> Int[Tensor, " batch"]:
        """Return how many sources each recording holds, 0 of silence.

        Raises:
            UserError: nothing was observed.
        """
        windows = self._windows()
        size = min(len(windows), max(1, round(_STRETCH / self.hop)))
        starts = range(len(windows) - size + 1)
        stretches = torch.stack([self._surest(windows[start : start + size]) for start in starts])
        # of each stretch the likeliest output first, in whatever order they are
        present = stretches.sort(dim=2, descending=True).values > PRESENT
        share = present.sum(dim=0) / present[..., :1].sum(dim=0).clamp_min(1)
        return (share >= _TOGETHER_SHARE).sum(dim=1)

    def present(self) -> list[list[int]]:
        """Return for each recording the outputs that are sources, however many are wanted."""
        return [(row > PRESENT).nonzero()[:, 0].tolist() for row in self.scores()]

    def chosen(self, least: int, most: int) -> list[list[int]]:
        """Return for each recording the outputs that are sources, in their order.

        They are as many as were found, but no fewer than `least` and no more than `most`, the likeliest ones; of
        silence the first ones.
        """
        if least >= self.slots:
            return [list(range(self.slots)) for _ in range(self._batch)]
        if self.merged:
            return [[0] for _ in range(self._batch)]
        found = self.found()
        counts = found.clamp(least, most)
        ranked = (self.scores() * (found > 0)[:, None]).argsort(dim=1, descending=True, stable=True)
        return [sorted(row[:count].tolist()) for row, count in zip(ranked, counts, strict=True)]

    def _windows(self) -> Float[Tensor, "windows batch slots"]:
        if not self._values:
            raise UserError("presence: no window was observed")
        windows = torch.tensor(self._values).view(-1, self._batch, self.slots)
        return windows if self._taught else _by_energy(windows)

    def _surest(self, windows: Float[Tensor, "windows batch slots"]) -> Float[Tensor, "batch slots"]:
        """Return the mean of each slot over the windows in which it is surest."""
        surest = max(_SUREST_SECONDS / self.hop, _SUREST_SHARE * len(windows))
        return windows.topk(min(len(windows), max(1, round(surest))), dim=0).values.mean(dim=0)


def _by_energy(power: Float[Tensor, "windows batch slots"]) -> Float[Tensor, "windows batch slots"]:
    """Score each window by what share of its energy each output has, 0.5 for the least that a source has."""
    total = power.sum(dim=2, keepdim=True)
    audible = (total > total.amax(dim=0) * 10 ** (-_AUDIBLE_DB / 10)) & (total > 1e-10)
    share = power / total.clamp_min(1e-20)
    above = (share - _LEAST_SHARE) / (1 - _LEAST_SHARE)
    return audible * torch.where(above > 0, (1 + above) / 2, share / _LEAST_SHARE / 2)


def source_range(sources: int | str | Sequence[int] | None, slots: int) -> tuple[int, int]:
    """Return the least and the most sources that are wanted of a model.

    Args:
        sources: a number; least and most; the same as text (``"2"``, ``"2-3"``); ``"unknown"``; None for all slots.
        slots: that the model has.

    Raises:
        UserError: no such number, or more than the model has slots.
    """
    if sources is None:
        return slots, slots
    if sources == UNKNOWN:
        return 1, slots
    given = sources
    if isinstance(sources, str):
        numbers = re.fullmatch(r"\s*(\d+)\s*(?:-\s*(\d+)\s*)?", sources)
        sources = [int(number) for number in numbers.groups() if number] if numbers else []
    least, most = (sources, sources) if isinstance(sources, int) else (min(sources, default=0), max(sources, default=0))
    if least < 1 or (not isinstance(sources, int) and (len(sources) > 2 or list(sources) != sorted(sources))):
        raise UserError(
            f"{given!r} does not say how many sources there are: give a number, the least and the most as in 2-3, or "
            f"{UNKNOWN!r}",
            page=_EXPLAINED,
        )
    if most > slots:
        raise UserError(
            f"{most} sources were asked for, but the model has {slots} slot{'s' * (slots > 1)}, and each gives one "
            f"source at most: ask for {slots} or fewer, or choose a model with more slots",
            page=_EXPLAINED,
        )
    return least, most
