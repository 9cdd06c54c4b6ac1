"""Gammatone filter bank on the power spectrum, a target of PASE+."""

import torch
from einops import einsum
from jaxtyping import Float
from torch import Tensor, nn

from slotaudio.resampling import torchaudio
from slotaudio_pase.trunk import HOP

LOWEST = 50.0
"""Centre of the lowest band, in hertz."""


class LogGammatone(nn.Module):
    """Log energies in decibels of 40 gammatone bands, evenly spaced on the scale of equivalent rectangular bandwidths.

    The filters act as weights of the power spectrum: a gammatone of order 4 with centre f and bandwidth b passes
    ``(1 + ((frequency - f) / b)^2)^-4`` of the power, where ``b = 1.019 (24.7 + 0.108 f)`` (Glasberg and Moore 1990;
    Slaney 1993). Each filter's weights add up to 1.

    Args:
        sample_rate: in hertz.
        window: in samples.
    """

    weights: Tensor

    def __init__(self, sample_rate: int, window: int) -> None:
        super().__init__()
        self.dim = 40
        audio = torchaudio().transforms
        bins = max(2048, window)
        self.power = audio.Spectrogram(bins, window, HOP)
        self.decibels = audio.AmplitudeToDB()
        self.register_buffer("weights", gammatone(self.dim, sample_rate, bins).float(), persistent=False)

    def forward(self, wave: Float[Tensor, "batch time"]) -> Float[Tensor, "batch dim frames"]:
        """Return ``time // 160`` frames, centred on every 160th sample."""
        power = self.power(wave)[..., : wave.shape[-1] // HOP]
        return self.decibels(einsum(self.weights, power, "dim freq, batch freq frames -> batch dim frames"))


def centres(bands: int, sample_rate: int) -> Float[Tensor, " bands"]:
    """Return the centres in hertz, up to nine tenths of half the sample rate, evenly spaced on the ERB scale."""
    ends = 21.4 * torch.log10(1 + 0.00437 * torch.tensor([LOWEST, 0.45 * sample_rate], dtype=torch.float64))
    scale = torch.linspace(ends[0].item(), ends[1].item(), bands, dtype=torch.float64)
    return (10 ** (scale / 21.4) - 1) / 0.00437


def gammatone(bands: int, sample_rate: int, bins: int) -> Float[Tensor, "bands freq"]:
    """Return the power response of each band at the frequencies of a transform of `bins` samples."""
    centre = centres(bands, sample_rate)[:, None]
    frequency = torch.linspace(0, sample_rate / 2, bins // 2 + 1, dtype=torch.float64)
    bandwidth = 1.019 * (24.7 + 0.108 * centre)
    response = (1 + ((frequency - centre) / bandwidth).square()) ** -4
    return response / response.sum(dim=1, keepdim=True)
