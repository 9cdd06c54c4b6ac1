"""Clips as windows, windows as rows, and estimates of every kind as compressed magnitudes."""

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from slotaudio.errors import UserError
from slotaudio.separation.windows import split
from slotaudio.types import CompressingFrontend, Estimates, Frontend, Spectrum


def cut(
    waves: Float[Tensor, "batch sources channels time"], window: int | None
) -> Float[Tensor, "batch steps sources channels window"]:
    """Cut into adjacent windows of `window` samples, the last filled up with silence; None leaves one."""
    window = window or waves.shape[-1]
    flat = rearrange(waves, "batch sources channels time -> batch (sources channels) time")
    return rearrange(
        split(flat, window, hop=window),
        "batch steps (sources channels) window -> batch steps sources channels window",
        channels=waves.shape[2],
    )


def exact(values: Float[Tensor, "*axes"]) -> Float[Tensor, "*axes"]:
    """Return values in float32 at least: autocast may have made them bfloat16."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def lay_out(windows: Float[Tensor, "batch steps rows *signal"], whole: bool) -> Float[Tensor, "rows_out rows *longer"]:
    """Join windows along their last axis (`whole` clips), or make each of them a batch item."""
    target = "batch rows ... (steps last)" if whole else "(batch steps) rows ... last"
    return rearrange(windows, f"batch steps rows ... last -> {target}")


def magnitudes_of(
    estimates: Estimates, spectrum: Spectrum, frontend: Frontend
) -> Float[Tensor, "batch slots channels freq frames"]:
    """Return the compressed magnitudes that estimates of any kind stand for.

    Raises:
        UserError: the frontend has no compressed magnitudes.
    """
    if estimates.magnitudes is not None:
        return exact(estimates.magnitudes)
    if estimates.waves is not None:
        return magnitudes_of_waves(exact(estimates.waves), frontend)
    assert estimates.masks is not None  # Estimates holds exactly one of the three
    masked = rearrange(
        spectrum.values[:, None] * estimates.masks,
        "batch slots channels freq frames -> (batch slots) channels freq frames",
    )
    return _compressing(frontend).compress(masked).unflatten(0, (len(estimates.masks), -1))


def magnitudes_of_waves(
    waves: Float[Tensor, "batch sources channels time"], frontend: Frontend
) -> Float[Tensor, "batch sources channels freq frames"]:
    """Return the compressed magnitudes of waves.

    Raises:
        UserError: the frontend has no compressed magnitudes.
    """
    compressing = _compressing(frontend)
    flat = rearrange(waves, "batch sources channels time -> (batch sources) channels time")
    return compressing.compress(compressing(flat).values).unflatten(0, waves.shape[:2])


def _compressing(frontend: Frontend) -> CompressingFrontend:
    if not isinstance(frontend, CompressingFrontend):
        raise UserError(
            f"cost 'spectral_mse' compares compressed magnitudes, which frontend {type(frontend).__name__} does not "
            "have: choose cost='snr' or cost='si_sdr', or the frontend 'stft'"
        )
    return frontend
