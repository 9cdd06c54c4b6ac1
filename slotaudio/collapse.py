"""Slot collapse: how often two slots take the loudest source of a window, and how alike slots are inside."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from slotaudio.errors import UserError
from slotaudio.types import Slots

AUDIBLE = 1e-3
"""Energy below this share (-30 dB) of the window's loudest source counts as silence."""


@dataclass(frozen=True)
class Collapse:
    """How many windows were looked at, and in how many of them slots had collapsed."""

    windows: int
    """Windows in which at least two sources can be heard: with one, there is nothing to share out."""
    collapsed: int

    @property
    def share(self) -> float:
        """Collapsed windows of all; NaN if there were none."""
        return self.collapsed / self.windows if self.windows else float("nan")

    def __add__(self, other: "Collapse") -> "Collapse":
        return Collapse(self.windows + other.windows, self.collapsed + other.collapsed)


def collapse(
    estimates: Float[Tensor, "windows slots channels time"], sources: Float[Tensor, "_ sources _ _"]
) -> Collapse:
    """Count the windows in which two slots or more take the loudest source.

    A slot takes the source that it is most similar to, by the absolute cosine of the two waves; so level and sign
    do not matter, and a slot that mixes two sources takes the louder of them. Slots and sources that are silent
    (`AUDIBLE`) take nothing and are not taken. Surplus slots that repeat the loudest source count as collapsed.

    Args:
        estimates: one wave per slot of every window, before any joining.
        sources: ``windows sources channels time``, of the same windows.

    Raises:
        UserError: estimates and sources of different windows, channels or length.
    """
    if estimates.shape[0] != sources.shape[0] or estimates.shape[2:] != sources.shape[2:]:
        raise UserError(
            f"collapse: estimates of shape {tuple(estimates.shape)} do not belong to sources of shape "
            f"{tuple(sources.shape)}: windows, channels and time must agree"
        )
    flat_estimates, flat_sources = estimates.double().flatten(2), sources.double().flatten(2)
    energy = flat_sources.square().sum(-1)
    loudest = energy.max(dim=1, keepdim=True)
    heard = _audible(energy, loudest.values)
    similarity = (_unit(flat_estimates) @ _unit(flat_sources).mT).abs().masked_fill(~heard[:, None], -1.0)
    taken = similarity.argmax(dim=2)
    active = _audible(flat_estimates.square().sum(-1), loudest.values)
    on_the_loudest = ((taken == loudest.indices) & active).sum(dim=1)
    counted = heard.sum(dim=1) >= 2
    return Collapse(int(counted.sum()), int((counted & (on_the_loudest >= 2)).sum()))


def attention_overlap(
    attention: Float[Tensor, "batch steps slots tokens"],
) -> Float[Tensor, "batch steps"]:
    """Return how much of their attention two slots spend on the same tokens: 0 for none, 1 for all of it.

    Each slot's attention is first made to sum to one over the tokens, whatever axis the bottleneck's softmax was over;
    the overlap of two slots is the sum of the lesser of the two shares. The mean over all pairs of slots is returned.

    Raises:
        UserError: less than two slots.
    """
    spread = attention / attention.sum(dim=-1, keepdim=True).clamp_min(torch.finfo(attention.dtype).tiny)
    return _mean_of_pairs(torch.minimum(spread[:, :, :, None], spread[:, :, None]).sum(-1))


def slot_similarity(vectors: Float[Tensor, "batch steps slots dim"]) -> Float[Tensor, "batch steps"]:
    """Return the cosine of two slots' vectors, 1 for the same direction; the mean over all pairs of slots.

    Raises:
        UserError: less than two slots.
    """
    unit = torch.nn.functional.normalize(vectors, dim=-1)
    return _mean_of_pairs(unit @ unit.mT)


def alike(windows: Sequence[Slots]) -> dict[str, float]:
    """Return the means of `slot_similarity` and, where there is attention, of `attention_overlap` over windows.

    Nothing is returned of no windows, or of less than two slots.
    """
    if not windows or windows[0].vectors.shape[2] < 2:
        return {}
    found = {"slot_similarity": torch.cat([slot_similarity(slots.vectors.float()) for slots in windows], dim=1)}
    attention = [slots.attention.float() for slots in windows if slots.attention is not None]
    if attention:
        found["attention_overlap"] = torch.cat([attention_overlap(shares) for shares in attention], dim=1)
    return {name: float(values.mean()) for name, values in found.items()}


def _mean_of_pairs(values: Float[Tensor, "batch steps slots slots"]) -> Float[Tensor, "batch steps"]:
    slots = values.shape[-1]
    if slots < 2:
        raise UserError(f"collapse: {slots} slot cannot be compared with another")
    first, second = torch.triu_indices(slots, slots, offset=1)
    return values[..., first, second].mean(dim=-1)


def _audible(
    energy: Float[Tensor, "windows rows"], loudest: Float[Tensor, "windows 1"]
) -> Bool[Tensor, "windows rows"]:
    return (energy > AUDIBLE * loudest) & (loudest > 0)


def _unit(waves: Float[Tensor, "windows rows time"]) -> Float[Tensor, "windows rows time"]:
    return torch.nn.functional.normalize(waves, dim=-1)
