"""Writing WAV and FLAC: nothing half-written under its final name, nothing clipped in silence."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import soundfile
import torch
from jaxtyping import Float
from torch import Tensor

from slotaudio.errors import AudioFileError

_WRITABLE = {"WAV": ("PCM_16", "PCM_24", "FLOAT"), "FLAC": ("PCM_16", "PCM_24")}
_BYTES = {"PCM_16": 2, "PCM_24": 3, "FLOAT": 4}
_FULL_SCALE = {"PCM_16": 2.0**15, "PCM_24": 2.0**23}


class AudioWriter:
    """Write a WAV or FLAC file under a temporary name, and give it its own name when it is complete.

    Integer subtypes are written so that reading gives the same samples back (1.0 is 32768, not
    32767). Nothing is clipped in silence: with `widen`, a WAV file of integers turns into one of 32-bit floats
    at the first sample that does not fit; else such samples are limited, and counted in `limited`.

    Args:
        path: ends in .wav or .flac.
        sample_rate: in hertz.
        channels: of the waves to come.
        subtype: ``"PCM_16"``, ``"PCM_24"`` or, in WAV only, ``"FLOAT"``.
        force: replace an existing file.
        widen: see above.

    Raises:
        AudioFileError: the file exists, or cannot be written.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        sample_rate: int,
        channels: int = 1,
        subtype: str = "PCM_16",
        force: bool = False,
        widen: bool = True,
    ) -> None:
        self.path = Path(path)
        self.partial = self.path.with_name(self.path.name + ".partial")
        self._wide = self.path.with_name(self.path.name + ".partial-float")
        self.format = self.path.suffix[1:].upper()
        if self.format not in ("WAV", "FLAC"):
            raise AudioFileError(f"cannot write {self.path}: choose a name that ends in .wav or .flac")
        self.subtype = subtype
        if self.subtype not in _WRITABLE[self.format]:
            raise AudioFileError(
                f"{self.format} has no subtype {subtype!r}; choose {', '.join(_WRITABLE[self.format])}"
            )
        if self.path.exists() and not force:
            raise AudioFileError(f"{self.path} exists already; --force (force=True) replaces it")
        self.sample_rate = sample_rate
        self.channels = channels
        self.widen = widen and self.format == "WAV"
        self.widened = False
        self.limited = 0
        self.frames = 0
        self._file: Any = self._open(self.partial, self.subtype)

    def __enter__(self) -> "AudioWriter":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if kind is None:
            self.commit()
        else:
            self.discard()

    def write(self, wave: Float[Tensor, "channels time"]) -> None:
        """Append a wave."""
        if self.widen and self.subtype != "FLOAT" and bool(_beyond(wave, self.subtype).any()):
            self._widen()
        self._append(self._file, self._encode(wave))
        self.frames += wave.shape[-1]
        if self.format == "WAV" and self.frames * self.channels * _BYTES[self.subtype] > 0xFFFF_0000:
            raise AudioFileError(f"{self.path} would pass 4 GiB, the most a WAV file can hold: write FLAC instead")

    def close(self) -> None:
        """Finish the temporary file and check that all of it arrived."""
        with self._explained():
            self._file.close()
            if soundfile.info(str(self.partial)).frames != self.frames:
                raise AssertionError("not all of it arrived on the disk")

    def commit(self) -> None:
        """Give the finished file its name."""
        if not self._file.closed:
            self.close()
        with self._explained():
            os.replace(self.partial, self.path)

    def discard(self) -> None:
        """Remove what was written so far."""
        with contextlib.suppress(OSError, soundfile.LibsndfileError):
            self._file.close()
        for path in (self.partial, self._wide):
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)

    def _open(self, path: Path, subtype: str) -> Any:
        with self._explained():
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o666)  # its OSError has a reason
            return soundfile.SoundFile(
                descriptor, "w", self.sample_rate, self.channels, subtype, format=self.format, closefd=True
            )

    def _widen(self) -> None:
        """Copy what was written as integers so far into a float file and go on with that."""
        with self._explained():
            self._file.close()
            self.subtype, self.widened = "FLOAT", True
            self._file = self._open(self._wide, "FLOAT")
            with soundfile.SoundFile(str(self.partial)) as narrow:
                for block in narrow.blocks(65536, dtype="float32", always_2d=True):
                    self._append(self._file, block)
            os.replace(self._wide, self.partial)

    def _encode(self, wave: Float[Tensor, "channels time"]) -> Any:
        if self.subtype == "FLOAT":
            return wave.mT.contiguous().numpy()
        self.limited += int(_beyond(wave, self.subtype).sum())
        full = _FULL_SCALE[self.subtype]
        whole = (wave.double() * full).round().clamp(-full, full - 1).mT.contiguous()
        if self.subtype == "PCM_16":
            return whole.to(torch.int16).numpy()
        return (whole * 256).to(torch.int32).numpy()  # soundfile takes the upper 24 of 32 bits

    def _append(self, file: Any, samples: Any) -> None:
        with self._explained():
            file.write(samples)

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (OSError, AssertionError, soundfile.LibsndfileError) as error:
            # soundfile meets a full disk with an AssertionError on the number of samples written
            reason = getattr(error, "strerror", None) or getattr(error, "error_string", "")
            if not reason or "System error" in reason:
                reason = "the disk took only a part of it (is it full?)"
            raise AudioFileError(f"cannot write {self.path}: {reason.rstrip('.')}") from error


def write(
    path: str | os.PathLike[str], wave: Float[Tensor, "channels time"], sample_rate: int, force: bool = False
) -> None:
    """Write a whole wave; see `AudioWriter`."""
    with AudioWriter(path, sample_rate, wave.shape[0], force=force) as writer:
        writer.write(wave)


def _beyond(wave: Float[Tensor, "channels time"], subtype: str) -> Tensor:
    full = _FULL_SCALE[subtype]
    return ((wave * full).round() >= full) | ((wave * full).round() < -full)
