"""Slots with fixed meanings: named outputs, kept in order, through saved models and recipes."""

import numpy as np
import pytest
import soundfile
import torch

from slotaudio import Separator, SlotModel, Spec, UserError, compose
from slotaudio.cli import main
from slotaudio.pretrained import from_pretrained, save_pretrained
from slotaudio.recipe import load_recipe, preset
from slotaudio.separation.continuity import ByContinuity
from slotaudio.separation.joining import AsGiven

RATE = 8000


def named(names: list[str] | None) -> SlotModel:
    torch.manual_seed(0)
    return compose(
        frontend=Spec("stft", sample_rate=RATE, window=64, hop=16, framing="centred"),
        encoder=Spec("resnet", depth=10, width=2),
        bottleneck=Spec("transformer", slot_dim=8, layers=1, heads=1, qkv_dim=4, mlp_dim=8),
        decoder=Spec("spatial_broadcast", hidden=8, layers=1),
        matcher="fixed",
        window=0.256,
        names=names,
    )


def test_files_are_named_after_the_slots(tmp_path, capsys):
    save_pretrained(named(["lead vocals", "rest"]), tmp_path / "model")
    assert from_pretrained(tmp_path / "model").names == ("lead vocals", "rest")
    song = tmp_path / "song.wav"
    soundfile.write(song, np.random.default_rng(0).normal(0, 0.1, RATE), RATE)
    command = ["separate", str(song), "--model", str(tmp_path / "model"), "-o", str(tmp_path / "out"), "--plot"]
    with pytest.raises(SystemExit) as stop:
        main(command)
    assert not stop.value.code, capsys.readouterr()
    written = sorted(path.name for path in (tmp_path / "out").iterdir())
    pictures = [f"song_{kind}.png" for kind in ("identity", "slots", "timeline")]
    assert written == sorted(["song_lead vocals.wav", "song_rest.wav", *pictures])


def test_models_without_names_stay_a_set(tmp_path):
    model = named(None)
    assert model.names is None
    assert from_pretrained(save_pretrained(model, tmp_path / "model")).names is None
    assert isinstance(Separator(model, joining="overlap").open(RATE)._joiner.rule, ByContinuity)


def test_named_slots_are_never_reordered():
    assert isinstance(Separator(named(["a", "b"])).open(RATE)._joiner.rule, AsGiven)


def test_recipes_and_presets_name_slots():
    recipe = load_recipe("audioslots-small", ["model.names=['first', 'second']"])
    assert recipe.model().names == ("first", "second")
    assert preset("audioslots-small", names=["first", "second"]).names == ("first", "second")
    with pytest.raises(UserError, match=r"model\.names = 'both' is not"):
        load_recipe("audioslots-small", ["model.names='both'"])


@pytest.mark.parametrize("names", [["a"], ["a", "b", "c"], ["a", "A"], ["a", "../b"], ["a", ""]])
def test_impossible_names(names):
    with pytest.raises(UserError, match="different ones, one for each slot, of letters"):
        named(names)
