"""LibriMix's lists: which utterances make up a mixture, and how loud each is."""

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from slotaudio.errors import DataError

SUBSETS = {
    "train-100": "train-clean-100",
    "train-360": "train-clean-360",
    "dev": "dev-clean",
    "test": "test-clean",
}
"""LibriMix's names of the parts, and LibriSpeech's."""

NOISE_FOLDERS = {"train-100": "tr", "train-360": "tr", "dev": "cv", "test": "tt"}
"""WHAM's names of the same parts."""


@dataclass(frozen=True)
class Row:
    """One mixture of a list, as the generator reads it."""

    id: str
    utterances: tuple[str, ...]
    """Paths below LibriSpeech's root, such as ``train-clean-100/19/198/19-198-0001.flac``."""
    gains: tuple[float, ...]
    noise: str = ""
    """Path below the root of WHAM's noise; empty where the list is not read for it."""
    noise_gain: float = 1.0

    @property
    def keys(self) -> tuple[str, ...]:
        """What LibriSpeech calls the utterances: speaker, chapter and number."""
        return tuple(map(key_of, self.utterances))


def read_metadata(path: Path, sources: int, noise: bool = False) -> list[Row]:
    """Return the mixtures of one list.

    Args:
        path: a CSV of LibriMix's ``metadata`` folder.
        sources: how many speakers its mixtures have.
        noise: read the columns of the noise as well.

    Raises:
        DataError: no such file, no rows, a column is missing, the list is of mixtures of more speakers, or a gain is
            not a number above zero; says where.
    """
    columns, lines = _read(path)
    wanted = ["mixture_ID", *(f"source_{n}_{what}" for n in range(1, sources + 1) for what in ("path", "gain"))]
    wanted += ["noise_path", "noise_gain"] if noise else []
    missing = [column for column in wanted if column not in columns]
    if missing:
        raise DataError(
            f"{path} lacks the column{'s' * (len(missing) > 1)} {', '.join(missing)}; it has: {', '.join(columns)}"
        )
    if f"source_{sources + 1}_path" in columns:
        found = sum(column.startswith("source_") and column.endswith("_path") for column in columns)
        raise DataError(f"{path} lists mixtures of {found} speakers, sources = {sources} was asked for")
    return [_row(path, number, line, sources, noise) for number, line in enumerate(lines, start=2)]


def find_metadata(path: Path, subset: str, sources: int) -> Path:
    """Return the list of a subset: `path` itself if it is a file, else the CSV of that name below it.

    Raises:
        DataError: there is none; says where it was looked for and which lists are there.
    """
    if path.is_file():
        return path
    name = f"libri{sources}mix_{SUBSETS[subset]}.csv"
    folders = (path, path / f"Libri{sources}Mix", path / "metadata" / f"Libri{sources}Mix")
    for folder in folders:
        if (folder / name).is_file():
            return folder / name
    there = sorted(file.name for folder in folders if folder.is_dir() for file in folder.glob("libri*mix_*.csv"))
    lists = [file for file in there if not file.endswith("_info.csv")]
    raise DataError(
        f"no {name} in {path} or its folder Libri{sources}Mix; "
        + (
            f"the lists there are {', '.join(lists)}"
            if lists
            else "it holds no lists of LibriMix (metadata of its repository)"
        )
    )


def read_sexes(metadata: Path | None, *roots: Path) -> Mapping[str, str]:
    """Return the sex of each speaker from a list's ``_info.csv`` or LibriSpeech's ``SPEAKERS.TXT``; empty without."""
    sexes: dict[str, str] = {}
    info = None if metadata is None else metadata.with_name(f"{metadata.stem}_info.csv")
    if info is not None and info.is_file():
        for line in _read(info)[1]:
            for column, speaker in line.items():
                if column.endswith("_ID") and column.startswith("speaker_") and speaker:
                    sexes[speaker.removesuffix(".0")] = line.get(column.removesuffix("ID") + "sex", "")
        return sexes
    for root in roots:
        if (root / "SPEAKERS.TXT").is_file():
            for text in (root / "SPEAKERS.TXT").read_text(encoding="utf-8", errors="replace").splitlines():
                cells = [cell.strip() for cell in text.split("|")]
                if len(cells) > 1 and not text.startswith(";"):
                    sexes[cells[0]] = cells[1]
            break
    return sexes


def key_of(path: str) -> str:
    """Return what LibriSpeech calls an utterance: the name of its file, without the ending."""
    return path.rpartition("/")[2].rpartition(".")[0]


def speaker_of(key: str) -> str:
    """Return the speaker of an utterance by its LibriSpeech name, such as ``19-198-0001``."""
    return key.partition("-")[0]


def described(names: Sequence[str], most: int = 5) -> str:
    """Return the first few names, and that there are more."""
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")


def _read(path: Path) -> tuple[list[str], list[dict[str, str]]]:
    try:
        # "utf-8-sig": spreadsheets mark their files, and the first column would not be found
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, restval="")
            lines = list(reader)
            columns = list(reader.fieldnames or ())
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"cannot read the list {path}: {error}") from None
    if not lines:
        raise DataError(f"the list {path} holds no mixture")
    return columns, lines


def _row(path: Path, number: int, line: Mapping[str, str], sources: int, noise: bool) -> Row:
    where = f"{path}, line {number}"
    utterances = tuple(_text(where, line, f"source_{n}_path") for n in range(1, sources + 1))
    gains = tuple(_gain(where, line, f"source_{n}_gain") for n in range(1, sources + 1))
    identity = _text(where, line, "mixture_ID")
    if not noise:
        return Row(identity, utterances, gains)
    return Row(identity, utterances, gains, _text(where, line, "noise_path"), _gain(where, line, "noise_gain"))


def _text(where: str, line: Mapping[str, str], column: str) -> str:
    if not line[column].strip():
        raise DataError(f"{where}: {column} is empty")
    return line[column].strip()


def _gain(where: str, line: Mapping[str, str], column: str) -> float:
    try:
        value = float(line[column])
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value > 0):
        raise DataError(f"{where}: {column} is {line[column]!r}; a finite factor above zero is needed")
    return value
