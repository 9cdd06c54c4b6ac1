"""Mixtures of mixtures: learn to separate from recordings whose sources nobody knows."""

from functools import lru_cache
from itertools import product
from typing import Any

import torch
from einops import einsum
from jaxtyping import Float
from torch import Tensor

from slotaudio.errors import UserError
from slotaudio.objectives.costs import AUDIBLE, FLOOR
from slotaudio.objectives.views import cut, exact, lay_out
from slotaudio.types import Batch

_MOST_SLOTS = 12


class MixIT:
    """Add two recordings, separate the sum, and see which slots add up to the one and which to the other.

    Mixture-invariant training, Wisdom et al. 2020, arXiv 2006.12701, equations 2 and 3: of all ``2^K`` ways to give
    every slot to one of the two recordings, the best one is taken, exactly, and its loss is the mean over both
    of ``10 log10((|x - x̂|² + t |x|²) / |x|²)`` with ``t = 10^(-cap/10)``. It acts on waves, after the masks, since
    compressed magnitudes do not add. The sources of a batch are never looked at: ``sources = 1`` or
    the recordings themselves do as data.

    A model needs a slot for every source of both recordings: four for two speakers each. Recording i of a batch meets
    recording i + 1, the last one the first; a batch of one meets itself half its length later.

    Args:
        stretch: seconds whose slots are given away by themselves, as in `local`; 0 for the whole clip. Short
            stretches let a model tell voices apart before it can follow one.
        cap: dB at which the loss levels off.
        consistency: share out evenly what the slots together miss of the sum (Wisdom et al. 2019, arXiv 1811.08521);
            the authors of MixIT learn the shares.

    Raises:
        UserError: a negative stretch, or a model of fewer than 2 or more than 12 slots.
    """

    def __init__(self, slots: int, stretch: float = 0.0, cap: float = 30.0, consistency: bool = True) -> None:
        if stretch < 0:
            raise UserError(f"mixit: a stretch of {stretch} s is negative; 0 stands for the whole clip")
        if not 2 <= slots <= _MOST_SLOTS:
            raise UserError(
                f"mixit tries all 2^K ways to give K slots to two recordings; K = {slots} must be 2 to {_MOST_SLOTS}"
            )
        self.stretch = stretch
        self.cap = cap
        self.consistency = consistency

    def __call__(self, model: Any, batch: Batch) -> dict[str, Tensor]:
        """Return ``loss``, the negative ratio in dB: ``-cap`` at best, 0 for silence."""
        sides = partners(batch.mixture)
        both = sides.sum(1)
        prediction = model(cut(both[:, None], model.window_samples)[:, :, 0])
        with torch.autocast(both.device.type, enabled=False):
            waves = lay_out(exact(model.sources(prediction, len(both))), whole=True)[..., : both.shape[-1]]
            if self.consistency:
                waves = waves + (both - waves.sum(1))[:, None] / waves.shape[1]
            samples = round(self.stretch * model.sample_rate) or both.shape[-1]
            return {"loss": self._loss(cut(waves, samples), cut(sides, samples))}

    def _loss(
        self,
        waves: Float[Tensor, "batch stretches slots channels time"],
        sides: Float[Tensor, "batch stretches sides channels time"],
    ) -> Float[Tensor, ""]:
        with torch.no_grad():
            ways = mixings(waves.shape[2], waves.device)
            errors = errors_of(ways, waves.flatten(0, 1), sides.flatten(0, 1))
            each = self._ratio(errors, sides.flatten(0, 1).square().sum(dim=(2, 3)).double()[:, None])
            chosen = ways[each.sum(-1).argmin(1)].to(waves).unflatten(0, waves.shape[:2])
        remixed = einsum(
            chosen, waves, "batch stretches sides slots, batch stretches slots ... -> batch stretches sides ..."
        )
        error = (remixed - sides).square().sum(dim=(1, 3, 4))
        return self._ratio(error, sides.square().sum(dim=(1, 3, 4))).mean()

    def _ratio(
        self, error: Float[Tensor, "*rows sides"], power: Float[Tensor, "*#rows sides"]
    ) -> Float[Tensor, "*rows sides"]:
        """Return the negative ratio of both sides in dB; a silent side is measured against the other one's power."""
        whole = power.sum(-1, keepdim=True)
        reference = torch.where(power > AUDIBLE * whole, power, whole).clamp_min(FLOOR)
        return 10 * torch.log10(error / reference + 10 ** (-self.cap / 10))


def partners(mixture: Float[Tensor, "batch channels time"]) -> Float[Tensor, "batch sides channels time"]:
    """Return every recording of a batch beside the one it is added to."""
    if len(mixture) == 1:
        return torch.stack([mixture, mixture.roll(mixture.shape[-1] // 2, dims=-1)], dim=1)
    return torch.stack([mixture, mixture.roll(-1, dims=0)], dim=1)


def errors_of(
    ways: Float[Tensor, "ways sides slots"],
    waves: Float[Tensor, "rows slots channels time"],
    sides: Float[Tensor, "rows sides channels time"],
) -> Float[Tensor, "rows ways sides"]:
    """Return the energy of the error of both sides for every way to give the slots away.

    Only inner products are needed: ``|x - Σ ŝ|² = |x|² - 2 Σ <x, ŝ> + Σ Σ <ŝ, ŝ>``. In float64 the differences are
    exact enough for any cap, and no accelerator rounds the products to ten bits.
    """
    slots, wanted = waves.flatten(2).double(), sides.flatten(2).double()
    inside = einsum(ways, slots @ slots.mT, ways, "ways sides k, rows k l, ways sides l -> rows ways sides")
    cross = einsum(ways, wanted @ slots.mT, "ways sides k, rows sides k -> rows ways sides")
    return (wanted.square().sum(-1)[:, None] - 2 * cross + inside).clamp_min(0)


@lru_cache(maxsize=16)
def mixings(slots: int, device: torch.device) -> Float[Tensor, "ways sides slots"]:
    """Return all ``2^K`` mixing matrices of two sides: every slot belongs to exactly one of them."""
    first = torch.tensor(list(product((1.0, 0.0), repeat=slots)), dtype=torch.float64, device=device)
    return torch.stack([first, 1 - first], dim=1)
