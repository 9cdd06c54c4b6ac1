"""Saved models come back bit for bit, and are replaced as a whole or not at all."""

import contextlib
import json
import os
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from saved_models import tiny

from slotaudio import SlotModel, compose
from slotaudio import pretrained as module
from slotaudio.errors import PretrainedError
from slotaudio.pluginmanager import plugin_manager
from slotaudio.pretrained import from_pretrained, save_pretrained
from slotaudio.registry import encoders


def test_who_may_read_the_description_may_read_the_weights(saved):
    modes = {path.name: path.stat().st_mode for path in saved.iterdir()}
    assert modes["model.safetensors"] == modes["config.json"]


def test_weights_and_outputs_come_back_bit_for_bit(saved):
    model, again = tiny().eval(), from_pretrained(saved)
    assert model.state_dict().keys() == again.state_dict().keys()
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name]), name
    windows = torch.randn(1, 1, 1, 8000, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        assert torch.equal(model.sources(model(windows)), again.sources(again(windows)))
    assert (again.slots, again.window, again.mask, again.training) == (2, 0.5, model.mask, False)


def test_saving_what_was_loaded_changes_nothing(saved, tmp_path):
    again = save_pretrained(from_pretrained(saved), tmp_path / "again")
    assert (again / "config.json").read_bytes() == (saved / "config.json").read_bytes()
    assert (again / "model.safetensors").read_bytes() == (saved / "model.safetensors").read_bytes()


def test_the_config_names_components_plugins_versions_and_todays_defaults(saved):
    config = json.loads((saved / "config.json").read_text())
    encoder = config["components"]["encoder"]
    assert (encoder["name"], encoder["plugin"], encoder["package"]) == ("resnet", "slotaudio", "slotaudio")
    assert encoder["options"] == {"depth": 10, "width": 2}
    assert encoder["defaults"]["norm_groups"] == 32
    assert "in_channels" not in encoder["defaults"]  # comes from the frontend
    assert config["components"]["frontend"]["defaults"]["window"] == 512
    assert config["sample_rate"] == 16000


def test_the_card_says_what_the_author_said_and_what_the_model_knows(saved):
    card = (saved / "README.md").read_text()
    assert card.startswith('---\nlibrary_name: "slotaudio"')
    for part in ('license: "cc0-1.0"', "# Tiny", "## Training data", "| encoder | `resnet`", "16000 Hz"):
        assert part in card
    assert "## license" not in card


def test_saving_replaces_whole_files(saved):
    before = from_pretrained(saved).state_dict()["bottleneck.queries"]
    save_pretrained(tiny(seed=1), saved, "# Mine")
    assert not torch.equal(from_pretrained(saved).state_dict()["bottleneck.queries"], before)
    assert sorted(path.name for path in saved.iterdir()) == ["README.md", "config.json", "model.safetensors"]


@pytest.mark.parametrize("moment", range(4))
def test_saving_that_is_ended_early_leaves_the_old_model_or_the_new_one(saved, monkeypatch, moment):
    done = []

    def replace(source, target):
        if len(done) == moment:
            raise KeyboardInterrupt
        done.append(os.rename(source, target))

    monkeypatch.setattr(module.os, "replace", replace)
    new = tiny(seed=1, mask="binary")
    with pytest.raises(KeyboardInterrupt) if moment < 3 else contextlib.nullcontext():
        save_pretrained(new, saved)
    found, expected = from_pretrained(saved), new if moment else tiny()
    assert found.mask == expected.mask
    assert torch.equal(found.bottleneck.queries, expected.bottleneck.queries)
    monkeypatch.undo()
    save_pretrained(tiny(seed=2), saved)
    assert torch.equal(from_pretrained(saved).bottleneck.queries, tiny(seed=2).bottleneck.queries)


def test_saving_that_fails_leaves_no_half_of_the_weights(saved, monkeypatch):
    def full(_, path, **__):
        Path(path).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "save_file", full)
    with pytest.raises(PretrainedError, match="No space left on device"):
        save_pretrained(tiny(seed=1), saved)
    assert sorted(path.name for path in saved.iterdir()) == ["README.md", "config.json", "model.safetensors"]
    assert torch.equal(from_pretrained(saved).bottleneck.queries, tiny().bottleneck.queries)


def test_tied_weights_are_stored_once_and_stay_tied(tmp_path):
    class Tied(torch.nn.Module):
        out_dim = 4

        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = torch.nn.Linear(4, 4), torch.nn.Linear(4, 4)
            self.second.weight = self.first.weight

    encoders.register("tied_for_test")(Tied)
    try:
        folder = save_pretrained(compose(encoder="tied_for_test", bottleneck=None, decoder=None), tmp_path / "m")
        assert "encoder.second.weight" not in load_file(folder / "model.safetensors")
        again = from_pretrained(folder).encoder
        assert again.second.weight is again.first.weight
    finally:
        plugin_manager().unregister(name="local-encoder-tied_for_test")
    with pytest.raises(PretrainedError, match="tied_for_test came from a notebook or script: run its definition first"):
        from_pretrained(folder)


def test_targets_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(PretrainedError, match="cannot save the model"):
        save_pretrained(tiny(), tmp_path / "file" / "model")
    model = tiny()
    model.specs = {}
    with pytest.raises(PretrainedError, match="only models made of named components"):
        save_pretrained(model, tmp_path / "model")


def test_folders_can_be_moved_and_models_load_and_save_themselves(saved, tmp_path):
    shutil.move(saved, tmp_path / "elsewhere")
    model = SlotModel.from_pretrained(tmp_path / "elsewhere")
    assert SlotModel.from_pretrained(model.save_pretrained(tmp_path / "again")).slots == 2
