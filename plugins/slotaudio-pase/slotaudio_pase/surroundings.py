"""Rooms and noises for contaminated speech, from a folder of recordings."""

from pathlib import Path

from jaxtyping import Float
from torch import Tensor

from slotaudio import UserError, audio
from slotaudio.data.recordings import SUFFIXES
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
    for file in sorted(path.rglob("*"), key=lambda file: file.parts):
        if file.suffix.lower() in SUFFIXES:
            wave, rate = audio.read(file)
            if wave[0].any():
                waves.append(resample(wave[:1], rate, sample_rate)[0])
    if not waves:
        raise UserError(f"{what}: no sound in {path}; looked for {', '.join(SUFFIXES)}")
    return waves
