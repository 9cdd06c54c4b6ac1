"""What MP3 files need beside libsndfile: to be told apart, to be counted, and a decoder that keeps quiet."""

import contextlib
import os
import re
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

_STDERR = threading.Lock()
_TRIFLE = re.compile(rb"\s*$|Note: |Warning: .*(Frankenstein|fuzzy seeking)|\[src/libmpg123/")


def is_mp3(path: Path) -> bool:
    """Whether a file begins like MP3, whatever its name is: with an ID3 tag, or the header of a frame."""
    with open(path, "rb") as file:
        head = file.read(3)
    return head == b"ID3" or (len(head) == 3 and head[0] == 0xFF and head[1] >= 0xE0 and head[1] & 0x06 != 0)


def has_index(path: Path) -> bool:
    """Whether the first frame of an MP3 file, behind its ID3 tag, counts the frames that follow."""
    with open(path, "rb") as file:
        head = file.read(10)
        tag = sum((byte & 0x7F) << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0), strict=False))
        file.seek(10 + tag if head[:3] == b"ID3" else 0)
        frame = file.read(256)
    return b"Xing" in frame or b"Info" in frame


@contextlib.contextmanager
def decoder_silenced() -> Iterator[None]:
    """Keep off file descriptor 2 the harmless trifles that libsndfile's MP3 decoder reports there, by the hundred.

    What other threads write there meanwhile, such as their logs, comes out a little later.
    """
    with _STDERR, tempfile.TemporaryFile() as said:
        try:
            kept = os.dup(2)
        except OSError:  # no standard error at all (a service): nothing to silence
            yield
            return
        os.dup2(said.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            said.seek(0)
            with contextlib.suppress(OSError), open(kept, "wb") as stderr:
                stderr.writelines(line for line in said if not _TRIFLE.match(line))
