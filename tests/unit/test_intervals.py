"""Means of an evaluation and how certain they are: for other mixtures, and for other speakers."""

import csv
import math

import numpy as np
import pytest

from slotaudio.evaluation.mean import Mean
from slotaudio.evaluation.results import Result, write_summary
from slotaudio.evaluation.table import results_table


def test_mean_and_confidence():
    values = [1.0, 2.0, 4.0, 5.0, math.nan]
    mean = Mean.of(values)
    assert (mean.mean, mean.count) == (3.0, 4)
    assert mean.half_width == pytest.approx(3.182446 * np.std(values[:4], ddof=1) / 2, rel=1e-5)  # t of 3 degrees
    assert str(mean) == "3.00 ±2.91"
    assert str(Mean.of([1.5])) == "1.50"
    assert str(Mean.of([math.nan])) == "–"


def test_speakers_who_differ_make_the_mean_less_certain_for_others_than_for_themselves():
    """Simulated: how good a mixture is depends on its speakers alone; more mixtures of them tell nothing new."""
    names = [f"speaker {n}" for n in range(20)]
    inside, widths = 0, []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        quality = dict(zip(names, rng.normal(10, 2, len(names)), strict=True))
        pairs = [tuple(rng.choice(names, 2, replace=False)) for _ in range(200)]
        mean = Mean.of((sum(quality[name] for name in pair) for pair in pairs), pairs)
        low, high = mean.speakers
        inside += low < 20 < high
        widths.append((high - low) / 2 / mean.half_width)
    assert inside >= 35  # 95 % of 40 are 38
    assert np.mean(widths) > 2


def test_nothing_is_said_of_other_speakers_where_they_are_unknown_or_few():
    values = np.linspace(9, 11, 10)
    few = [("a", "b"), ("b", "c"), ("c", "d"), ("d", "a"), ("a", "c")] * 2
    unknown = [*[(f"{n}", f"{n + 1}") for n in range(9)], ()]
    for speakers in ((), few, unknown):
        assert all(map(math.isnan, Mean.of(values, speakers).speakers))
    many = [(f"{n}", f"{n + 1}", f"{n + 2}")[: 1 + n % 3] for n in range(10)]
    low, high = Mean.of(values, many).speakers
    assert 9 <= low < 10 < high <= 11
    assert Mean.of([*values, math.nan], [*many, ()]).speakers == (low, high)


def test_the_interval_for_other_speakers_holds_95_percent_and_mixtures_may_differ_in_their_number():
    values = np.random.default_rng(0).normal(0, 1, 400)
    low, high = Mean.of(values, [(str(n),) for n in range(400)]).speakers
    assert (high - low) / 2 == pytest.approx(1.96 * values.std() / 20, rel=0.06)  # of 90 % it would be 1.64
    pairs = [(f"{n}", f"{n}'")[: 1 + n % 2] for n in range(100)]
    low, high = Mean.of([float(n % 2) for n in range(100)], pairs).speakers
    assert 0.25 < low < 0.5 < high < 0.75  # a place that nobody takes counts once
    assert Mean.of([1.0, 2.0] * 3, [(str(n % 5),) for n in range(6)]).speakers[0] > 0  # five are enough


def test_intervals_for_other_speakers_are_shown_and_written(tmp_path):
    results = [
        Result({"system": "a", "mixture": str(n)}, {"si_sdr_i": float(n)}, (f"{n}", f"{(n + 1) % 9}")) for n in range(9)
    ]
    write_summary(tmp_path / "summary.csv", results, ["system"])
    (row,) = csv.DictReader((tmp_path / "summary.csv").read_text().splitlines())
    assert float(row["si_sdr_i_low95"]) < float(row["si_sdr_i"]) < float(row["si_sdr_i_high95"])
    shown = [column.header for column in results_table(results, ["system"]).columns]
    assert shown == ["", "SI-SDRi", "other speakers", "mixtures"]
    plain = [Result(result.labels, result.values) for result in results]
    assert "other speakers" not in [column.header for column in results_table(plain, ["system"]).columns]
