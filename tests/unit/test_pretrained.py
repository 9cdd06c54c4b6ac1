"""Saved models come back bit for bit, or with one sentence about what is missing."""

import contextlib
import json
import os
import shutil
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace

import huggingface_hub
import pytest
import torch
from safetensors.torch import load_file, save_file

from slotaudio import SlotModel, Spec, compose, hookimpl, preset
from slotaudio import pretrained as module
from slotaudio.bottlenecks.slot_attention import SlotAttention
from slotaudio.errors import AmbiguousComponent, PretrainedError, UserError
from slotaudio.pluginmanager import Distribution, PluginWarning, plugin_manager
from slotaudio.pretrained import bundled, from_pretrained, load_weights, locate, save_pretrained
from slotaudio.recipe import load_recipe
from slotaudio.registry import FAMILIES, encoders


def tiny(seed: int = 0, **options: object) -> SlotModel:
    torch.manual_seed(seed)
    return compose(
        **{
            "encoder": Spec("resnet", depth=10, width=2),
            "bottleneck": Spec("transformer", slot_dim=8, layers=1, heads=1, qkv_dim=4, mlp_dim=8),
            "decoder": Spec("spatial_broadcast", hidden=8, layers=1, patch=(4, 4)),
            "mask": {"name": "wiener", "exponent": 1.5},
            **options,
        }
    )


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    return save_pretrained(tiny(), tmp_path / "model", {"title": "Tiny", "Training data": "none", "license": "cc0-1.0"})


def test_who_may_read_the_description_may_read_the_weights(saved):
    modes = {path.name: path.stat().st_mode for path in saved.iterdir()}
    assert modes["model.safetensors"] == modes["config.json"]


def edit(folder: Path, **changes: object) -> Path:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **changes}))
    return folder


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


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": 2, "slotaudio": "9.0"}, r"has format 2, saved by slotaudio 9.0; .* pip install -U slotaudio"),
        ({"format": 0}, "use slotaudio .* to load it"),
        ({"format": "new"}, "does not describe a slotaudio model"),
        ({"packages": {"slotaudio-absent": "0.3"}}, r"pip install slotaudio-absent \(saved with .* 0.3\)"),
        ({"sha256": "0" * 64}, "not the file that was saved"),
    ],
)
def test_configs_that_do_not_fit(saved, changes, message):
    with pytest.raises(PretrainedError, match=message):
        from_pretrained(edit(saved, **changes))


def test_a_missing_plugin_names_the_package_to_install(saved):
    config = json.loads((saved / "config.json").read_text())
    part = {"name": "absent", "plugin": "absent", "package": "slotaudio-absent", "version": "0.3", "options": {}}
    edit(saved, components={**config["components"], "bottleneck": part})
    with pytest.raises(PretrainedError, match="pip install slotaudio-absent"):
        from_pretrained(saved)


def test_options_of_another_version(saved):
    config = json.loads((saved / "config.json").read_text())
    config["components"]["encoder"]["options"]["dilation"] = 2
    with pytest.raises(PretrainedError, match=r"whose components took other options: encoder 'resnet'.*dilation"):
        from_pretrained(edit(saved, components=config["components"]))


def test_defaults_of_another_version_are_kept_or_forgotten(saved):
    config = json.loads((saved / "config.json").read_text())
    config["components"]["frontend"]["defaults"].update(power=0.5, renamed_since=7)
    model = from_pretrained(edit(saved, components=config["components"]))
    assert model.frontend.power == 0.5
    assert model.specs["frontend"].options == {"power": 0.5}


@pytest.fixture
def rival():
    """A plug-in, of a package, that takes the names of built-in components and offers something else."""
    manager, families = plugin_manager(), ("frontend", "encoder", "bottleneck", "decoder", "matcher", "dataset")
    hooks = {f"slotaudio_{family}s": dict.fromkeys(FAMILIES[family], "nowhere:Nothing") for family in families}
    functions = {name: hookimpl(_named(name, offered)) for name, offered in hooks.items()}
    manager.register(SimpleNamespace(**functions), name="rival")
    manager.distributions["rival"] = Distribution("slotaudio-rival", "1.0")
    yield
    manager.unregister(name="rival")
    del manager.distributions["rival"]


def _named(name, result):
    def offer():
        return result

    offer.__name__ = name
    return offer


CARRIED = Spec("carry_over", bottleneck={"name": "slot_attention", "slot_dim": 8}, heads=2)


@pytest.mark.parametrize(
    "bottleneck", [tiny().specs["bottleneck"], CARRIED, "carry_over"], ids=["plain", "set", "default"]
)
def test_a_plugin_that_takes_names_of_built_ins_harms_no_saved_model(tmp_path, request, bottleneck):
    folder = save_pretrained(tiny(bottleneck=bottleneck), tmp_path / "model")
    if bottleneck == "carry_over":  # whose default has not always named the plug-in
        config = json.loads((folder / "config.json").read_text())
        config["components"]["bottleneck"]["defaults"]["bottleneck"] = "slot_attention"
        edit(folder, components=config["components"])
    request.getfixturevalue("rival")
    load_weights(from_pretrained(folder), folder)


def test_a_plugin_that_takes_names_of_built_ins_harms_no_default_and_no_recipe(rival):
    assert compose(bottleneck={"name": "slotaudio/carry_over"}).slots == 2
    model = preset("audioslots-small")
    assert model.specs["encoder"].name == "slotaudio/resnet"
    parts = load_recipe("band-split-talks").table["data"]["train"]["parts"]
    assert parts["talks"]["name"] == "slotaudio/conversations"
    with pytest.raises(AmbiguousComponent):
        compose(encoder="resnet")


@contextlib.contextmanager
def offering(package):
    """A plug-in of an installed package, which offers a bottleneck called chain."""
    manager, offer = plugin_manager(), _named("slotaudio_bottlenecks", {"chain": SlotAttention})
    manager.register(SimpleNamespace(slotaudio_bottlenecks=hookimpl(offer)), name=package)
    manager.distributions[package] = Distribution(package, version(package))
    try:
        yield
    finally:
        manager.unregister(name=package)
        del manager.distributions[package]


def test_components_inside_of_others_are_never_those_of_another_package(tmp_path):
    carried = Spec("carry_over", bottleneck={"name": "chain", "slot_dim": 8}, heads=2)
    with offering("einops"):
        folder = save_pretrained(tiny(bottleneck=carried), tmp_path / "model")
        with offering("numpy"):
            assert from_pretrained(folder).specs["bottleneck"].options["bottleneck"]["name"] == "einops/chain"
    with (
        offering("numpy"),
        pytest.raises(
            PretrainedError,
            match=r"bottleneck 'chain' of the saved model is that of einops \S+, .* of numpy \S+ is another",
        ),
    ):
        from_pretrained(folder)


def test_what_has_only_the_name_of_a_saved_component_is_refused(saved):
    config = json.loads((saved / "config.json").read_text())
    part = config["components"]["encoder"]
    part |= {"plugin": "einops", "package": "einops", "version": version("einops")}
    edit(saved, components=config["components"])
    with pytest.raises(
        PretrainedError, match=r"'resnet' of the saved model is that of einops \S+, .* of slotaudio \S+ is"
    ):
        from_pretrained(saved)
    part |= {"plugin": "local-encoder-resnet", "package": None, "version": None}
    edit(saved, components=config["components"])
    with pytest.warns(PluginWarning, match=r"came from a notebook or script; that of slotaudio \S+ is taken for it"):
        from_pretrained(saved)


def test_weights_of_another_shape(saved):
    weights = load_file(saved / "model.safetensors")
    weights["bottleneck.queries"] = torch.zeros(5, 8)
    del weights["decoder.from_slot.weight"]
    save_file(weights, saved / "model.safetensors")
    edit(saved, sha256=module.sha256(saved / "model.safetensors"))
    message = r"2 tensors differ, first bottleneck.queries: \(5, 8\) in the file, \(2, 8\) in the model"
    with pytest.raises(PretrainedError, match=message):
        from_pretrained(saved)


def test_a_model_takes_the_weights_of_a_saved_one_or_says_what_differs(saved):
    model = tiny(seed=1)
    load_weights(model, saved)
    for name, tensor in tiny().state_dict().items():
        assert torch.equal(tensor, model.state_dict()[name]), name
    with pytest.raises(PretrainedError, match="do not fit the model to be trained: 1 tensors differ"):
        load_weights(tiny(slots=3), saved)


def test_weights_that_are_to_be_fresh_stay_and_the_others_are_taken(saved):
    model, saved_weights = tiny(seed=1, slots=3), tiny().state_dict()
    queries = model.bottleneck.queries.clone()
    load_weights(model, saved, fresh=["*.queries"])
    assert torch.equal(model.bottleneck.queries, queries)
    assert all(torch.equal(model.state_dict()[n], t) for n, t in saved_weights.items() if "queries" not in n)
    with pytest.raises(UserError, match=r"fresh: no weight .* is named 'bottleneck.query'"):
        load_weights(model, saved, fresh=["bottleneck.query"])


def test_a_carried_bottleneck_takes_the_weights_of_the_one_it_wraps(saved):
    inner = tiny().specs["bottleneck"].to_dict()
    carried = Spec("carry_over", bottleneck=inner, heads=2)
    model = tiny(seed=1, bottleneck=carried)
    with pytest.raises(PretrainedError, match=r"first bottleneck.predictor\S+: missing in the file"):
        load_weights(model, saved)
    load_weights(model, saved, fresh=["bottleneck.predictor.*"])
    for name, tensor in tiny().bottleneck.state_dict().items():
        assert torch.equal(tensor, model.bottleneck.corrector.state_dict()[name]), name
    # and a saved model that carries already has them where they are
    again = tiny(seed=2, bottleneck=carried)
    load_weights(again, save_pretrained(model, saved.parent / "carried"))
    assert torch.equal(again.bottleneck.corrector.queries, model.bottleneck.corrector.queries)


@pytest.mark.parametrize("content", [b"", b"\x80\x04garbage", b"cut"])
def test_damaged_weights_are_never_unpickled(saved, content):
    path = saved / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100] if content == b"cut" else content)
    with pytest.raises(PretrainedError, match=r"model.safetensors cannot be read"):
        from_pretrained(saved)


def test_damaged_or_missing_parts(saved, tmp_path):
    (saved / "model.safetensors").unlink()
    with pytest.raises(PretrainedError, match=r"model\.safetensors cannot be read"):
        from_pretrained(saved)
    (saved / "config.json").write_text("{")
    with pytest.raises(PretrainedError, match=r"config.json cannot be read"):
        from_pretrained(saved)
    with pytest.raises(PretrainedError, match=r"holds no saved model: there is no config.json"):
        from_pretrained(tmp_path)
    with pytest.raises(PretrainedError, match="is a file; a saved model is a folder"):
        from_pretrained(saved / "config.json")


def test_unknown_names_list_what_there_is():
    with pytest.raises(PretrainedError, match="no model named 'audioslots-smal': bundled are"):
        from_pretrained("audioslots-smal")


def test_bundled_names_win_over_nothing_and_default_is_one_of_them(saved, monkeypatch):
    monkeypatch.setattr(module, "_BUNDLED", saved.parent)
    monkeypatch.setattr(module, "DEFAULT_MODEL", "model")
    assert bundled() == ["model"]
    assert locate("default") == locate("model") == saved


def test_models_on_the_hub(saved, monkeypatch):
    asked = {}

    def download(repository: str, **options: object) -> str:
        asked.update(repository=repository, **options)
        return str(saved)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    assert from_pretrained("someone/model@v2").slots == 2
    assert (asked["repository"], asked["revision"]) == ("someone/model", "v2")
    assert all("pickle" not in pattern and "bin" not in pattern for pattern in asked["allow_patterns"])


def test_a_hub_that_does_not_answer_is_one_sentence(monkeypatch):
    def download(*_: object, **__: object) -> str:
        raise ConnectionError("no route to host\nlong story")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    with pytest.raises(PretrainedError, match=r"someone/model is no folder here, .* no route to host") as caught:
        from_pretrained("someone/model")
    assert "\n" not in str(caught.value)


def test_offline_mode_is_respected(monkeypatch, tmp_path):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(PretrainedError, match="could not be had from the Hugging Face hub"):
        from_pretrained("someone/model-that-is-not-cached")


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
