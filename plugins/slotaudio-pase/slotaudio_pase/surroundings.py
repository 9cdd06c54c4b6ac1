"""Rooms and noises for contaminated speech: from a folder of recordings, or synthesised where there is none."""

from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from slotaudio import UserError, audio
from slotaudio.data.speech import SUFFIXES
from slotaudio.resampling import resample

LONGEST = 24000
"""Taps of an impulse response; what comes later is cut off."""


def recordings(folder: str | Path, sample_rate: int, what: str) -> list[Float[Tensor, " time"]]:
    """Read the first channel of every audio file in a folder and below it, at a sample rate.

    Args:
        folder: with WAV, FLAC, Ogg or MP3 files.
        sample_rate: wanted, in hertz.
        what: the folder is said to hold, for errors.

    Raises:
        UserError: there is no such folder, or no sound in it.
        AudioFileError: a file cannot be read.
    """
    path = Path(folder).expanduser()
    if not path.is_dir():
        raise UserError(f"{what}: there is no folder {path}")
    waves = []
    for file in sorted(path.rglob("*")):
        if file.suffix.lower() in SUFFIXES:
            wave, rate = audio.read(file)
            if wave[0].any():
                waves.append(resample(wave[:1], rate, sample_rate)[0])
    if not waves:
        raise UserError(f"{what}: no sound in {path}; looked for {', '.join(SUFFIXES)}")
    return waves


def synthetic_room(sample_rate: int, generator: torch.Generator | None = None) -> Float[Tensor, " taps"]:
    """Draw an impulse response: a direct sound, then noise that decays by 60 dB within 0.2 to 0.8 s.

    The reverberation begins 2 to 20 ms after the direct sound and holds -6 to 6 dB of its energy.
    """
    decay, gap, level = torch.rand(3, generator=generator).tolist()
    time = torch.arange(min(LONGEST, round(0.8 * sample_rate))) / sample_rate
    start = 0.002 + 0.018 * gap
    tail = torch.randn(len(time), generator=generator) * 10 ** (-3 * time / (0.2 + 0.6 * decay))
    tail[time < start] = 0
    response = tail * (10 ** ((12 * level - 6) / 10) / tail.square().sum()).sqrt()
    response[0] = 1.0
    return response


def synthetic_noise(samples: int, generator: torch.Generator | None = None) -> Float[Tensor, " time"]:
    """Draw noise whose power falls with frequency, by 0 to 6 dB per octave, and whose level swells and fades."""
    slope, depth = torch.rand(2, generator=generator).tolist()
    spectrum = torch.fft.rfft(torch.randn(samples, generator=generator))
    frequency = torch.arange(1, len(spectrum) + 1, dtype=torch.float32)
    noise = torch.fft.irfft(spectrum * frequency**-slope, n=samples)
    swell = torch.nn.functional.interpolate(torch.randn(1, 1, 8, generator=generator), samples, mode="linear")[0, 0]
    return noise * 10 ** (depth * swell / 2)
