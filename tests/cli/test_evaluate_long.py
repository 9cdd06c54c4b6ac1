"""`slotaudio evaluate --long`: table, files, refusals."""

import csv

import pytest

from slotaudio.cli import main
from slotaudio.rttm import read_rttm


def run(capsys, *arguments):
    with pytest.raises(SystemExit) as stop:
        main(["evaluate", *map(str, arguments)])
    return stop.value.code, capsys.readouterr()


def test_table_and_files(tmp_path, capsys):
    options = ["--long", "0.2", "--mixtures", "2", "--joining", "blind,adjacent-given", "-q", "-o", tmp_path / "found"]
    code, printed = run(capsys, "oracle", "bundled", *options, "--oracle", "ibm", "--set", "data.overlap=0.5")
    assert code == 0, printed.err
    for wanted in ("right speaker", "swaps/min", "oracle ibm 0.5 s blind", "oracle ibm 0.5 s adjacent-given"):
        assert wanted in printed.out
    scores = list(csv.DictReader((tmp_path / "found/scores.csv").read_text().splitlines()))
    assert [row["joining"] for row in scores] == ["blind", "adjacent-given"] * 2
    assert {row["seconds"] for row in scores} == {"12.0"}
    assert float(scores[0]["right_windows"]) > 0.9
    assert (tmp_path / "found/summary.csv").is_file()
    turns = read_rttm(tmp_path / "found/timelines.rttm")
    assert {turn.recording for turn in turns} == {row["mixture"] for row in scores}
    assert {turn.speaker for turn in turns} == {name for row in scores for name in row["speakers"].split()}


def test_models_too(capsys, tiny_model):
    code, printed = run(capsys, tiny_model, "bundled", "--long", "0.1", "--mixtures", "1", "-q")
    assert code == 0, printed.err
    assert "tiny own 0.5 s blind" in printed.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--long", "0"], "more than 0"),
        (["--long", "1", "--table1"], "--long goes without --table1"),
        (["--long", "1", "--joining", "reference"], "no speaker could be lost"),
        (["--long", "1", "--set", "data.overlap=2"], "between 0 and 1"),
        (["--long", "1", "--sources", "50"], "speakers"),
    ],
)
def test_refusals(capsys, arguments, message):
    code, printed = run(capsys, "oracle", "bundled", "-q", *arguments)
    assert code == 2
    assert message in printed.err
