"""Opening audio files whose header may not say how long they are, as programs leave it that write to a pipe."""

import os
import re
from io import FileIO
from pathlib import Path

import soundfile

_UNCOUNTED = 2**63 - 1  # libsndfile's SF_COUNT_MAX
_PLACEHOLDERS = (range(1), range(0x7FFF_0000, 0x8000_0001), range(0xFFFF_0000, 1 << 32))
"""Lengths of WAV files that stand for none: of Python's `wave`, of sox and arecord, of ffmpeg."""


class OpenFile(soundfile.SoundFile):
    """A soundfile that says whether it knows its length, and is read to its end even if it does not.

    soundfile seeks after each read to where it is by then, which libsndfile cannot at the end of a FLAC file that
    nobody counted.
    """

    @property
    def counted(self) -> bool:
        """Whether `frames` is a number of samples."""
        return bool(self.frames < _UNCOUNTED)

    def seekable(self) -> bool:
        """Whether soundfile is to seek."""
        return self.counted and super().seekable()


def open_file(path: Path, callbacks: bool = False) -> tuple[OpenFile, FileIO]:
    """Open an audio file; give also the binary file beneath it, to be closed after it.

    Args:
        path: of the file.
        callbacks: let libsndfile read through Python.

    Raises:
        soundfile.LibsndfileError: it is no audio file.
    """
    file = FileIO(path)
    try:
        # not the name, which soundfile takes in UTF-8 only
        opened = OpenFile(file if callbacks else file.fileno(), closefd=False)
        start = _start_of_uncounted(path)
        if start is None or opened.subtype not in soundfile.available_subtypes("RAW"):
            return opened, file
        layout = {"samplerate": opened.samplerate, "channels": opened.channels, "subtype": opened.subtype}
        opened.close()
        file.close()
        file = _Tail(path, start)
        return OpenFile(file, format="RAW", endian="LITTLE", **layout, closefd=False), file
    except soundfile.LibsndfileError:
        file.close()
        raise


def promised(file: soundfile.SoundFile) -> int:
    """Return how many samples a header promises.

    libsndfile clips a WAV header's promise to what is there and only logs that it did; programs that write to a pipe
    promise the maximum, which is no damage.
    """
    clipped = re.search(r"^\s*data : (\d+) \(should be (\d+)\)", file.extra_info, re.MULTILINE)
    if clipped and 0 < int(clipped[2]) < int(clipped[1]) < 0x7FFF_0000:
        return round(file.frames * int(clipped[1]) / int(clipped[2]))
    return int(file.frames)


def _start_of_uncounted(path: Path) -> int | None:
    """Return where the samples of a WAV file begin if there are more than its header was told, or has room for."""
    end = path.stat().st_size
    with open(path, "rb") as file:
        kind, size = file.read(4), _number(file.read(4))
        if kind not in (b"RIFF", b"RF64") or file.read(4) != b"WAVE":
            return None
        position, known = 12, 0
        while position + 8 <= end:
            file.seek(position)
            name, length = file.read(4), _number(file.read(4))
            position += 8
            if name == b"ds64":  # RF64 has its lengths there
                known = _number(file.read(16)[8:])
            if name == b"data":
                if kind == b"RF64":
                    length, told = known, known > 0
                else:
                    told = abs(size + 8 - end) < 2 or not any(length in lengths for lengths in _PLACEHOLDERS)
                return position if not told and end - position > length else None
            position += length + length % 2
    return None


class _Tail(FileIO):
    """A file without its first bytes."""

    def __init__(self, path: Path, start: int) -> None:
        super().__init__(path)
        self._start = start
        self.seek(0)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return super().seek(offset + (self._start if whence == os.SEEK_SET else 0), whence) - self._start

    def tell(self) -> int:
        return super().tell() - self._start


def _number(data: bytes) -> int:
    return int.from_bytes(data, "little")
