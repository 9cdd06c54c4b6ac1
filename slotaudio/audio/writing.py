"""Writing WAV and FLAC: nothing half-written under its final name, nothing clipped in silence."""

import contextlib
import os
from collections.abc import Iterator
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import Any

import soundfile
import torch
from jaxtyping import Float
from torch import Tensor

from slotaudio.audio.flac import decodable, promise
from slotaudio.errors import AudioFileError
from slotaudio.writing import check_free, partial_path

_WRITABLE = {"WAV": ("PCM_16", "PCM_24", "FLOAT"), "FLAC": ("PCM_16", "PCM_24")}
_BYTES = {"PCM_16": 2, "PCM_24": 3, "FLOAT": 4}
_HEADER = 256  # bytes within which the samples of a WAV file begin
_FULL_SCALE = {"PCM_16": 2.0**15, "PCM_24": 2.0**23}


class AudioWriter:
    """Write a WAV or FLAC file under a temporary name, and give it its own name when it is complete.

    Until then ``talk.wav`` is ``talk.part.wav``, which any player takes as far as it goes, even after the process
    was killed; `keep` leaves it so.

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
        partial: the temporary name; each of several files for one place needs its own.

    Raises:
        UserError: the file exists.
        AudioFileError: it cannot be written.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        sample_rate: int,
        channels: int = 1,
        subtype: str = "PCM_16",
        force: bool = False,
        widen: bool = True,
        partial: Path | None = None,
    ) -> None:
        self.path = Path(path)
        self.partial = self._kept = partial_path(path) if partial is None else partial
        self._copy = partial_path(self.partial)
        self.format = format_of(path)
        self.subtype = subtype
        if self.subtype not in _WRITABLE[self.format]:
            raise AudioFileError(
                f"{self.format} has no subtype {subtype!r}; choose {', '.join(_WRITABLE[self.format])}"
            )
        check_free(self.path, force)
        self.sample_rate = sample_rate
        self.channels = channels
        self.widen = widen and self.format == "WAV"
        self.widened = False
        self.limited = 0
        self.frames = 0
        self._open(self.partial)

    def __enter__(self) -> "AudioWriter":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if kind is None:
            self.commit()
        else:
            self.discard()

    def write(self, wave: Float[Tensor, "channels time"]) -> None:
        """Append a wave."""
        if self.too_narrow_for(wave):
            self.turn_into_floats()
        self._append(self._encode(wave))
        self.frames += wave.shape[-1]
        if self.format == "WAV" and self.frames * self.channels * _BYTES[self.subtype] > 0xFFFF_0000:
            raise AudioFileError(f"{self.path} would pass 4 GiB, the most a WAV file can hold: write FLAC instead")

    def too_narrow_for(self, wave: Float[Tensor, "channels time"]) -> bool:
        """Return whether the file turns into one of floats with this wave."""
        return self.widen and self.subtype != "FLOAT" and bool(_beyond(wave, self.subtype).any())

    def turn_into_floats(self) -> None:
        """Copy what was written as integers so far into a float file and go on with that; floats stay as they are."""
        if self.subtype == "FLOAT":
            return
        with self._explained():
            self._shut()
            self.subtype, self.widened = "FLOAT", True
            self._rewrite("float32")
            self._reopen()

    def close(self) -> None:
        """Finish the temporary file and check that all of it arrived."""
        with self._explained():
            self._shut()
            if soundfile.info(_named(self.partial)).frames != self.frames:
                raise AssertionError("not all of it arrived on the disk")

    def commit(self) -> None:
        """Give the finished file its name."""
        if not self._file.closed:
            self.close()
        with self._explained():
            os.replace(self.partial, self.path)

    def uncommit(self) -> None:
        """Take the name away again, for the temporary one; an older file that had it is gone."""
        with contextlib.suppress(OSError):
            os.replace(self.path, self.partial)

    def beside(self) -> "AudioWriter":
        """Return a writer of a like file, which is to `replace` the temporary one; `discard` it in any case."""
        return AudioWriter(
            self.path, self.sample_rate, self.channels, self.subtype, force=True, widen=False, partial=self._copy
        )

    def exchange(self, other: "AudioWriter") -> None:
        """Exchange the temporary file for another's; both are closed. No file is renamed, so that nothing can fail."""
        self.partial, other.partial = other.partial, self.partial
        self.frames, other.frames = other.frames, self.frames
        self._copy = other._copy

    def discard(self) -> None:
        """Remove what was written so far."""
        with contextlib.suppress(OSError, soundfile.LibsndfileError):
            self._shut()
        for path in (self.partial, self._copy):
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)

    def keep(self) -> int:
        """Finish the temporary file after a failure and leave it; return how many samples of it can be read."""
        with contextlib.suppress(OSError, soundfile.LibsndfileError):
            self._shut()
        with contextlib.suppress(OSError):
            self._copy.unlink(missing_ok=True)
        if self.partial != self._kept:  # exchanged
            with contextlib.suppress(OSError):
                self.partial = self.partial.replace(self._kept)
        try:
            with soundfile.SoundFile(_named(self.partial)) as file:
                found = file.frames if self.format == "WAV" else decodable(file)
                promised = file.frames
            if found != promised:
                promise(self.partial, found)
            return found
        except (OSError, soundfile.LibsndfileError):
            return 0

    def cut(self, frames: int) -> None:
        """Shorten a kept file."""
        with self._explained():
            if self.format == "WAV":  # in its place, as a full disk wants it
                with soundfile.SoundFile(_named(self.partial), "r+") as file:
                    file.truncate(frames)
                return
            try:
                self._rewrite("int32", frames)
            except BaseException:
                with contextlib.suppress(OSError, soundfile.LibsndfileError):
                    self._shut()
                self._copy.unlink(missing_ok=True)  # on a full disk, room for others
                raise

    def _open(self, path: Path) -> None:
        with self._explained():  # Python's OSError has a reason, libsndfile's has none
            self._take(
                open(path, "w+b", buffering=0),  # noqa: SIM115  (closed with the writer)
                "w",
                samplerate=self.sample_rate,
                channels=self.channels,
                subtype=self.subtype,
                format=self.format,
            )
            self._declare()  # nothing yet: libsndfile's own first header is no valid one

    def _reopen(self) -> None:
        """Go on at the end of the temporary file."""
        self._take(open(self.partial, "r+b", buffering=0), "r+")  # noqa: SIM115
        self._file.seek(0, soundfile.SEEK_END)

    def _take(self, file: FileIO, mode: str, **layout: Any) -> None:
        """Hand a file to libsndfile, which leaves closing it to us: on Windows it would leave the descriptor open."""
        try:
            self._file: Any = soundfile.SoundFile(file.fileno(), mode, **layout, closefd=False)
        except BaseException:
            file.close()
            raise
        self._bytes = file  # set last, so that of a writer that nobody closed libsndfile's part goes first

    def _shut(self) -> None:
        try:
            self._file.close()
        finally:
            self._bytes.close()

    def _rewrite(self, dtype: str, frames: int = -1) -> None:
        """Copy so many samples, or all, of the temporary file into a new one in its place, which is closed."""
        self._open(self._copy)
        with soundfile.SoundFile(_named(self.partial)) as old:
            for block in old.blocks(65536, frames=frames, dtype=dtype, always_2d=True):
                self._append(block)
        self._shut()
        os.replace(self._copy, self.partial)  # neither of them is open, as Windows wants it

    def _encode(self, wave: Float[Tensor, "channels time"]) -> Any:
        if self.subtype == "FLOAT":
            return wave.mT.contiguous().numpy()
        self.limited += int(_beyond(wave, self.subtype).sum())
        full = _FULL_SCALE[self.subtype]
        whole = (wave.double() * full).round().clamp(-full, full - 1).mT.contiguous()
        if self.subtype == "PCM_16":
            return whole.to(torch.int16).numpy()
        return (whole * 256).to(torch.int32).numpy()  # soundfile takes the upper 24 of 32 bits

    def _append(self, samples: Any) -> None:
        with self._explained():
            self._file.write(samples)
            self._declare()

    def _declare(self) -> None:
        """Bring the sizes in the header up to date, so that the file is playable if nobody ever closes it."""
        if self.format != "WAV" or not hasattr(os, "pwrite"):  # Windows
            return
        descriptor = self._bytes.fileno()
        size = os.fstat(descriptor).st_size
        body = os.pread(descriptor, _HEADER, 0).index(b"data") + 8
        for position, room in ((4, size - 8), (body - 4, size - body)):
            os.pwrite(descriptor, min(room, 0xFFFF_FFFF).to_bytes(4, "little"), position)

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


def format_of(path: str | os.PathLike[str]) -> str:
    """Return ``"WAV"`` or ``"FLAC"``, as the name of a file to be written ends.

    Raises:
        AudioFileError: it ends otherwise.
    """
    format = Path(path).suffix[1:].upper()
    if format not in _WRITABLE:
        raise AudioFileError(f"cannot write {path}: choose a name that ends in .wav or .flac")
    return format


def subtype_for(path: str | os.PathLike[str], depth: str) -> str:
    """Return the subtype in which a file keeps most of a recording of that `AudioInfo.depth`.

    Raises:
        AudioFileError: see `format_of`.
    """
    subtypes = _WRITABLE[format_of(path)]
    return depth if depth in subtypes else subtypes[-1]


def write(
    path: str | os.PathLike[str], wave: Float[Tensor, "channels time"], sample_rate: int, force: bool = False
) -> None:
    """Write a whole wave; see `AudioWriter`."""
    with AudioWriter(path, sample_rate, wave.shape[0], force=force) as writer:
        writer.write(wave)


def _beyond(wave: Float[Tensor, "channels time"], subtype: str) -> Tensor:
    full = _FULL_SCALE[subtype]
    return ((wave * full).round() >= full) | ((wave * full).round() < -full)


def _named(path: Path) -> str | bytes:
    """Return a name for soundfile, which takes names that are no UTF-8 as bytes only."""
    return str(path) if os.name == "nt" else os.fsencode(path)
