"""What spoils speech on its way, each a function of one wave; what is random is drawn by the caller.

The formulas are those of PASE+'s code: what a room, a filter or another sound does to the level is undone.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from slotaudio.resampling import torchaudio

EDGE = 100.0
"""Hertz over which a dropped band fades out on either side."""


def reverberated(wave: Float[Tensor, " time"], response: Float[Tensor, " taps"]) -> Float[Tensor, " time"]:
    """Convolve with a room's impulse response; its strongest tap is taken for the direct sound and adds no delay."""
    delay = int(response.abs().argmax())
    heard = torchaudio().functional.fftconvolve(wave, response)
    return at_energy_of(wave, heard[delay : delay + len(wave)])


def with_added(wave: Float[Tensor, " time"], other: Float[Tensor, " time"], snr: float) -> Float[Tensor, " time"]:
    """Add another sound so many decibels below the wave, then bring the sum to the wave's energy."""
    if not wave.any() or not other.any():
        return wave
    ratio = torch.tensor(snr, dtype=wave.dtype, device=wave.device)
    return at_energy_of(wave, torchaudio().functional.add_noise(wave, other, ratio))


def clipped(wave: Float[Tensor, " time"], factor: float) -> Float[Tensor, " time"]:
    """Cut off what exceeds this share of the largest and of the smallest sample."""
    return wave.clamp(factor * wave.min(), factor * wave.max())


def chopped(wave: Float[Tensor, " time"], centre: int, length: int) -> Float[Tensor, " time"]:
    """Silence so many samples around a place."""
    kept = wave.clone()
    kept[max(0, centre - length // 2) : max(0, centre + (length + 1) // 2)] = 0
    return kept


def band_dropped(
    wave: Float[Tensor, " time"], lowest: float, highest: float, sample_rate: int
) -> Float[Tensor, " time"]:
    """Remove the frequencies between two edges in hertz; the rest is brought to the wave's energy.

    Beyond the edges the rest fades in over 100 Hz along half a cosine, and no phase is moved, which torchaudio's
    second-order band filters cannot do.
    """
    frequency = torch.fft.rfftfreq(len(wave), 1 / sample_rate, device=wave.device)
    beyond = torch.maximum(lowest - frequency, frequency - highest) / EDGE
    passed = 0.5 - 0.5 * torch.cos(math.pi * beyond.clamp(0, 1))
    return at_energy_of(wave, torch.fft.irfft(torch.fft.rfft(wave) * passed.to(wave), n=len(wave)))


def narrowed(wave: Float[Tensor, " time"], sample_rate: int, narrow: int = 8000) -> Float[Tensor, " time"]:
    """Leave what a lower sample rate can hold, as over the telephone, at the wave's energy and rate."""
    resample = torchaudio().functional.resample
    return at_energy_of(wave, resample(resample(wave, sample_rate, narrow), narrow, sample_rate)[: len(wave)])


def at_energy_of(wave: Float[Tensor, " time"], changed: Float[Tensor, " time"]) -> Float[Tensor, " time"]:
    """Scale the changed wave to the energy of the wave; if nothing was left of it, return the wave."""
    wanted, found = wave.square().sum(), changed.square().sum()
    if found <= 1e-10 * wanted:
        return wave
    return changed * (wanted / found).sqrt()
