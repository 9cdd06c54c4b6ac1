"""What the regression workers are asked for: known descriptions of the wave, one vector per 10 ms."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from slotaudio.resampling import torchaudio
from slotaudio_pase.gammatone import LogGammatone
from slotaudio_pase.pitch import LOWEST, filled, yin
from slotaudio_pase.trunk import HOP

BINS = 2048
"""Size of the transforms."""


class LogPower(nn.Module):
    """Log power spectrum in decibels: 1025 bins, by torchaudio.

    Args:
        sample_rate: in hertz.
        window: in samples.
    """

    def __init__(self, sample_rate: int, window: int) -> None:
        super().__init__()
        self.dim = BINS // 2 + 1
        audio = torchaudio().transforms
        self.transform = nn.Sequential(audio.Spectrogram(BINS, window, HOP), audio.AmplitudeToDB())

    def forward(self, wave: Float[Tensor, "batch time"]) -> Float[Tensor, "batch dim frames"]:
        """Return ``time // 160`` frames, centred on every 160th sample."""
        return self.transform(wave)[..., : wave.shape[-1] // HOP]


class LogMel(nn.Module):
    """Log mel filter bank of 40 bands in decibels, by torchaudio.

    Args:
        sample_rate: in hertz.
        window: in samples.
    """

    def __init__(self, sample_rate: int, window: int) -> None:
        super().__init__()
        self.dim = 40
        audio = torchaudio().transforms
        mel = audio.MelSpectrogram(sample_rate, BINS, window, HOP, n_mels=self.dim)
        self.transform = nn.Sequential(mel, audio.AmplitudeToDB())

    def forward(self, wave: Float[Tensor, "batch time"]) -> Float[Tensor, "batch dim frames"]:
        """Return ``time // 160`` frames, centred on every 160th sample."""
        return self.transform(wave)[..., : wave.shape[-1] // HOP]


class Cepstrum(nn.Module):
    """Mel-frequency cepstral coefficients from 40 bands, by torchaudio.

    Args:
        sample_rate: in hertz.
        window: in samples.
        order: number of coefficients; 20 in PASE.
    """

    def __init__(self, sample_rate: int, window: int, order: int = 20) -> None:
        super().__init__()
        self.dim = order
        mel = {"n_fft": BINS, "win_length": window, "hop_length": HOP, "n_mels": 40}
        self.transform = torchaudio().transforms.MFCC(sample_rate, order, melkwargs=mel)

    def forward(self, wave: Float[Tensor, "batch time"]) -> Float[Tensor, "batch dim frames"]:
        """Return ``time // 160`` frames, centred on every 160th sample."""
        return self.transform(wave)[..., : wave.shape[-1] // HOP]


class Prosody(nn.Module):
    """Interpolated log pitch, whether it is voiced, level in decibels, and zero crossings as a share of the samples.

    PASE tracks the pitch with SWIPE between 60 and 300 Hz; this is `slotaudio_pase.pitch.yin` in the same range. As
    there, a wave that is never voiced has the lowest pitch throughout. The level of PASE is not in decibels.

    Args:
        sample_rate: in hertz.
        window: in samples, of level and zero crossings.
    """

    def __init__(self, sample_rate: int, window: int) -> None:
        super().__init__()
        self.dim = 4
        self.sample_rate, self.window = sample_rate, window

    def forward(self, wave: Float[Tensor, "batch time"]) -> Float[Tensor, "batch 4 frames"]:
        """Return ``time // 160`` frames, centred on every 160th sample."""
        frames = wave.shape[-1] // HOP
        pitch = yin(wave, self.sample_rate, HOP)
        contour = filled(pitch.frequency.log(), pitch.voiced)
        contour = torch.where(pitch.voiced.any(-1, keepdim=True), contour, math.log(LOWEST))
        pieces = nn.functional.pad(wave, (self.window // 2, self.window)).unfold(-1, self.window, HOP)[:, :frames]
        level = 10 * pieces.square().mean(-1).clamp_min(1e-10).log10()
        negative = pieces < 0
        crossings = (negative[..., 1:] != negative[..., :-1]).to(wave).mean(-1)
        return torch.stack([contour, pitch.voiced.to(wave), level, crossings], dim=1)


class Samples(nn.Module):
    """The wave itself: 160 samples per frame, so that one length holds for all targets."""

    def __init__(self, sample_rate: int) -> None:
        super().__init__()
        self.dim = 1

    def forward(self, wave: Float[Tensor, "batch time"]) -> Float[Tensor, "batch 1 samples"]:
        """Return whole frames of the wave."""
        whole = wave[:, : wave.shape[-1] // HOP * HOP]
        return rearrange(whole, "batch samples -> batch 1 samples")


TARGETS: dict[str, Callable[..., Any]] = {
    "waveform": Samples,
    "lps": partial(LogPower, window=400),
    "mfcc": partial(Cepstrum, window=400),
    "prosody": partial(Prosody, window=400),
    "fbank": partial(LogMel, window=400),
    "gammatone": partial(LogGammatone, window=400),
    "lps_long": partial(LogPower, window=512),
    "fbank_long": partial(LogMel, window=1024),
    "gammatone_long": partial(LogGammatone, window=2048),
    "mfcc_long": partial(Cepstrum, window=2048),
}
"""Targets by the name of their worker; all but the first four are those of PASE+ (windows in samples at 16 kHz)."""


def described_anew(
    target: Float[Tensor, "batch dim frames"], deltas: bool, context: int
) -> Float[Tensor, "batch _ frames"]:
    """Add first and second differences, then the neighbouring frames, `context` in all, as PASE+ asks for."""
    if deltas:
        first = torchaudio().functional.compute_deltas(target)
        target = torch.cat([target, first, torchaudio().functional.compute_deltas(first)], dim=1)
    if context > 1:
        padded = nn.functional.pad(target, (context // 2, context - 1 - context // 2), mode="replicate")
        target = rearrange(padded.unfold(-1, context, 1), "batch dim frames context -> batch (context dim) frames")
    return target
