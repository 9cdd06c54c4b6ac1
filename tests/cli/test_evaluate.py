"""`slotaudio evaluate`: a real process, and every refusal."""

import csv
import os
import re
import subprocess
import sys

import pytest

from slotaudio import Spec, compose
from slotaudio.cli import main
from slotaudio.data import bundled
from slotaudio.pretrained import save_pretrained

QUICK = ("--mixtures", "2", "--seconds", "1")


def refused(capsys, *arguments):
    """Run in this process, which must end with exit code 2, and return the message."""
    with pytest.raises(SystemExit) as stop:
        main(["evaluate", *map(str, arguments)])
    assert stop.value.code == 2
    return capsys.readouterr().err


def test_table_and_files(tmp_path):
    arguments = ["evaluate", "oracle", "bundled", *QUICK, "--table1", "--by", "pair", "-o", str(tmp_path / "found")]
    done = subprocess.run(
        [sys.executable, "-m", "slotaudio", *arguments],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    for wanted in ("SI-SNRi", "oracle ibm 0.5 s blind", "oracle wiener 0.5 s reference", "95 % confidence"):
        assert wanted in done.stdout
    scores = list(csv.DictReader((tmp_path / "found/scores.csv").read_text().splitlines()))
    assert len(scores) == 2 * 4
    assert {row["joining"] for row in scores} == {"blind", "reference"}
    assert all(float(row["si_sdr_i"]) > 5 for row in scores)
    assert (tmp_path / "found/summary.csv").read_text().startswith("system,mask,window,joining,pair,")


def test_frozen_list_gives_the_same_scores(tmp_path, capsys):
    def scores(name, *arguments):
        with pytest.raises(SystemExit) as stop:
            main(
                [
                    "evaluate",
                    "oracle",
                    str(bundled.speech("dev")),
                    "-q",
                    "--oracle",
                    "ibm",
                    "-o",
                    str(tmp_path / name),
                    *arguments,
                ]
            )
        assert stop.value.code in (None, 0)
        rows = csv.DictReader((tmp_path / name / "scores.csv").read_text().splitlines())
        return [(row["mixture"], row["si_sdr_i"]) for row in rows]

    drawn = scores("drawn", *QUICK, "--seed", "5")
    assert len(drawn) == 2
    assert drawn == scores("listed", "--list", str(tmp_path / "drawn/mixtures.csv"))
    assert drawn != scores("other", *QUICK, "--seed", "6")


def test_saved_models_beside_oracle_and_autoencoder(tmp_path, capsys):
    for name, slots in (("pair", 2), ("single", 1)):
        model = compose(
            encoder=Spec("resnet", depth=18, width=4),
            bottleneck=Spec("transformer", slot_dim=8, layers=1, heads=2),
            decoder=Spec("spatial_broadcast", hidden=8, layers=1),
            slots=slots,
        )
        save_pretrained(model, tmp_path / name)
    with pytest.raises(SystemExit) as stop:
        main(
            [
                "evaluate",
                str(tmp_path / "pair"),
                "synthetic",
                *QUICK,
                "--masks",
                "ibm,wiener",
                "--oracle",
                "ibm",
                "--autoencoder",
                str(tmp_path / "single"),
                "--set",
                "data.kinds=['talker']",
            ]
        )
    assert stop.value.code in (None, 0)
    table = capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["evaluate", f"oracle,{tmp_path / 'pair'}", "synthetic", *QUICK, "--windows", "1"])
    assert "oracle wiener 1 s blind" in capsys.readouterr().out
    for row in ("oracle ibm", "autoencoder ibm", "autoencoder wiener", "pair ibm", "pair wiener"):
        assert f"{row} 0.5 s blind" in table
    message = refused(capsys, tmp_path / "single", "synthetic", *QUICK)
    assert "1 slots cannot take 2 sources" in message


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("oracle", "nowhere"), "'nowhere' does not exist: give a folder with one folder per speaker"),
        (("no-such-model", "bundled"), "no-such-model"),
        (("oracle", "bundled", "--mixtures", "0"), "give 1 or more"),
        (("oracle", "bundled", "--oracle", "hard"), "mask 'hard' is not known; choose one of ibm, irm, wiener"),
        (("oracle", "bundled", *QUICK, "--joining", "by ear"), "joining 'by ear' is not known"),
        (
            ("oracle", "bundled", *QUICK, "--by", "loudness"),
            "--by 'loudness' is not known of mixtures; choose from pair",
        ),
        (("oracle", "bundled", "--windows", "half"), "--windows 'half' is no number of seconds"),
        (("oracle", "bundled", "--windows", "0.5,-1"), "--windows '-1' is no number of seconds; give numbers above 0"),
        (("band-split-fast", "bundled", "--device", "nowhere"), "device 'nowhere' cannot be used here"),
        (("oracle", "bundled", *QUICK, "--threads", "0"), "0 threads cannot compute anything"),
        (("oracle", "bundled", *QUICK, "--measures", "loudness"), "'loudness' is not known; choose from si_sdr"),
        (("oracle", "bundled", "--long", "1", "--by", "pair", "--table1"), "--long goes without --table1 and --by"),
        (("oracle", "bundled", "--sources", "9"), "mixtures of 9 speakers need as many; there are 6"),
        (("oracle", "bundled", "--list", "missing.csv"), "cannot read the list missing.csv"),
        (
            ("oracle", "bundled", "--list", "any.csv", "--seconds", "0", "--sources", "2"),
            "--seconds and --sources would",
        ),
        (("oracle", "bundled", "--long", "1", "--seconds", "5"), "the minutes of --long 1"),
        (("oracle", "bundled", "--table1", "--joining", "blind"), "--joining would change nothing: --table1 has"),
        (
            ("band-split-fast", "bundled", "--windows", "1", "--set", "frontend.hop=256"),
            "--windows and --set frontend.hop=256 would change nothing: no ideal masks are asked for",
        ),
        (("oracle", "bundled", "--masks", "ibm", "--keep-noise"), "--masks and --keep-noise would change nothing"),
        (("oracle", "bundled", "--device", "cpu"), "--device would change nothing: no model is evaluated"),
        (
            ("band-split-fast", "bundled", "--masks", "ibm", "--oracle", "wiener"),
            "--masks would change nothing: band-split-fast makes its own",
        ),
        (("oracle", "bundled", *QUICK, "--set", "data.seconds=2"), "--seconds 1.0 and --set data.seconds=2 say the"),
        (("oracle", "bundled", *QUICK, "--set", "data.size=2"), "--mixtures 2 and --set data.size=2 say the same"),
        (
            ("oracle", "bundled", "--sources", "2", "--set", "data.sources=3"),
            "--sources 2 and --set data.sources=3 say",
        ),
        (("oracle", "bundled", "--seed", "0", "--set", "data.seed=1"), "--seed 0 and --set data.seed=1 say the same"),
        (("oracle", "bundled", "--long", "1", "--set", "data.seconds=30"), "--long 1.0 and --set data.seconds=30 say"),
        (
            ("oracle", "bundled", "--list", "a.csv", "--set", "data.mixtures=b.csv"),
            "--list a.csv and --set data.mixtures",
        ),
        (
            ("oracle", "bundled", "--list", "any.csv", "--set", "data.length=min", "--set", "data.speed=[0.9, 1.1]"),
            "--set data.speed=[0.9, 1.1] and --set data.length=min would change nothing: the mixtures are those of",
        ),
        (
            ("oracle", "bundled", "--seconds", "1", "--set", "data.mixtures=any.csv"),
            "--seconds would change nothing: the mixtures are those of --set data.mixtures=any.csv",
        ),
        (("oracle", "bundled", "--set", "data.path=elsewhere"), "are both folders of speakers: give one of them"),
        (("oracle", "bundled", "--set", "data.rate=8000"), "mixtures have the sample rate of what separates them"),
        (("oracle", "blend", "--sources", "2"), "dataset 'blend' has no option 'sources'"),
        (("oracle", "synthetic", "--list", "any.csv"), "data set 'synthetic' does not read lists"),
        (("oracle", "bundled", "--set", "data.lenght=min"), "lenght"),
        (("oracle", "bundled", "--set", "encoder.depth=18"), "the tables are data and frontend"),
        (("oracle", "bundled", "--set", "frontend.sample_rate=8000"), "16000 samples per second, 8000 are needed"),
    ],
)
def test_refusals(capsys, arguments, message):
    assert message in refused(capsys, *arguments)


def test_labels_of_which_nothing_is_known_are_told_of(capsys):
    with pytest.raises(SystemExit):
        main(["evaluate", "oracle", "synthetic", *QUICK, "-q", "--oracle", "ibm", "--by", "pair,level"])
    told = capsys.readouterr()
    assert "warning: --by pair: nothing is known of it here" in told.err
    assert re.search(r"oracle ibm 0.5 s blind \d+ to", told.out)  # and no gap in its place


def test_outputs_are_not_replaced_unasked(tmp_path, capsys):
    (tmp_path / "scores.csv").write_text("precious")
    message = refused(capsys, "oracle", "bundled", *QUICK, "-o", tmp_path)
    assert "scores.csv exists already; --force replaces it" in message
    assert (tmp_path / "scores.csv").read_text() == "precious"
    (tmp_path / "folder" / "summary.csv").mkdir(parents=True)
    message = refused(capsys, "oracle", "bundled", *QUICK, "-o", tmp_path / "folder", "--force")
    assert "summary.csv is a folder" in message
    (tmp_path / "file").write_text("")
    message = refused(capsys, "oracle", "bundled", *QUICK, "-o", tmp_path / "file" / "below")
    assert f"the folder {tmp_path / 'file' / 'below'} cannot be made: {tmp_path / 'file'} is a file" in message


def test_what_an_interrupted_evaluation_measured_is_kept(tmp_path, monkeypatch):
    from slotaudio.evaluation import results

    evaluate = results.evaluate

    def interrupted(*arguments):
        yield next(evaluate(*arguments))
        raise KeyboardInterrupt

    monkeypatch.setattr(results, "evaluate", interrupted)
    with pytest.raises(SystemExit) as stop:
        main(["evaluate", "oracle", "bundled", *QUICK, "--oracle", "ibm", "-q", "-o", str(tmp_path / "found")])
    assert stop.value.code == 130
    assert len((tmp_path / "found/scores.csv").read_text().splitlines()) == 2
