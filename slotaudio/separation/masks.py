"""Masks: from compressed magnitudes of the slots to sources on the mixture's phase."""

from collections.abc import Callable, Mapping
from functools import partial

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from slotaudio.errors import UserError
from slotaudio.spec import Spec
from slotaudio.types import Estimates, Frontend, Spectrum

Magnitudes = Float[Tensor, "batch slots channels freq frames"]


def binary(magnitudes: Magnitudes) -> Magnitudes:
    """Give each cell wholly to the loudest slot (the paper's "ideal-binary-like" mask)."""
    winner = magnitudes.argmax(dim=1, keepdim=True)
    return torch.zeros_like(magnitudes).scatter(1, winner, 1.0)


def wiener(magnitudes: Magnitudes, exponent: float = 2.0) -> Magnitudes:
    """Share each cell by magnitude to the power of `exponent`; cells all silent are shared equally.

    An exponent of 2 is the Wiener filter. The paper does not say; its oracle rows agree with 2, not with 1.
    """
    # relative to the loudest slot, so that no power under- or overflows
    relative = magnitudes / magnitudes.amax(dim=1, keepdim=True).clamp_min(1e-20)
    weights = relative.clamp_min(1e-12) ** exponent
    return weights / weights.sum(dim=1, keepdim=True)


_MASKS: dict[str, tuple[Callable[..., Magnitudes], set[str]]] = {
    "binary": (binary, set()),
    "wiener": (wiener, {"exponent"}),
}


def mask_function(like: Spec | str | Mapping[str, object]) -> Callable[[Magnitudes], Magnitudes]:
    """Return the mask by name: ``"binary"``, ``"wiener"`` or ``Spec("wiener", exponent=1)``.

    Raises:
        UserError: unknown name or option.
    """
    spec = Spec.of(like)
    function, options = _MASKS.get(spec.name, (None, set()))
    if function is None or not set(spec.options) <= options:
        asked = spec.to_dict() if spec.options else spec.name
        raise UserError(f"mask {asked!r} is not known; choose 'binary' or 'wiener' (option: exponent)")
    return partial(function, **spec.options)


def synthesise(
    estimates: Estimates,
    spectrum: Spectrum,
    frontend: Frontend,
    mask: Spec | str | Mapping[str, object] = "wiener",
) -> Float[Tensor, "batch slots channels time"]:
    """Turn estimates into sources: masks act on the mixture's spectrum, waves pass through."""
    if estimates.waves is not None:
        return estimates.waves
    factors = estimates.masks
    if factors is None:
        assert estimates.magnitudes is not None  # Estimates holds exactly one of the three
        factors = mask_function(mask)(frontend.expand(estimates.magnitudes.float()))  # type: ignore[attr-defined]
    batch = factors.shape[0]
    masked = spectrum.values[:, None] * factors
    flat = rearrange(masked, "batch slots channels freq frames -> (batch slots) channels freq frames")
    return rearrange(
        frontend.inverse(flat, spectrum.length),
        "(batch slots) channels time -> batch slots channels time",
        batch=batch,
    )
