"""FLAC files that a full disk took in part: what of them is there, and a header that says so."""

import contextlib
from pathlib import Path

import soundfile

_COUNTED = 18  # where the header has rate, channels, bits and number of samples
_STEP = 1024


def decodable(file: soundfile.SoundFile) -> int:
    """Count the samples of a FLAC file that are there, whatever a full disk made of its header and its end."""
    found = 0
    with contextlib.suppress(soundfile.LibsndfileError):  # the last frame is there in part
        while length := len(file.read(_STEP, dtype="int32")):
            found += length
    return found


def promise(path: Path, frames: int) -> None:
    """Write into the header of a FLAC file how many samples it has, in its place, as a full disk wants it."""
    with open(path, "r+b") as file:
        file.seek(_COUNTED)
        before = int.from_bytes(file.read(8), "big")
        file.seek(_COUNTED)
        file.write((before >> 36 << 36 | frames).to_bytes(8, "big"))  # the last 36 bits of the 64
