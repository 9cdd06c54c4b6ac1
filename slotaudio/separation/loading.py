"""Recordings that are taken whole: files are read into memory, waves are there already."""

import os

import torch

from slotaudio.separation.intake import Wave, opened


def loaded(source: Wave | str | os.PathLike[str], sample_rate: int | None, assumed: int) -> tuple[Wave, int, str]:
    """Return a recording as one wave, its sample rate, and what to call it in messages.

    Args:
        source: an audio file, whose wave has the axes ``channels time``, or a wave, which is left as it is.
        sample_rate: of the wave, in hertz. A file knows its own.
        assumed: sample rate of a wave that comes without one.

    Raises:
        UserError: a file of another rate than given.
        AudioFileError: the file cannot be read.
    """
    if isinstance(source, (str, os.PathLike)):
        with opened(source, sample_rate, assumed) as (blocks, rate, name):
            return torch.cat(list(blocks), dim=-1)[0], rate, name
    return source, assumed if sample_rate is None else sample_rate, "the wave"
