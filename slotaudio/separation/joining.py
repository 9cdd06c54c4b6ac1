"""Joining: which slot of a window goes on in which output.

A model sees one window at a time and its slots are a *set*: window by window they come in any order.
A joining rule puts each window's slots into the order of the outputs; `Joiner` then cross-fades.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from einops import repeat
from jaxtyping import Float, Int
from torch import Tensor

from slotaudio.separation.windows import CrossFade
from slotaudio.types import Matcher


@dataclass(frozen=True)
class SlotWindow:
    """What a model made of one window, one entry per slot, in the model's order."""

    waves: Float[Tensor, "batch slots channels window"]
    vectors: Float[Tensor, "batch slots dim"] | None = None
    presence: Float[Tensor, "batch slots"] | None = None
    carried: bool = False
    """Whether the slots went on from those of the window before, each in its place."""


@runtime_checkable
class JoiningRule(Protocol):
    """Decides the order of a window's slots; may remember the windows before."""

    def __call__(
        self, shared: Float[Tensor, "batch slots channels overlap"] | None, window: SlotWindow
    ) -> Int[Tensor, "batch slots"]:
        """Return for every output its slot; `shared` is what the outputs hold of this window so far."""
        ...


class AsGiven:
    """Keep the model's order: for labelled slots, and slots carried from window to window."""

    def __call__(
        self, shared: Float[Tensor, "batch slots channels overlap"] | None, window: SlotWindow
    ) -> Int[Tensor, "batch slots"]:
        """Return the slots in order."""
        batch, slots = window.waves.shape[:2]
        return repeat(torch.arange(slots, device=window.waves.device), "slots -> batch slots", batch=batch)


class Automatic:
    """Trust slots that are carried from window to window, and join all others by another rule."""

    def __init__(self, otherwise: JoiningRule) -> None:
        self.otherwise = otherwise

    def foresee(self, windows: Sequence[SlotWindow], overlap: int) -> None:
        """Show the next windows to the other rule, if it is used and looks ahead."""
        if not windows[0].carried:
            _foresee(self.otherwise, windows, overlap)

    def __call__(
        self, shared: Float[Tensor, "batch slots channels overlap"] | None, window: SlotWindow
    ) -> Int[Tensor, "batch slots"]:
        """Return the slots in order where they were carried, else what the other rule says."""
        return (AsGiven() if window.carried else self.otherwise)(shared, window)


class ByReference:
    """The paper's way (AudioSlots, section 4): order each window by the true sources. For evaluation only.

    Args:
        matcher: the one the model was trained with.
        reference: the true sources, beginning with the first window; zeros follow after their end.
        hop: samples from window to window.
    """

    def __init__(self, matcher: Matcher, reference: Float[Tensor, "batch sources channels time"], hop: int) -> None:
        self.matcher = matcher
        self.reference = reference
        self.hop = hop
        self._start = 0

    def __call__(
        self, shared: Float[Tensor, "batch slots channels overlap"] | None, window: SlotWindow
    ) -> Int[Tensor, "batch slots"]:
        """Match by error energy; surplus slots come after those of the sources."""
        size = window.waves.shape[-1]
        truth = self.reference[..., self._start : self._start + size].to(window.waves)
        truth = torch.nn.functional.pad(truth, (0, size - truth.shape[-1]))
        self._start += self.hop
        cost = torch.cdist(window.waves.flatten(2), truth.flatten(2), compute_mode="donot_use_mm_for_euclid_dist")
        return complete(self.matcher(cost.square()), window.waves.shape[1])


class Joiner:
    """Put windows pushed one by one into the outputs' order and cross-fade them: constant memory.

    Args:
        window, hop: in samples.
        rule: decides the order.
    """

    def __init__(self, window: int, hop: int, rule: JoiningRule) -> None:
        self.rule = rule
        self._fade = CrossFade(window, hop)

    def foresee(self, windows: Sequence[SlotWindow]) -> None:
        """Show the rule which windows will be pushed next, if it can make use of that."""
        _foresee(self.rule, windows, self._fade.overlap)

    def push(self, window: SlotWindow) -> tuple[Float[Tensor, "batch slots channels hop"], Int[Tensor, "batch slots"]]:
        """Add the next window; return the finished samples and, for every output, its slot in this window."""
        order = self.rule(self._fade.tail, window)
        return self._fade.push(take(window.waves, order)), order

    def finish(self) -> Float[Tensor, "batch slots channels overlap"]:
        """Return the samples of the last window that were waiting for a next one."""
        assert self._fade.tail is not None, "finish() before the first push()"
        return self._fade.tail


def _foresee(rule: JoiningRule, windows: Sequence[SlotWindow], overlap: int) -> None:
    foresee = getattr(rule, "foresee", None)
    if foresee is not None:
        foresee(windows, overlap)


def complete(assignment: Int[Tensor, "batch sources"], slots: int) -> Int[Tensor, "batch slots"]:
    """Append the slots that got no source, in their order."""
    taken = torch.zeros(len(assignment), slots, dtype=torch.int64, device=assignment.device)
    taken.scatter_(1, assignment, 1)
    free = taken.argsort(dim=1, stable=True)[:, : slots - assignment.shape[1]]
    return torch.cat([assignment, free], dim=1)


def take(
    values: Float[Tensor, "batch slots *axes"], order: Int[Tensor, "batch taken"]
) -> Float[Tensor, "batch taken *axes"]:
    """Return these slots of each batch item in this order."""
    return values[torch.arange(len(values), device=values.device)[:, None], order]
