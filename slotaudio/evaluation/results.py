"""Results: one `Result` per mixture and row, their means, and CSV files of both."""

import csv
import math
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from slotaudio.errors import DataError
from slotaudio.evaluation.labels import RANGES, mixture_labels, speakers_of
from slotaudio.evaluation.mean import Mean
from slotaudio.evaluation.rows import Row
from slotaudio.metrics import score
from slotaudio.writing import replacing

METRICS = ("si_snr", "si_sdr", "sdr")

Item = tuple[Tensor, Tensor, Mapping[str, Any]]


@dataclass(frozen=True)
class Result:
    """What one row made of one mixture: what was compared, and how well it went."""

    labels: Mapping[str, str | float]
    """``system mask window joining mixture ...``; empty where nothing is known."""
    values: Mapping[str, float]
    """By metric, mostly in decibels, the mean over the audible sources; NaN where there is none. ``right_number`` is 1
    where as many outputs were found present as sources are audible, else 0."""
    speakers: tuple[str, ...] = ()
    """Who is heard, as far as it is known."""


def evaluate(
    rows: Sequence[Row], dataset: Iterable[Item], sample_rate: int, metrics: Sequence[str] = METRICS
) -> Iterator[Result]:
    """Yield the results of all rows, mixture by mixture.

    Raises:
        UserError: a model with fewer slots than a mixture has sources.
    """
    for mixture, sources, metadata in dataset:
        labels = mixture_labels(mixture, sources, metadata, sample_rate)
        for row in rows:
            began = time.perf_counter()
            separated = row.separate(mixture[None], sources[None])
            seconds = time.perf_counter() - began
            scored = score(separated.sources, sources[None], mixture[None], row.matcher, tuple(metrics), sample_rate)
            window = "" if math.isinf(row.window) else row.window
            of_row = {"system": row.system, "mask": row.mask, "window": window, "joining": row.joining}
            values = {name: float(scored.mean(name)) for name in scored.values}
            values["residual"] = float(scored.residual.nanmean())
            values["surplus"] = float(scored.surplus)
            values["right_number"] = float(separated.found == labels["active"])
            values["real_time_factor"] = seconds * sample_rate / mixture.shape[-1]
            yield Result(of_row | labels, values, speakers_of(metadata))


def summarise(results: Iterable[Result], by: Sequence[str]) -> dict[tuple[str | float, ...], dict[str, Mean]]:
    """Return the means of every value, one entry per combination of the labels `by`, in order of appearance.

    Only ranges, such as those of the label ``level``, are in order of their numbers.
    """
    groups: dict[tuple[str | float, ...], list[Result]] = {}
    for result in results:
        groups.setdefault(tuple(result.labels[label] for label in by), []).append(result)
    rank = {row: number for number, row in enumerate(dict.fromkeys(_row(key, by) for key in groups))}
    ordered = sorted(groups.items(), key=lambda group: (rank[_row(group[0], by)], _beginnings(group[0], by)))
    return {
        key: {
            name: Mean.of((result.values[name] for result in group), (result.speakers for result in group))
            for name in group[0].values
        }
        for key, group in ordered
    }


def _row(key: Sequence[str | float], by: Sequence[str]) -> tuple[str | float, ...]:
    return tuple(value for value, label in zip(key, by, strict=True) if label not in RANGES)


def _beginnings(key: Sequence[str | float], by: Sequence[str]) -> list[float]:
    """Return where the ranges begin; no range at all comes last."""
    ranges = (str(value) for value, label in zip(key, by, strict=True) if label in RANGES)
    return [float(text.partition(" ")[0] or "inf") for text in ranges]


def write_results(path: Path, results: Sequence[Result]) -> None:
    """Write one line per mixture and row.

    Raises:
        DataError: the file cannot be written.
    """
    _write(path, ({**result.labels, **_rounded(result.values)} for result in results))


def write_summary(path: Path, results: Sequence[Result], by: Sequence[str]) -> None:
    """Write one line per combination of the labels `by`: means and their intervals (see `Mean`).

    After its name each value has ``_ci95`` for half the interval for other mixtures, ``_low95`` and ``_high95`` for
    the ends of that for other speakers, and ``_n`` for how many mixtures it is the mean of.

    Raises:
        DataError: the file cannot be written.
    """
    lines = []
    for key, means in summarise(results, by).items():
        cells: dict[str, Any] = dict(zip(by, key, strict=True))
        for name, mean in means.items():
            low, high = mean.speakers
            ends = {f"{name}_ci95": mean.half_width, f"{name}_low95": low, f"{name}_high95": high}
            cells |= _rounded({name: mean.mean} | ends) | {f"{name}_n": mean.count}
        lines.append(cells)
    _write(path, lines)


def _rounded(values: Mapping[str, float]) -> dict[str, Any]:
    return {name: "" if math.isnan(value) else round(value, 4) for name, value in values.items()}


def _write(path: Path, lines: Iterable[Mapping[str, Any]]) -> None:
    lines = list(lines)
    try:
        with replacing(path) as partial, partial.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, list(lines[0]) if lines else [], lineterminator="\n")
            writer.writeheader()
            writer.writerows(lines)
    except OSError as error:
        raise DataError(f"cannot write {path}: {error.strerror}") from None
