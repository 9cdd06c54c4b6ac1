"""`Recordings`: audio files below a folder, read in parts at one rate."""

import math
from collections.abc import Iterable
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from weakref import WeakValueDictionary

import numpy as np
from jaxtyping import Float, Int16
from scipy.signal import firwin, resample_poly

from slotaudio import audio
from slotaudio.audio import AudioReader
from slotaudio.errors import AudioFileError, DataError

SUFFIXES = (".flac", ".wav", ".ogg", ".opus", ".mp3")

_FILTER = 10
"""Zero crossings that the filter of `resample_poly` has on each side."""


@lru_cache
def _lowpass(factor: int) -> Float[np.ndarray, "taps"]:
    """Return the filter that `resample_poly` would else design anew each time."""
    return firwin(2 * _FILTER * factor + 1, 1 / factor, window=("kaiser", 5.0)).astype(np.float32)


class UnreadableUtterance(DataError):
    """One audio file of a data set cannot be used; the others may."""


class _Kept(dict[str, Int16[np.ndarray, "time"]]):
    """Files in memory, by name."""


_KEPT: WeakValueDictionary[Path, _Kept] = WeakValueDictionary()


class Recordings:
    """Read stretches of audio files, mixed down to one channel, at any speed.

    Samples are kept to 16 bits whether they come from the cache or from the file, so that both give the same
    mixtures (for Opus, whose decoder needs a while to settle after a jump, up to its own coding noise).

    Args:
        path: the folder that names are relative to.
        rate: samples per second that `read` delivers.
        resample: resample files of other rates; otherwise they are an error.
    """

    def __init__(self, path: Path, rate: int = 16000, resample: bool = False) -> None:
        self.path = path
        self.rate = rate
        self.resample = resample
        self._headers: dict[str, tuple[int, int]] = {}
        # what one data set keeps in memory serves every other of the same folder
        self._cached = _KEPT.setdefault(path.absolute(), _Kept())

    def keep_in_memory(self, names: Iterable[str]) -> None:
        """Read these files now and keep them as 16-bit samples, 115 MB per hour at 16 kHz.

        Raises:
            UnreadableUtterance: a file cannot be used; those before it are kept.
            DataError: a file has another rate.
        """
        for name in names:
            frames, _ = self.header(name)
            if name not in self._cached:
                self._cached[name] = self._decode(name, 0, frames)

    def length(self, name: str, speed: float = 1.0) -> int:
        """Return how many samples `read` can deliver of a file.

        Raises:
            UnreadableUtterance: the file is missing, empty or no audio.
            DataError: it has another rate and `resample` is off.
        """
        frames, rate = self.header(name)
        return max(1, int(frames / self._ratio(rate, speed)))

    def read(self, name: str, start: int, length: int, speed: float = 1.0) -> Float[np.ndarray, "time"]:
        """Return `length` samples from `start` on, both counted at the delivered rate and speed.

        Raises:
            UnreadableUtterance: the file cannot be decoded, or holds values that are not finite.
        """
        _, rate = self.header(name)
        ratio = self._ratio(rate, speed)
        if ratio == 1:
            return self._samples(name, start, length)
        up, down = ratio.denominator, ratio.numerator
        context = -(-_FILTER * max(up, down) // down)
        # from where the grids of both rates meet, so that every stretch has the samples that the whole would have
        first = max(0, start - context) // up * up
        stop = math.ceil((start + length + context) * ratio)
        wave = self._samples(name, first // up * down, stop - first // up * down)
        wave = resample_poly(wave, up, down, window=_lowpass(max(up, down)))[start - first :][:length]
        return np.pad(wave, (0, length - wave.size))

    def header(self, name: str) -> tuple[int, int]:
        """Return frames and rate of a file.

        Raises:
            UnreadableUtterance, DataError: see `length`.
        """
        if name not in self._headers:
            try:
                with AudioReader(self.path / name) as reader:
                    self._headers[name] = (reader.count(), reader.info.sample_rate)
            except AudioFileError as error:
                raise UnreadableUtterance(str(error)) from None
        frames, rate = self._headers[name]
        if rate != self.rate and not self.resample:
            raise DataError(
                f"{self.path / name} has {rate} samples per second, {self.rate} are needed: "
                "convert the files once, or set resample = true where the data set has that option"
            )
        return frames, rate

    def _ratio(self, rate: int, speed: float) -> Fraction:
        return Fraction(rate, self.rate) * Fraction(round(speed * 100), 100)

    def _samples(self, name: str, start: int, frames: int) -> Float[np.ndarray, "time"]:
        whole = self._cached.get(name)
        wave = self._decode(name, start, frames) if whole is None else whole[start : start + frames]
        return wave.astype(np.float32) / 32768

    def _decode(self, name: str, start: int, frames: int) -> Int16[np.ndarray, "time"]:
        try:
            wave, _ = audio.read(self.path / name, start, min(start + frames, self.header(name)[0]))
        except AudioFileError as error:
            raise UnreadableUtterance(str(error)) from None
        return np.rint(wave.mean(dim=0).numpy() * 32768).clip(-32768, 32767).astype(np.int16)
