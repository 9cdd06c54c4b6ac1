"""Where voices lie: what is said, as a point in a space in which voices are far apart and one voice is near itself."""

import math
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import as_file, files

import torch
from jaxtyping import Float
from safetensors.torch import load_file
from torch import Tensor

CEPSTRA = 19
USUAL = 80.0 * torch.arange(1.0, CEPSTRA + 1) ** -1.4
"""Variance of the cepstra of one voice, roughly (60 speakers of LibriSpeech)."""

ASSET = "voices.safetensors"

_BANDS = 40
_PRIOR = 8.0
"""Frames that the usual variance counts for in that of what was said."""
_FEWEST = 2.0
"""Frames below which their variance grows as their inverse: a doubtful share of a frame says next to nothing."""
_LOGARITHM = 5.0
"""Brings logarithms of variances to the size of means."""


@dataclass(frozen=True)
class VoiceSpace:
    """A linear map of mean and log variance of cepstra, after which all axes are independent and equally noisy.

    The two-covariance model (Brümmer and de Villiers 2010, "The speaker partitioning problem"): the point of a voice
    is drawn around that of everybody, by `between`, and what is said in so many frames around that of its voice, by
    1 / (frames + `few`). Fitted by ``benchmarks/voice_space.py`` to what the default model makes of conversations
    between speakers it was trained on.
    """

    axes: Float[Tensor, "axes moments"]
    between: Float[Tensor, " axes"]
    few: float

    def place(
        self, statistics: Float[Tensor, "*rows statistics"]
    ) -> tuple[Float[Tensor, "*rows 1"], Float[Tensor, "*rows axes"]]:
        """Return number of frames and point of what was said; a point of nothing means nothing."""
        number, mean, variance = moments(statistics)
        variance = (number * variance + _PRIOR * USUAL.to(variance)) / (number + _PRIOR)
        return number, torch.cat([mean, _LOGARITHM * variance.log()], dim=-1) @ self.axes.to(statistics).T

    def noise(self, number: Float[Tensor, "*rows 1"]) -> Float[Tensor, "*rows 1"]:
        """Return the variance, along each axis, of so many frames around their voice."""
        return (_FEWEST / number.clamp_min(1e-6)).clamp_min(1) / (number + self.few)


@lru_cache(maxsize=4)
def voice_space(sample_rate: int) -> VoiceSpace:
    """Return the space of sounds up to 8 kHz, or to 4 kHz if that is what a sample rate has."""
    band = f"{2 * top(sample_rate)}"
    with as_file(files("slotaudio") / "assets" / ASSET) as path:
        tensors = load_file(path)
    return VoiceSpace(tensors[f"{band}.axes"], tensors[f"{band}.between"], float(tensors[f"{band}.few"]))


def top(sample_rate: int) -> int:
    """Return the highest frequency in hertz by which voices are told apart at a sample rate."""
    return 8000 if sample_rate >= 16000 else 4000


def moments(
    statistics: Float[Tensor, "*rows statistics"],
) -> tuple[Float[Tensor, "*rows 1"], Float[Tensor, "*rows cepstra"], Float[Tensor, "*rows cepstra"]]:
    """Return number, mean and variance; zeros of nothing."""
    # half a frame may be what rounding left of none
    number, total, squares = (statistics * (statistics[..., :1] > 0.5)).split([1, CEPSTRA, CEPSTRA], dim=-1)
    mean = total / number.clamp_min(1e-6)
    return number, mean, (squares / number.clamp_min(1e-6) - mean.square()).clamp_min(0)


@lru_cache(maxsize=8)
def mel_bands(freq: int, sample_rate: int, highest: int) -> Float[Tensor, "bands freq"]:
    """Return triangles of equal width in mel, from 0 to so many hertz."""
    edges = 700 * (10 ** (torch.linspace(0, 2595 * math.log10(1 + highest / 700), _BANDS + 2) / 2595) - 1)
    hertz = torch.linspace(0, sample_rate / 2, freq)
    low, centre, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    return torch.minimum((hertz - low) / (centre - low), (high - hertz) / (high - centre)).clamp_min(0)


@lru_cache(maxsize=1)
def cosines() -> Float[Tensor, "cepstra bands"]:
    """Return the cosines of the cepstrum of bands but for the constant one, which is the level."""
    turns = torch.arange(1, CEPSTRA + 1)[:, None] * (torch.arange(_BANDS) + 0.5) / _BANDS
    return (math.pi * turns).cos() * math.sqrt(2 / _BANDS)
