"""The SDR of the music separation literature, in both of its readings."""

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

_TINY = torch.finfo(torch.float64).eps


def framewise_sdr(
    estimates: Float[Tensor, "stems channels time"], references: Float[Tensor, "stems channels time"], rate: int
) -> Float[Tensor, "stems frames"]:
    """Return the SDR of every second, in dB, as museval does by default: ``|s|² / |s - ŝ|²`` over both channels.

    museval's distortion filters of 512 taps split the error of its SDR into parts (ISR, SIR, SAR) and cancel in the
    sum, so no filter is needed for the SDR itself. As there, a last second that is not whole is left out, and a
    second in which any stem or estimate is silent has no value for any of them (NaN). A recording shorter
    than a second is one frame.
    """
    size = min(rate, references.shape[-1])
    whole = references.shape[-1] // size * size
    reference, estimate = (
        rearrange(wave[..., :whole].double(), "stems channels (frames size) -> stems frames channels size", size=size)
        for wave in (references, estimates)
    )
    sounding = ((reference.sum(dim=2) != 0).any(dim=-1) & (estimate.sum(dim=2) != 0).any(dim=-1)).all(dim=0)
    wanted = reference.square().sum(dim=(2, 3))
    unwanted = (reference - estimate).square().sum(dim=(2, 3))
    ratio = 10 * torch.log10(wanted / unwanted.clamp_min(_TINY * wanted).clamp_min(1e-300))
    return torch.where(sounding, ratio, torch.nan)


def museval_sdr(
    estimates: Float[Tensor, "stems channels time"], references: Float[Tensor, "stems channels time"], rate: int
) -> Float[Tensor, " stems"]:
    """Return the median over the seconds of a track (SiSEC 2018, MUSDB18 tables); NaN if none counts.

    A table then takes the median over the tracks.
    """
    return framewise_sdr(estimates, references, rate).nanquantile(0.5, dim=1)


def track_sdr(
    estimates: Float[Tensor, "stems channels time"], references: Float[Tensor, "stems channels time"]
) -> Float[Tensor, " stems"]:
    """Return one SDR for the whole track, as the Music Demixing challenges do (arXiv 2108.13559, equation 1).

    Numerator and denominator get 1e-7, so that a silent stem has a value too; a table then takes the mean
    over the tracks.
    """
    reference, estimate = references.double(), estimates.double()
    wanted = reference.square().sum(dim=(1, 2)) + 1e-7
    return 10 * torch.log10(wanted / ((reference - estimate).square().sum(dim=(1, 2)) + 1e-7))
