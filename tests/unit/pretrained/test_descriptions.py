"""A saved model is built of the components that it was saved with, or one sentence says what is missing."""

import contextlib
import json
from importlib.metadata import version
from types import SimpleNamespace

import pytest
from saved_models import edit, tiny

from slotaudio import Spec, compose, hookimpl, preset
from slotaudio.bottlenecks.slot_attention import SlotAttention
from slotaudio.errors import AmbiguousComponent, PretrainedError
from slotaudio.pluginmanager import Distribution, PluginWarning, plugin_manager
from slotaudio.pretrained import from_pretrained, load_weights, save_pretrained
from slotaudio.recipe import load_recipe
from slotaudio.registry import FAMILIES


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
