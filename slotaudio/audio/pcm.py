"""Raw samples through pipes: what recorders and players hand on while it sounds."""

import os
import warnings
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from slotaudio.audio.reading import AudioInfo, check_finite
from slotaudio.errors import AudioFileError, UserError

ENCODINGS = {"s16le": ("<i2", 2.0**15, "PCM_16"), "s32le": ("<i4", 2.0**31, "PCM_32"), "f32le": ("<f4", 1.0, "FLOAT")}
"""Encodings by ffmpeg's names: how a sample is stored, full scale, and the subtype of files as deep."""

_CONTAINERS = {
    "WAV": (0, b"RIFF"),
    "FLAC": (0, b"fLaC"),
    "Ogg": (0, b"OggS"),
    "MP3": (0, b"ID3"),
    "AIFF": (0, b"FORM"),
    "MP4": (4, b"ftyp"),
}
"""Where in a file of which kind there is what."""
_BLOCK = 0.25
_POLLS = hasattr(os, "set_blocking")  # Windows looks into a pipe without waiting from Python 3.12 on


class _Ended(Exception):
    """Raised in the middle of waiting for samples."""


class PcmReader:
    """Interleaved raw samples from a pipe, block by block, until it ends or `end` is called.

    Args:
        pipe: opened for bytes, such as ``open(sys.stdin.fileno(), "rb")``.
        sample_rate: in hertz; raw samples do not say.
        channels: of the samples.
        encoding: ``"s16le"``, ``"s32le"`` or ``"f32le"``.
        name: of the recording, in messages.

    Raises:
        UserError: an impossible encoding or number of channels. While reading:
        AudioFileError: no samples, samples that are not finite, or an audio file with a header.
    """

    def __init__(
        self,
        pipe: BufferedReader,
        sample_rate: int,
        channels: int = 1,
        encoding: str = "s16le",
        name: str = "the stream",
    ) -> None:
        if encoding not in ENCODINGS:
            raise UserError(f"encoding {encoding!r} is not known; choose {', '.join(ENCODINGS)}")
        if channels < 1:
            raise UserError(f"{channels} channels hold no samples; give 1 or more")
        self.pipe = pipe
        self.encoding = encoding
        self.info = AudioInfo(Path(name), sample_rate, channels, None, "RAW", ENCODINGS[encoding][2])
        self._waiting = self._over = False

    def end(self) -> None:
        """Take what has come by now for the whole stream; may be called by a signal while samples are waited for."""
        self._over = True
        if _POLLS:
            os.set_blocking(self.pipe.fileno(), False)
        if self._waiting:
            raise _Ended

    def __iter__(self) -> Iterator[Float[Tensor, "channels time"]]:
        """Yield the samples as they come."""
        kind, scale, _ = ENCODINGS[self.encoding]
        frame = self.info.channels * np.dtype(kind).itemsize
        size, position, rest = max(1, round(_BLOCK * self.info.sample_rate)) * frame, 0, b""
        while data := self._wait(size):
            if position == 0:
                self._refuse_containers(data)
            data = rest + data
            whole = len(data) // frame * frame
            rest = data[whole:]
            samples = np.frombuffer(data[:whole], kind).astype(np.float32) / np.float32(scale)
            wave = torch.from_numpy(rearrange(samples, "(time channels) -> channels time", channels=self.info.channels))
            check_finite(wave, str(self.info.path), position, self.info.sample_rate)
            position += wave.shape[-1]
            if whole:
                yield wave
        if rest:
            warnings.warn(f"{self.info.path} ended inside a sample, which is left out", stacklevel=2)
        if position == 0:
            raise AudioFileError(f"{self.info.path} held no samples")

    def _wait(self, size: int) -> bytes:
        """Return what is there, waiting for the first byte; after `end` without waiting, or nothing."""
        if not self._over:
            try:
                self._waiting = True
                return self.pipe.read1(size)
            except _Ended:
                pass
            finally:
                self._waiting = False
        return self.pipe.read1(size) if _POLLS else b""

    def _refuse_containers(self, data: bytes) -> None:
        for name, (start, mark) in _CONTAINERS.items():
            if data.startswith(mark, start):
                raise AudioFileError(
                    f"{self.info.path} begins like {name}, and raw samples were asked for: with ffmpeg, "
                    f"`-f {self.encoding}`; files are for `slotaudio separate`"
                )


def encoded(wave: Float[Tensor, "channels time"], encoding: str) -> bytes:
    """Return interleaved raw samples; integers are limited to full scale."""
    kind, scale, _ = ENCODINGS[encoding]
    samples = rearrange(wave, "channels time -> (time channels)").double().numpy() * scale
    if np.dtype(kind).kind == "i":
        samples = np.clip(np.rint(samples), -scale, scale - 1)
    return samples.astype(kind).tobytes()
