"""Joining: which slot of a window goes on in which output.

A model sees one window at a time and its slots are a *set*: window by window they come in any order.
A joining rule puts each window's slots into the order of the outputs; `Joiner` then cross-fades.
"""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from einops import rearrange, repeat
from jaxtyping import Float, Int
from torch import Tensor

from slotaudio.separation.identity import Identity, band_envelope, resemblance
from slotaudio.separation.windows import CrossFade
from slotaudio.types import Matcher


@dataclass(frozen=True)
class SlotWindow:
    """What a model made of one window, one entry per slot, in the model's order."""

    waves: Float[Tensor, "batch slots channels window"]
    vectors: Float[Tensor, "batch slots dim"] | None = None
    presence: Float[Tensor, "batch slots"] | None = None


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


class ByOverlap:
    """Blind: match on the samples that neighbouring windows share; through pauses, on a memory of each output.

    The cost of going on with slot i in output j is the energy of their difference on the shared samples,
    relative to the energy there, plus a little of how differently the two sound. The second part decides
    when the shared samples are (nearly) silent: in a pause, or for windows that do not overlap.

    Args:
        matcher: the one the model was trained with.
        identity: describes what a slot sounds like (see `slotaudio.separation.identity`).
        weight: of the memory beside the shared samples.
        rate: share of a new window in the memory.
    """

    def __init__(
        self, matcher: Matcher, identity: Identity = band_envelope, weight: float = 0.1, rate: float = 0.05
    ) -> None:
        self.matcher = matcher
        self.identity = identity
        self.weight = weight
        self.rate = rate
        self.memory: Float[Tensor, "batch slots dim"] | None = None
        self.loudest: Float[Tensor, " batch"] | None = None

    def __call__(
        self, shared: Float[Tensor, "batch slots channels overlap"] | None, window: SlotWindow
    ) -> Int[Tensor, "batch slots"]:
        """Match the window's slots to the outputs so far; the first window's order is the outputs' order."""
        waves = window.waves
        slots = waves.shape[1]
        power = waves.square().mean(dim=(2, 3))  # batch slots
        total = power.sum(dim=1)
        self.loudest = total if self.loudest is None else torch.maximum(self.loudest * 0.99, total)
        described = self.identity(window)
        if shared is None or self.memory is None:
            order = AsGiven()(shared, window)
            self.memory = torch.zeros_like(described)
        else:
            cost = self.weight * (1 - resemblance(described, self.memory)) + self._difference(waves, shared)
            order = complete(self.matcher(cost), slots)
        # an output is remembered by what it says, not by its silences
        share = self.rate * (power.gather(1, order) / self.loudest[:, None].clamp_min(1e-20)).clamp(max=1)
        self.memory = torch.lerp(self.memory, take(described, order), share[..., None])
        return order

    def _difference(
        self, waves: Float[Tensor, "batch slots channels window"], shared: Float[Tensor, "batch slots channels overlap"]
    ) -> Float[Tensor, "batch slots outputs"]:
        assert self.loudest is not None
        size = shared.shape[-1]
        new = rearrange(waves[..., :size], "batch slots channels time -> batch slots (channels time)")
        old = rearrange(shared, "batch slots channels time -> batch slots (channels time)")
        error = torch.cdist(new, old, compute_mode="donot_use_mm_for_euclid_dist").square()
        energy = old.square().sum(dim=(1, 2))
        floor = 1e-3 * size * shared.shape[2] * self.loudest  # 30 dB below the loudest window counts as silence
        return error / (energy + floor).clamp_min(1e-20)[:, None, None]


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

    def push(self, window: SlotWindow) -> tuple[Float[Tensor, "batch slots channels hop"], Int[Tensor, "batch slots"]]:
        """Add the next window; return the finished samples and, for every output, its slot in this window."""
        order = self.rule(self._fade.tail, window)
        return self._fade.push(take(window.waves, order)), order

    def finish(self) -> Float[Tensor, "batch slots channels overlap"]:
        """Return the samples of the last window that were waiting for a next one."""
        assert self._fade.tail is not None, "finish() before the first push()"
        return self._fade.tail


def join(
    windows: Float[Tensor, "batch steps slots channels window"],
    length: int,
    hop: int,
    matcher: Matcher,
    reference: Float[Tensor, "batch sources channels time"] | None = None,
) -> Float[Tensor, "batch slots channels time"]:
    """Join all windows of a recording, blindly or, for evaluation, by its true sources."""
    rule = ByOverlap(matcher) if reference is None else ByReference(matcher, reference, hop)
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
    values: Float[Tensor, "batch slots *axes"], order: Int[Tensor, "batch slots"]
) -> Float[Tensor, "batch slots *axes"]:
    """Reorder the slots of each batch item."""
    return values[torch.arange(len(values), device=values.device)[:, None], order]
