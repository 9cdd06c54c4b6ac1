"""The Libri2Mix recipe: every variant composes, and a run of a few steps ends in Table 1 and a model with a card."""

import csv
import runpy
import sys
from pathlib import Path

import pytest
from torch._subclasses.fake_tensor import FakeTensorMode

from slotaudio.pretrained import from_pretrained

SCRIPT = str(Path(__file__).parents[2] / "examples/libri2mix_recipe.py")
TINY = [
    "--small --steps 2 --mixtures 1 --seconds 1 --preset autoencoder audioslots",
    "--set encoder.width=4 --set bottleneck.slot_dim=16 --set bottleneck.qkv_dim=16 --set decoder.hidden=16",
    "--set train.batch_size=2 --set train.validate_every=2 --set data.train.size=4",
    "--set data.validation.size=1 --set data.validation.seconds=1.0",
]


def asked(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["libri2mix_recipe.py", *" ".join(arguments).split()])


def test_every_variant_composes(monkeypatch):
    asked(monkeypatch, "--small")
    script = runpy.run_path(SCRIPT)
    for name in script["PRESETS"]:
        recipe = script["recipe"](script["arguments"](), name)
        with FakeTensorMode():  # shapes without the arithmetic
            model = recipe.model()
            recipe.objective(model)
        assert recipe.name == name
        assert recipe.table["data"]["train"]["name"] == "librimix"
        assert model.window == {"audioslots-1s": 1.0, "mask": None}.get(name, 0.5)
        assert model.slots == (1 if name == "autoencoder" else 2)


def test_no_mixtures_to_test_on_are_refused_in_the_words_of_the_option(monkeypatch, capsys):
    asked(monkeypatch, "--small --mixtures 0")
    with pytest.raises(SystemExit) as refused:
        runpy.run_path(SCRIPT)["main"]()
    assert refused.value.code == 2
    assert "error: --mixtures 0: give 1 or more" in capsys.readouterr().err


@pytest.mark.parametrize(("gpu", "options", "told"), [(False, "", True), (False, "--small", False), (True, "", False)])
def test_who_starts_the_papers_size_on_a_cpu_is_told_what_it_takes(monkeypatch, tmp_path, capsys, gpu, options, told):
    def train(*arguments, **options):
        raise KeyboardInterrupt

    asked(monkeypatch, f"{options} -o {tmp_path}")
    monkeypatch.setattr("torch.accelerator.is_available", lambda: gpu)
    main = runpy.run_path(SCRIPT)["main"]
    monkeypatch.setitem(main.__globals__, "train", train)
    with pytest.raises(KeyboardInterrupt):
        main()
    assert ("57 GB" in capsys.readouterr().err) is told


def test_trains_goes_on_evaluates_and_exports(monkeypatch, tmp_path, capsys):
    asked(monkeypatch, *TINY, f"-o {tmp_path}")
    runpy.run_path(SCRIPT, run_name="__main__")
    printed = capsys.readouterr().out
    for line in (
        "oracle      | 0.5 s  | reference",
        "audioslots  | 0.5 s  | blind",
        "autoencoder | 0.5 s  | reference",
    ):
        assert line in printed
    assert from_pretrained(tmp_path / "audioslots/model").slots == 2
    with (tmp_path / "table1.csv").open(newline="") as file:
        systems = [row["system"] for row in csv.DictReader(file)]
    assert systems.count("oracle") == 8
    asked(monkeypatch, *TINY, f"-o {tmp_path} --steps 4 --preset audioslots")
    runpy.run_path(SCRIPT, run_name="__main__")
    card = (tmp_path / "audioslots/model/README.md").read_text()
    assert card.count("## Table 1") == 1
    assert card.index("## Table 1") < card.index("## Use")
    assert "--steps 4" in card


def test_training_speakers_are_never_tested_on(monkeypatch, tmp_path, capsys):
    asked(monkeypatch, f"--librispeech {tmp_path}")
    with pytest.raises(SystemExit):
        runpy.run_path(SCRIPT, run_name="__main__")
    assert "has no dev-clean: --unseen names a folder of speakers" in capsys.readouterr().err


def test_what_is_wrong_with_the_test_data_shows_before_training(monkeypatch, tmp_path):
    for part in ("train-clean-360", "dev-clean"):
        (tmp_path / "LibriSpeech" / part).mkdir(parents=True)
    asked(monkeypatch, f"--librispeech {tmp_path} -o {tmp_path / 'runs'}")
    with pytest.raises(SystemExit, match="holds no test-clean for subset 'test'; it holds dev-clean, train-clean-360"):
        runpy.run_path(SCRIPT, run_name="__main__")
    assert not (tmp_path / "runs").exists()


def test_help_explains_every_variant(monkeypatch, capsys):
    asked(monkeypatch, "--help")
    script = runpy.run_path(SCRIPT)
    with pytest.raises(SystemExit):
        script["arguments"]()
    printed = " ".join(capsys.readouterr().out.split())
    assert all(f"{name}: " in printed for name in script["PRESETS"])


def test_damaged_and_missing_utterances_are_skipped_when_told(monkeypatch):
    for options, wanted in (("", None), ("--skip", "skip")):
        asked(monkeypatch, "--small", options)
        script = runpy.run_path(SCRIPT)
        told = [script["recipe"](script["arguments"](), "audioslots").table["data"]["train"]]
        told.append(script["data"](script["arguments"](), "test"))
        assert all(part.get("on_error") == part.get("missing") == wanted for part in told)
