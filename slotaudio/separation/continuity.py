"""Joining blindly: what a slot holds goes on in the next window, and a voice stays the same output."""

from collections.abc import Sequence

import torch
from einops import einsum, rearrange, repeat
from jaxtyping import Float, Int
from torch import Tensor

from slotaudio.separation.identity import FRAME_SECONDS, Identity, VoiceMemory, mel_power
from slotaudio.separation.joining import SlotWindow, take
from slotaudio.separation.orders import MOST_ORDERED, Orders
from slotaudio.types import Matcher

_WHISPER = 0.5
"""Nats for shared samples next to silence that differ by all the energy of both slots."""


class ByContinuity:
    """Follow slots from window to window and voices through pauses: orders are the states of a hidden Markov model.

    Windows that overlap heard the same samples: the slot that made the same of them goes on. Where they lie side by
    side sound goes on all the same: the spectrum of a slot's last 32 ms before the seam is hardly another than that
    of its first 32 ms after it. In a pause neither says anything; then voices do, by which a slot is one of
    the outputs (`slotaudio.separation.identity`).

    All orders of the slots are weighed over the windows that are foreseen (`slotaudio.separation.orders`). The
    likeliest order of each window is taken; the voices are learnt from all orders by their probabilities, so that a
    doubtful window teaches little.

    Args:
        matcher: the one the model was trained with; only orders that it can give are considered.
        identity: knows what each output sounds like; `VoiceMemory` by default.
        sample_rate: in hertz.
        sameness: nats for shared samples that differ by all the energy of both slots.
        steadiness: nats for the mean difference of a seam's bands, which is the root of that in log energy.
        lapses: share of transitions at which a slot does not go on, of overlapping windows and at a seam. The default
            is for slots that are one voice throughout their window.
        trust: of the evidence of voices; what is said in one window is of one piece.
    """

    def __init__(
        self,
        matcher: Matcher,
        identity: Identity | None = None,
        sample_rate: int = 16000,
        sameness: float = 15.0,
        steadiness: float = 5.5,
        lapses: tuple[float, float] = (1e-7, 1e-2),
        trust: float = 0.12,
    ) -> None:
        self.matcher = matcher
        self.identity = VoiceMemory(sample_rate) if identity is None else identity
        self.sample_rate = sample_rate
        self.sameness = sameness
        self.steadiness = steadiness
        self.overlap_lapse, self.seam_lapse = lapses
        self.trust = trust
        self._waves: Float[Tensor, "batch slots channels window"] | None = None  # the last ones, slots as given
        self._last: Int[Tensor, "batch slots"] | None = None  # the order taken for it
        self._loudest: Float[Tensor, " batch"] | None = None
        self._weights = Orders(matcher)
        self._orders: Int[Tensor, "windows batch slots"] | None = None  # decided, not asked for yet

    def foresee(self, windows: Sequence[SlotWindow], overlap: int) -> None:
        """Decide the orders of the next windows: together, but for the first ones, which make the voices known."""
        known = self._last is not None
        groups = [windows] if known else [[window] for window in windows]
        self._orders = torch.cat([self._decide(group, overlap) for group in groups])

    def _decide(self, windows: Sequence[SlotWindow], overlap: int) -> Int[Tensor, "windows batch slots"]:
        said = torch.stack([self.identity.describe(window) for window in windows])
        links = self._links(windows, overlap)
        evidence = self._evidence(said)
        if said.shape[2] > MOST_ORDERED:  # each window is decided by itself
            orders = self._one_by_one(links, evidence, said)
        else:
            lapse = self.overlap_lapse if overlap else self.seam_lapse
            orders = self._together(links, evidence, said, lapse)
        self._last = orders[-1]
        return orders

    def __call__(
        self, shared: Float[Tensor, "batch slots channels overlap"] | None, window: SlotWindow
    ) -> Int[Tensor, "batch slots"]:
        """Return for every output its slot; the first window's order is the outputs' order."""
        if self._orders is None:
            self.foresee([window], 0 if shared is None else shared.shape[-1])
        assert self._orders is not None
        order, rest = self._orders[0], self._orders[1:]
        self._orders = rest if len(rest) else None
        return order

    def _links(self, windows: Sequence[SlotWindow], overlap: int) -> Float[Tensor, "windows batch slots slots2"]:
        """How well each slot of a window (last axis) goes on from each of the window before, in nats."""
        waves = torch.stack([window.waves for window in windows])
        size = overlap or min(waves.shape[-1], round(FRAME_SECONDS * self.sample_rate))
        last, self._waves = self._waves, waves[-1].clone()
        if last is None:  # the first window, which is decided by itself, goes on from nothing
            return waves.new_zeros(*waves.shape[:3], waves.shape[2])
        begins, ends = waves[..., :size], waves[..., -size:]
        before = torch.cat([last[None, ..., -size:], ends[:-1]])
        return self._same(before, begins) if overlap else self._alike(before, begins)

    def _same(
        self,
        before: Float[Tensor, "windows batch slots channels time"],
        begins: Float[Tensor, "windows batch slots channels time"],
    ) -> Float[Tensor, "windows batch slots slots2"]:
        """Of samples that both windows heard: by their difference."""
        old, new = before.flatten(3), begins.flatten(3)
        error = torch.cdist(old, new, compute_mode="donot_use_mm_for_euclid_dist").square()
        energy = old.square().sum(dim=3)[..., None] + new.square().sum(dim=3)[..., None, :]
        silence = self._floors(new.square().sum(dim=(2, 3)), 1e-3)[..., None, None]
        return -error * (self.sameness / (energy + silence) + _WHISPER / energy.clamp_min(1e-20))

    def _alike(
        self,
        before: Float[Tensor, "windows batch slots channels time"],
        begins: Float[Tensor, "windows batch slots channels time"],
    ) -> Float[Tensor, "windows batch slots slots2"]:
        """Of samples that follow each other: by their spectra."""
        count = len(before)
        both = rearrange(torch.cat([before, begins]), "windows batch slots c t -> (windows batch) slots c t")
        power = mel_power(both, self.sample_rate).unflatten(0, (2 * count, -1))
        loudest = torch.maximum(power[:count], power[count:]).mean(dim=3).amax(dim=2)
        power = power + self._floors(loudest, 1e-4).repeat(2, 1)[..., None, None]
        old, new = power.log().split(count)
        return -self.steadiness * (old[:, :, :, None] - new[:, :, None]).abs().sqrt().mean(dim=-1)

    def _floors(self, energy: Float[Tensor, "windows batch"], share: float) -> Float[Tensor, "windows batch"]:
        """Return what counts as silence in each window: a share of the loudest so far."""
        floors = []
        for here in energy:
            self._loudest = here if self._loudest is None else torch.maximum(0.999 * self._loudest, here)
            floors.append(share * self._loudest.clamp_min(1e-16))
        return torch.stack(floors)

    def _evidence(
        self, said: Float[Tensor, "windows batch slots statistics"]
    ) -> Float[Tensor, "windows batch slots outputs"]:
        """Whose voice each slot of each window has, in nats."""
        windows, _, slots, _ = said.shape
        if self._last is None:
            return said.new_zeros(*said.shape[:3], slots)
        flat = rearrange(said, "windows batch slots d -> batch (windows slots) d")
        return self.trust * rearrange(
            self.identity.evidence(flat), "batch (windows slots) o -> windows batch slots o", windows=windows
        )

    def _one_by_one(
        self,
        links: Float[Tensor, "windows batch slots slots2"],
        evidence: Float[Tensor, "windows batch slots outputs"],
        said: Float[Tensor, "windows batch slots statistics"],
    ) -> Int[Tensor, "windows batch slots"]:
        """Take the best order of each window after that of the window before."""
        _, batch, slots, _ = said.shape
        first = repeat(torch.arange(slots, device=said.device), "slots -> batch slots", batch=batch)
        orders, last = [], self._last
        for link, hear, words in zip(links, evidence, said, strict=True):
            # where nothing tells slots apart, they stay in their places
            last = first if last is None else self.matcher(-(take(link, last).mT + hear + 1e-6 * torch.eye(slots)))
            orders.append(last)
            self.identity.remember(take(words, last))
        return torch.stack(orders)

    def _together(
        self,
        links: Float[Tensor, "windows batch slots slots2"],
        evidence: Float[Tensor, "windows batch slots outputs"],
        said: Float[Tensor, "windows batch slots statistics"],
        lapse: float,
    ) -> Int[Tensor, "windows batch slots"]:
        """Weigh all orders of all windows against each other."""
        slots = said.shape[2]
        orders = self._weights.possible(slots).to(said.device)
        heard = evidence[:, :, orders, torch.arange(slots)].sum(dim=-1)
        moves = links[:, :, orders[:, None], orders[None, :]].sum(dim=-1).softmax(dim=-1)
        probable = self._weights.weigh(((1 - lapse) * moves + lapse / len(orders)).log(), heard)
        for each, words in zip(probable, said, strict=True):
            self.identity.remember(einsum(each, words[:, orders], "batch p, batch p o d -> batch o d"))
        return orders[probable.argmax(dim=-1)]
