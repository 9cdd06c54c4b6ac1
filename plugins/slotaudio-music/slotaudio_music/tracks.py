"""Tracks: folders with one audio file per stem, read in parts."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jaxtyping import Float
from torch import Tensor

from slotaudio import audio
from slotaudio.errors import AudioFileError, DataError

SUFFIXES = (".wav", ".flac")

VALIDATION = (
    "Actions - One Minute Smile",
    "Clara Berry And Wooldog - Waltz For My Victims",
    "Johnny Lokke - Promises & Lies",
    "Patrick Talbot - A Reason To Leave",
    "Triviul - Angelsaint",
    "Alexander Ross - Goodbye Bolero",
    "Fergessen - Nos Palpitants",
    "Leaf - Summerghost",
    "Skelpolu - Human Mistakes",
    "Young Griffo - Pennies",
    "ANiMAL - Rockshow",
    "James May - On The Line",
    "Meaxic - Take A Step",
    "Traffic Experiment - Sirens",
)
"""Training tracks that the MUSDB18 tools set aside for validation."""


@dataclass(frozen=True)
class Track:
    """One piece of music: a file per stem."""

    name: str
    files: tuple[Path, ...]
    length: int
    """Samples that every stem has."""

    def read(self, stem: int, start: int, length: int, channels: int) -> Float[Tensor, "channels length"]:
        """Return a stretch of one stem without reading the rest of the file.

        Raises:
            DataError: the file is damaged; names it.
        """
        try:
            wave, _ = audio.read(self.files[stem], start, start + length)
        except AudioFileError as error:
            raise DataError(f"musdb: track {self.name!r}: {error}") from error
        if channels == 1:
            return wave.mean(dim=0, keepdim=True)
        return wave.expand(channels, -1)


def find_tracks(path: Path, stems: Sequence[str], rate: int, channels: int) -> list[Track]:
    """Return the tracks of a folder, in alphabetical order.

    Raises:
        DataError: no folder, no tracks in it, a stem that is missing, of another rate, with more channels than can
            be used, or without sound samples.
    """
    if not path.is_dir():
        raise DataError(
            f"musdb: no folder {path}; the layout is PATH/train/TRACK/{stems[0]}.wav, and test beside train"
        )
    folders = [folder for folder in path.iterdir() if folder.is_dir() and not folder.name.startswith(".")]
    if not folders:
        raise DataError(f"musdb: {path} holds no tracks: one folder per track is needed, with {_wanted(stems)}")
    return [_track(folder, stems, rate, channels) for folder in sorted(folders, key=lambda folder: folder.name)]


def _track(folder: Path, stems: Sequence[str], rate: int, channels: int) -> Track:
    files, lengths = [], []
    for stem in stems:
        file = next((folder / f"{stem}{suffix}" for suffix in SUFFIXES if (folder / f"{stem}{suffix}").is_file()), None)
        if file is None:
            found = ", ".join(sorted(each.name for each in folder.iterdir())) or "nothing"
            raise DataError(
                f"musdb: track {folder.name!r} has no stem {stem!r}: it holds {found}, not {_wanted(stems)}"
            )
        try:
            info = audio.info(file)
        except AudioFileError as error:
            raise DataError(f"musdb: track {folder.name!r}: {error}") from error
        if info.sample_rate != rate:
            raise DataError(
                f"musdb: {file} has {info.sample_rate} Hz, the model {rate} Hz; set frontend.sample_rate or resample it"
            )
        if info.channels not in (1, channels) and channels != 1:
            raise DataError(f"musdb: {file} has {info.channels} channels; {channels} or 1 are needed")
        files.append(file)
        lengths.append(info.frames or 0)
    return Track(folder.name, tuple(files), min(lengths))


def _wanted(stems: Sequence[str]) -> str:
    return f"{', '.join(stems)} as {' or '.join(SUFFIXES)}"
