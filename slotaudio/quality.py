"""How well estimates of speech are understood, and how good they sound (``pip install "slotaudio[quality]"``).

None of these is in decibels. A silent reference has no value, nor has one that is too short or too quiet: NaN.
"""

import math
import warnings
from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from slotaudio.errors import UserError
from slotaudio.resampling import resample

_LOWEST_PESQ = 1.0
"""Of a silent estimate: no recording scores less."""

Measure = Callable[[Float[Tensor, "*batch time"], Float[Tensor, "*batch time"], int], Float[Tensor, "*batch"]]


def stoi(
    estimate: Float[Tensor, "*batch time"], reference: Float[Tensor, "*batch time"], rate: int
) -> Float[Tensor, "*batch"]:
    """Return the short-time objective intelligibility (Taal et al. 2011), about 0 to 1, by pystoi.

    Raises:
        UserError: pystoi is not installed.
    """
    return _each(lambda heard, wanted: _stoi(heard, wanted, rate, False), estimate, reference)


def estoi(
    estimate: Float[Tensor, "*batch time"], reference: Float[Tensor, "*batch time"], rate: int
) -> Float[Tensor, "*batch"]:
    """Return the extended STOI (Jensen and Taal 2016), which is for voices under other voices, by pystoi.

    Raises:
        UserError: pystoi is not installed.
    """
    return _each(lambda heard, wanted: _stoi(heard, wanted, rate, True), estimate, reference)


def pesq(
    estimate: Float[Tensor, "*batch time"], reference: Float[Tensor, "*batch time"], rate: int
) -> Float[Tensor, "*batch"]:
    """Return the perceived quality by ITU-T P.862, 1 to 4.6, by the package pesq.

    Of 8000 samples per second it is the narrow-band measure (P.862.1), of any other rate the wide-band one (P.862.2)
    at 16000.

    Raises:
        UserError: pesq is not installed.
    """
    package = _package("pesq")
    band = 8000 if rate == 8000 else 16000
    estimate, reference = resample(estimate, rate, band), resample(reference, rate, band)

    def measured(heard: np.ndarray, wanted: np.ndarray) -> float:
        if not heard.any():
            return _LOWEST_PESQ
        mode, silent = "nb" if band == 8000 else "wb", package.PesqError.RETURN_VALUES
        value = package.pesq(band, wanted, heard, mode, on_error=silent)
        return float(value) if value > 0 else math.nan

    return _each(measured, estimate, reference)


MEASURES: dict[str, Measure] = {"stoi": stoi, "estoi": estoi, "pesq": pesq}
"""Every measure by name."""


def _stoi(heard: np.ndarray, wanted: np.ndarray, rate: int, extended: bool) -> float:
    with warnings.catch_warnings():
        warnings.filterwarnings("error", category=RuntimeWarning, module="pystoi")
        try:
            return float(_package("pystoi").stoi(wanted, heard, rate, extended))
        except RuntimeWarning:  # less than 0.4 s of speech
            return math.nan


def _each(
    measure: Callable[[np.ndarray, np.ndarray], float],
    estimate: Float[Tensor, "*batch time"],
    reference: Float[Tensor, "*batch time"],
) -> Float[Tensor, "*batch"]:
    pairs = zip(
        *(wave.double().cpu().numpy().reshape(-1, wave.shape[-1]) for wave in (estimate, reference)), strict=True
    )
    values = [measure(heard, wanted) if wanted.any() else math.nan for heard, wanted in pairs]
    return torch.tensor(values, dtype=torch.float64, device=reference.device).reshape(reference.shape[:-1])


def _package(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError:
        raise UserError(
            f'this measure needs the package {name}, which is not installed: pip install "slotaudio[quality]"'
        ) from None
