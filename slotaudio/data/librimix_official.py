"""`OfficialMixtures`: the folders that LibriMix's generator wrote, read in stretches."""

import csv
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Int16

from slotaudio import audio
from slotaudio.data.librimix_listed import Kind
from slotaudio.data.librimix_metadata import described, speaker_of
from slotaudio.data.recordings import UnreadableUtterance
from slotaudio.errors import AudioFileError, DataError


class OfficialMixtures:
    """Generated mixtures: ``Libri2Mix/wav16k/max/train-360/`` with ``mix_clean``, ``s1``, ``s2``, and ``noise``.

    The order is that of the generator's own table in ``metadata``, or by name without it.

    Args:
        path: the folder that holds ``wav8k`` or ``wav16k``.
        subset, sources, rate, length, kind, noise_source: see `slotaudio.data.librimix.LibriMix`.
        sexes: of the speakers, where they are known.

    Raises:
        DataError: no such variant was generated; says which were.
    """

    def __init__(
        self,
        path: Path,
        subset: str,
        sources: int,
        rate: int,
        length: Literal["max", "min"],
        kind: Kind = "mix_clean",
        noise_source: bool = False,
        sexes: Mapping[str, str] | None = None,
    ) -> None:
        self.rate = rate
        self.path = _variant(path, f"wav{rate // 1000}k", length, subset)
        self.sexes = sexes or {}
        self.parts = ["s1"] if kind == "mix_single" else [f"s{n}" for n in range(1, sources + 1)]
        self.parts += ["noise"] * (noise_source and kind != "mix_clean")
        self.kind = _variant(self.path, kind).name
        if (self.path / f"s{sources + 1}").is_dir():
            raise DataError(f"{self.path} holds mixtures of more than {sources} speakers: set sources")
        table = self.path.parent / "metadata" / f"mixture_{subset}_{kind}.csv"
        listed = _ids(table) if table.is_file() else _names(self.path / kind)
        there = [_names(_variant(self.path, part)) for part in (kind, *self.parts)]
        complete = set.intersection(*map(set, there))
        self.ids = [name for name in listed if name in complete]
        self.missing = tuple(name for name in listed if name not in complete)
        """Mixtures that lack a file; they are left out."""
        self.dropped = len(self.missing)
        self._lengths: dict[int, int] = {}

    def complaint(self, metadata: Path | None = None) -> str:
        """Say which mixtures are incomplete, and how many."""
        return (
            f"{self.dropped} of {self.dropped + len(self.ids)} mixtures of {self.path} lack a file in "
            f"{', '.join((self.kind, *self.parts))}: {described(self.missing)}"
        )

    def __len__(self) -> int:
        return len(self.ids)

    def length(self, index: int) -> int:
        """Return how many samples a mixture has.

        Raises:
            UnreadableUtterance: its header cannot be read.
            DataError: it has another rate.
        """
        if index not in self._lengths:
            path = self._file(self.kind, index)
            try:
                with audio.AudioReader(path) as reader:
                    found, frames = reader.info, reader.count()
            except AudioFileError as error:
                raise UnreadableUtterance(str(error)) from None
            if found.sample_rate != self.rate:
                raise DataError(f"{path} has {found.sample_rate} samples per second; its folder says {self.rate}")
            self._lengths[index] = frames
        return self._lengths[index]

    def read(
        self, index: int, start: int, stop: int
    ) -> tuple[Int16[np.ndarray, "time"], Int16[np.ndarray, "sources time"]]:
        """Return samples `start` to `stop` of a mixture and of its sources.

        Raises:
            UnreadableUtterance: a file cannot be read.
        """
        try:
            waves = [audio.read(self._file(part, index), start, stop)[0][0] for part in (self.kind, *self.parts)]
        except AudioFileError as error:
            raise UnreadableUtterance(str(error)) from None
        mixture, *sources = [np.rint(wave.numpy() * 32768).astype(np.int16) for wave in waves]
        return mixture, np.stack(sources)

    def about(self, index: int) -> Mapping[str, Any]:
        """Return what is known of a mixture: its name is made of those of the utterances."""
        name = self.ids[index]
        spoken = [part for part in self.parts if part != "noise"]
        keys = [key if key.count("-") == 2 else "" for key in name.split("_")][: len(spoken)]
        keys += [""] * (len(self.parts) - len(keys))
        speakers = tuple(map(speaker_of, keys))
        return {
            "id": name,
            "speakers": speakers,
            "genders": tuple(self.sexes.get(speaker, "") for speaker in speakers),
            "utterances": tuple(keys),
        }

    def _file(self, part: str, index: int) -> Path:
        return self.path / part / f"{self.ids[index]}.wav"


def official_root(path: Path, sources: int) -> Path | None:
    """Return the folder with ``wav8k`` or ``wav16k``: `path` or its ``Libri2Mix``; None if there is none."""
    for root in (path, path / f"Libri{sources}Mix"):
        if any((root / f"wav{rate}k").is_dir() for rate in (8, 16)):
            return root
    return None


def _variant(path: Path, *parts: str) -> Path:
    for part in parts:
        if not (path / part).is_dir():
            there = sorted(entry.name for entry in path.iterdir() if entry.is_dir() and entry.name != "metadata")
            raise DataError(f"{path} holds no {part}; generated were: {', '.join(there) or 'no folders'}")
        path = path / part
    return path


def _names(folder: Path) -> list[str]:
    return sorted(entry.name.removesuffix(".wav") for entry in os.scandir(folder) if entry.name.endswith(".wav"))


def _ids(table: Path) -> list[str]:
    with table.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    if not rows or "mixture_ID" not in rows[0]:
        raise DataError(f"{table} lacks the column mixture_ID, or has no rows")
    return [row["mixture_ID"] for row in rows]
