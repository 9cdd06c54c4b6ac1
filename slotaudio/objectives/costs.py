"""Pairwise costs "batch slots sources": what it costs to give a source to a slot. Low is good.

Each is computed from inner products, so that no tensor of every slot times every source times every sample is made.
"""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from slotaudio.errors import UserError

FLOOR = 1e-8
"""Mean square that counts as digital silence: -80 dB of full scale."""

AUDIBLE = 1e-4
"""A source with less than this share of the mixture's power (-40 dB) counts as silent."""

SILENCE_CAP = 1e-2
"""A slot meant to be silent is silent enough 20 dB below the mixture."""

Pairwise = Float[Tensor, "batch slots sources"]
Waves = Float[Tensor, "batch slots channels time"]
References = Float[Tensor, "batch sources channels time"]
Mixture = Float[Tensor, "batch channels time"]


def spectral_mse(
    estimates: Float[Tensor, "batch slots channels freq frames"],
    references: Float[Tensor, "batch sources channels freq frames"],
) -> Pairwise:
    """Mean squared error of compressed magnitudes: the loss of AudioSlots (arXiv 2305.05591, section 3).

    In float32 the expansion ``|a|² - 2ab + |b|²`` is wrong by 1e-7 of ``|a|²``, far below any error that a model
    reaches.
    """
    products, estimated = _products(estimates, references)
    return _squared_error(products, estimated, _power(references))


def snr(estimates: Waves, references: References, mixture: Mixture, cap: float = 30.0) -> Pairwise:
    """Negative signal-to-noise ratio in dB, softly capped (MixIT, Wisdom et al. 2020, arXiv 2006.12701, equation 2).

    ``10 log10((|s - ŝ|² + t |s|²) / |s|²)`` with ``t = 10^(-cap/10)``: between ``-cap`` for a perfect estimate and 0
    for none. A silent source has no such ratio; its cost is the level of the estimate against the mixture,
    ``10 log10(|ŝ|² / |x|² + 0.01)``, between -20 for silence and 0 for the mixture itself (FUSS, arXiv 2011.00803).
    """
    (products, estimated), power = _products(estimates, references), _power(references)
    error = _squared_error(products, estimated, power)
    ratio = (error + 10 ** (-cap / 10) * power[:, None]) / power.clamp_min(FLOOR)[:, None]
    # where both are silent the ratio is 0, and so is the gradient of the clamped one
    return _or_silence(10 * torch.log10(ratio.clamp_min(1e-8)), estimated, power, mixture)


def si_sdr(estimates: Waves, references: References, mixture: Mixture, cap: float = 30.0) -> Pairwise:
    """Negative scale-invariant signal-to-distortion ratio in dB, softly capped at both ends.

    Le Roux et al. 2019, arXiv 1811.02508, equation 5, written with the squared cosine r of estimate and source:
    ``-10 log10((r + t) / (1 - r + t))``. With ``t = 1 / (10^(cap/10) - 1)`` it lies between ``-cap`` and ``cap`` and
    has a finite gradient even for a silent estimate. A silent source has no such ratio: see `snr`.
    """
    (products, estimated), power = _products(estimates, references), _power(references)
    cosine = products.square() / (estimated.clamp_min(FLOOR**2)[:, :, None] * power.clamp_min(FLOOR)[:, None])
    cosine, soft = cosine.clamp(max=1.0), 1 / (10 ** (cap / 10) - 1)
    return _or_silence(10 * torch.log10((1 - cosine + soft) / (cosine + soft)), estimated, power, mixture)


WAVE_COSTS: dict[str, Callable[[Waves, References, Mixture], Pairwise]] = {"snr": snr, "si_sdr": si_sdr}
"""Costs of waves by name; the one cost of magnitudes is `spectral_mse`."""


def check_cost_name(name: str) -> None:
    """Raise unless `name` is a cost.

    Raises:
        UserError: lists the costs.
    """
    known = ("spectral_mse", *WAVE_COSTS)
    if name not in known:
        raise UserError(f"cost {name!r} is not known; choose one of {', '.join(known)}")


def audible(power: Float[Tensor, "batch *rest"], mixture: Mixture) -> Bool[Tensor, "batch *rest"]:
    """Tell which powers (mean squares) can be heard within their mixture, and at all."""
    return _audible(power, _power(mixture[:, None]))


def _audible(power: Float[Tensor, "batch *rest"], total: Float[Tensor, "batch 1"]) -> Bool[Tensor, "batch *rest"]:
    return power > (AUDIBLE * total).clamp_min(FLOOR).reshape(-1, *[1] * (power.ndim - 1))


def _or_silence(
    active: Pairwise, estimated: Float[Tensor, "batch slots"], power: Float[Tensor, "batch sources"], mixture: Mixture
) -> Pairwise:
    """Use `active` where the source of that power can be heard, the level of the estimate where it cannot."""
    total = _power(mixture[:, None])
    silent = 10 * torch.log10(estimated / total.clamp_min(FLOOR) + SILENCE_CAP)
    return torch.where(_audible(power, total)[:, None], active, silent[:, :, None])


def _squared_error(
    products: Pairwise, estimated: Float[Tensor, "batch slots"], power: Float[Tensor, "batch sources"]
) -> Pairwise:
    return estimated[:, :, None] - 2 * products + power[:, None]


def _products(
    estimates: Float[Tensor, "batch slots *signal"], references: Float[Tensor, "batch sources *signal"]
) -> tuple[Pairwise, Float[Tensor, "batch slots"]]:
    """Return the mean product of every estimate with every reference, and the mean square of each estimate."""
    if estimates.device.type == "cpu":
        with torch.autocast("cpu", enabled=False):
            return _Products.apply(estimates.flatten(2), references.flatten(2))
    # by multiplying and adding: accelerators may round what goes into a matrix product to ten bits
    columns = [(estimates * reference[:, None]).flatten(2).mean(-1) for reference in references.unbind(1)]
    return torch.stack(columns, dim=-1), _power(estimates)


class _Products(torch.autograd.Function):
    """Both in one step, for the sake of the gradient: it is written once, not once for each product and added up."""

    generate_vmap_rule = True

    @staticmethod
    def forward(
        estimates: Float[Tensor, "batch slots time"], references: Float[Tensor, "batch sources time"]
    ) -> tuple[Pairwise, Float[Tensor, "batch slots"]]:
        return torch.matmul(estimates, references.mT) / estimates.shape[-1], _power(estimates)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: tuple[Tensor, Tensor]) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(
        ctx: Any, products: Pairwise, powers: Float[Tensor, "batch slots"]
    ) -> tuple[Float[Tensor, "batch slots time"] | None, Float[Tensor, "batch sources time"] | None]:
        estimates, references = ctx.saved_tensors
        products, powers = products / estimates.shape[-1], 2 * powers / estimates.shape[-1]
        wanted, also = ctx.needs_input_grad
        return (
            (powers[..., None] * estimates).baddbmm_(products, references) if wanted else None,
            torch.matmul(products.mT, estimates) if also else None,
        )


def _power(signals: Float[Tensor, "batch rows *signal"]) -> Float[Tensor, "batch rows"]:
    return signals.flatten(2).square().mean(-1)
