"""`Plan`: everything that makes up one mixture, drawn once, kept in a list, rendered any time."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from slotaudio.data.speech import SpeechFolder
from slotaudio.errors import DataError
from slotaudio.writing import replacing


@dataclass(frozen=True)
class Take:
    """A stretch of an utterance, and where and how loud it sounds in the mixture."""

    utterance: str
    """Path relative to the folder; its first part is the speaker."""
    start: int
    length: int
    offset: int
    """Samples of silence before it."""
    gain: float
    speed: float = 1.0

    @property
    def speaker(self) -> str:
        return self.utterance.partition("/")[0]


@dataclass(frozen=True)
class Plan:
    """One mixture of `length` samples."""

    id: str
    length: int
    takes: tuple[Take, ...]


def place(wave: Float[np.ndarray, "time"], offset: int, length: int) -> Float[np.ndarray, "longer"]:
    """Put a wave into `length` samples of silence, `offset` samples from the beginning."""
    return np.pad(wave, (offset, length - offset - wave.size))


def render(
    plan: Plan, waves: Sequence[Float[np.ndarray, "_"]], sources: int | None = None
) -> Float[Tensor, "sources channels time"]:
    """Return the sources of a plan from what `read` gave for each take; surplus sources are silent."""
    placed = np.zeros((sources or len(plan.takes), plan.length), dtype=np.float32)
    for row, take, wave in zip(placed, plan.takes, waves, strict=False):
        row[:] = place(wave * np.float32(take.gain), take.offset, plan.length)
    return rearrange(torch.from_numpy(placed), "sources time -> sources 1 time")


def read(plan: Plan, folder: SpeechFolder) -> list[Float[np.ndarray, "_"]]:
    """Read the stretches that a plan names, before any gain."""
    return [folder.read(take.utterance, take.start, take.length, take.speed) for take in plan.takes]


_PLAN_COLUMNS = ("mixture_id", "length")
_TAKE_COLUMNS = ("path", "start", "length", "offset", "gain", "speed")


def write_list(path: str | Path, plans: Sequence[Plan]) -> None:
    """Freeze mixtures in a CSV: one row each, the columns of every source numbered from 1.

    Raises:
        DataError: the file cannot be written.
    """
    sources = max((len(plan.takes) for plan in plans), default=0)
    header = [*_PLAN_COLUMNS, *(f"source_{n}_{column}" for n in range(1, sources + 1) for column in _TAKE_COLUMNS)]
    try:
        with replacing(path) as partial, partial.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(header)
            for plan in plans:
                row: list[object] = [plan.id, plan.length]
                for take in plan.takes:
                    row += [take.utterance, take.start, take.length, take.offset, repr(take.gain), repr(take.speed)]
                writer.writerow(row + [""] * (len(header) - len(row)))
    except OSError as error:
        raise DataError(f"cannot write the list {path}: {error.strerror}") from None


def read_list(path: str | Path, folder: SpeechFolder) -> list[Plan]:
    """Return the mixtures of a list whose utterances are in `folder`.

    Raises:
        DataError: the list is missing or empty, a column is missing or not a number, or utterances
            are not in the folder (says how many and which first).
    """
    try:
        with Path(path).open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
    except OSError as error:
        raise DataError(f"cannot read the list {path}: {error.strerror}") from None
    if not rows:
        raise DataError(f"the list {path} holds no mixture")
    try:
        plans = [_plan(row) for row in rows]
    except KeyError as error:
        raise DataError(f"the list {path} lacks the column {error}; it has: {', '.join(rows[0])}") from None
    except (TypeError, ValueError) as error:  # a row that is too short has None in it
        raise DataError(f"the list {path} holds something that is no number: {error}") from None
    known = {utterance for utterances in folder.speakers.values() for utterance in utterances}
    wanted = dict.fromkeys(take.utterance for plan in plans for take in plan.takes)
    missing = [utterance for utterance in wanted if utterance not in known]
    if missing:
        raise DataError(
            f"the list {path} names {len(wanted)} utterances, of which {len(missing)} are not in {folder.path}; "
            f"the first is {missing[0]}"
        )
    return plans


def _plan(row: dict[str, str]) -> Plan:
    takes: list[Take] = []
    while row.get(f"source_{len(takes) + 1}_path"):
        cell = {column: row[f"source_{len(takes) + 1}_{column}"] for column in _TAKE_COLUMNS}
        start, length, offset = (int(cell[column]) for column in ("start", "length", "offset"))
        takes.append(Take(cell["path"], start, length, offset, float(cell["gain"]), float(cell["speed"])))
    if not takes:
        raise KeyError("source_1_path")
    plan = Plan(row["mixture_id"], int(row["length"]), tuple(takes))
    if any(take.start < 0 or take.offset < 0 or take.offset + take.length > plan.length for take in takes):
        raise ValueError(f"mixture {plan.id} of {plan.length} samples has a source outside of it")
    return plan
