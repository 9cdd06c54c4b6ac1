"""`slotaudio probe`: table, file, refusals."""

import csv

import numpy as np
import pytest
import soundfile
from running import run


def test_table_and_file(tiny_model, tmp_path, capsys):
    folder = tmp_path / "speakers"
    for number, name in enumerate(("ann", "ann", "bob", "bob")):
        (folder / name).mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(number).standard_normal(9600)
        soundfile.write(folder / name / f"{number}.wav", 0.05 * noise, 16000)
    table = tmp_path / "found" / "probe.csv"
    options = ["--utterances", 2, "--folds", 2, "--span", "utterance,window", "-o", table, "-q"]
    code, out, err = run("probe", capsys, folder, "-m", tiny_model, "--features", "auto,mfcc", *options)
    assert code == 0, err
    for wanted in ("slots of tiny", "mfcc", "utterance", "chance"):
        assert wanted in out
    rows = list(csv.DictReader(table.read_text().splitlines()))
    assert [(row["features"], row["span"]) for row in rows] == [
        (features, span) for features in ("slots of tiny", "mfcc") for span in ("utterance", "window")
    ]
    assert {row["utterances"] for row in rows} == {"4"}
    code, _, err = run("probe", capsys, folder, *options)
    assert code == 2
    assert "exists already" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["bundled", "--span", "word"], "span 'word' is not known"),
        (["bundled", "--folds", "1"], "error: folds = 1: give 2 or more"),
        (["bundled", "--examples", "1"], "error: examples = 1: give 2 or more"),
        (["bundled", "--window", "0"], "error: window = 0: give"),
        (["bundled", "--span", ","], "error: no span: choose from frame,"),
        (["bundled", "--features", "mfc"], "Did you mean 'mfcc'?"),
        (["nowhere"], "no such folder: nowhere"),
        (["nowhere", "--force", "-o", "/"], "/ is a folder"),
    ],
)
def test_refusals(capsys, arguments, message):
    code, _, err = run("probe", capsys, *arguments, "-q")
    assert code == 2
    assert message in err


def test_the_options_of_a_probe_reach_it(capsys, monkeypatch):
    given = {}

    def probe(folder, embedders, spans, **options):
        given.update(options)
        raise KeyboardInterrupt

    monkeypatch.setattr("slotaudio.evaluation.probe.probe", probe)
    options = ["--mixed", "--window", 0.5, "--folds", 3, "--utterances", 4, "--examples", 50, "--seed", 6]
    run("probe", capsys, "bundled", "--features", "mfcc", "-q", *options)
    del given["progress"]
    assert given == {"mixed": True, "window": 0.5, "folds": 3, "utterances": 4, "examples": 50, "seed": 6}
