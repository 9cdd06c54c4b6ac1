"""Joining: which slot of a window goes on in which output.

A model sees one window at a time and its slots are a *set*: window by window they come in any order.
A joining rule puts each window's slots into the order of the outputs; `Joiner` then cross-fades.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol, runtime_checkable

import torch
from einops import rearrange, repeat
from jaxtyping import Float, Int
from torch import Tensor

from slotaudio.separation.identity import Identity, VoiceMemory
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


class ByOverlap:
    """Blind: follow each slot over the samples that neighbouring windows share, and each voice through pauses.

    Two windows that overlap heard the same samples: the slot that made the same of them goes on. How much that
    says depends on how loud the slot is there: of a pause nothing can be said, nor of windows that do not overlap.
    Then the voice decides (`slotaudio.separation.identity`). What a slot says is gathered as long as it speaks;
    when that contradicts the choice made in its first instant by more than `loyalty`, the slot moves to the
    output of that voice.

    Args:
        matcher: the one the model was trained with.
        identity: knows what each output sounds like; `VoiceMemory` by default.
        loyalty: nats of evidence for another output that it takes to leave one while speaking.
        keep: share of what was gathered that is still held against the slot a window later.
    """

    def __init__(
        self, matcher: Matcher, identity: Identity | None = None, loyalty: float = 10.0, keep: float = 0.95
    ) -> None:
        self.matcher = matcher
        self.identity = VoiceMemory() if identity is None else identity
        self.loyalty = loyalty
        self.keep = keep
        self._gathered: Float[Tensor, "batch outputs statistics"] | None = None
        self._loudest: Float[Tensor, " batch"] | None = None
        self._ahead: Float[Tensor, "windows batch slots statistics"] | None = None

    def foresee(self, windows: Sequence[SlotWindow], overlap: int) -> None:
        """Hear what the slots of the next windows go on to say, which then counts for the first of them too.

        Args:
            windows: those that this rule will be called with next.
            overlap: samples that neighbours share.
        """
        for window in windows:
            self._hear(window)
        said = self.identity.describe(windows[-1])
        ahead = [torch.zeros_like(said)]
        for window, following in reversed(list(pairwise(windows))):
            end = window.waves[..., window.waves.shape[-1] - overlap :]
            source, sureness = self._followed(end, following.waves)
            ahead.append(take(self.keep * sureness[..., None] * (said + ahead[-1]), source.argsort(dim=1)))
            said = self.identity.describe(window)
        self._ahead = torch.stack(ahead[::-1])

    def __call__(
        self, shared: Float[Tensor, "batch slots channels overlap"] | None, window: SlotWindow
    ) -> Int[Tensor, "batch slots"]:
        """Match the window's slots to the outputs so far; the first window's order is the outputs' order."""
        self._hear(window)
        said = gathered = self.identity.describe(window)
        if shared is None or self._gathered is None:
            order = AsGiven()(shared, window)
        else:
            before, sureness = self._followed(shared, window.waves)
            carried = self.keep * sureness[..., None] * take(self._gathered, before)
            gathered = said + carried
            ahead = 0 if self._ahead is None else self._ahead[0]
            # what a slot has just said is no evidence for itself
            evidence = self.identity.evidence(gathered + ahead, take(carried, before.argsort(dim=1)))
            evidence = evidence - evidence.amax(dim=2, keepdim=True)  # what all outputs share only costs digits
            stays = torch.nn.functional.one_hot(before, before.shape[1]).to(evidence)
            # where nothing is said, slots stay in their places
            order = self.matcher(-(evidence + stays * (self.loyalty * sureness + 1e-3)[..., None]))
        if self._ahead is not None:
            self._ahead = self._ahead[1:] if len(self._ahead) > 1 else None
        self._gathered = take(gathered, order)
        self.identity.remember(take(said, order))
        return order

    def _hear(self, window: SlotWindow) -> None:
        total = window.waves.square().mean(dim=3).sum(dim=(1, 2))
        self._loudest = total if self._loudest is None else torch.maximum(self._loudest * 0.995, total)

    def _followed(
        self, shared: Float[Tensor, "batch slots channels overlap"], waves: Float[Tensor, "batch slots channels window"]
    ) -> tuple[Int[Tensor, "batch slots"], Float[Tensor, "batch slots"]]:
        """Return for every slot the output that it goes on from, and how sure that is, 0 to 1."""
        assert self._loudest is not None
        size = shared.shape[-1]
        new = rearrange(waves[..., :size], "batch slots channels time -> batch slots (channels time)")
        old = rearrange(shared, "batch slots channels time -> batch slots (channels time)")
        error = torch.cdist(new, old, compute_mode="donot_use_mm_for_euclid_dist").square()
        energy = new.square().sum(dim=2)
        floor = (1e-3 * size * self._loudest).clamp_min(1e-20)  # 30 dB below the loudest window counts as silence
        return self.matcher(error).argsort(dim=1), energy / (energy + floor[:, None])


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


def join(
    windows: Float[Tensor, "batch steps slots channels window"],
    length: int,
    hop: int,
    matcher: Matcher,
    reference: Float[Tensor, "batch sources channels time"] | None = None,
) -> Float[Tensor, "batch slots channels time"]:
    """Join all windows of a recording, blindly or, for evaluation, by its true sources."""
    rule: JoiningRule = ByOverlap(matcher) if reference is None else ByReference(matcher, reference, hop)
    joiner = Joiner(windows.shape[-1], hop, rule)
    pieces = [joiner.push(SlotWindow(window))[0] for window in windows.unbind(1)]
    return torch.cat([*pieces, joiner.finish()], dim=-1)[..., :length]


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
