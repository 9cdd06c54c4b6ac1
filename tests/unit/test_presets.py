"""Recipes by name: those of plug-ins are found, clash and break as components do."""

from types import SimpleNamespace

import pytest

import slotaudio
from slotaudio.errors import AmbiguousComponent, UserError
from slotaudio.pluginmanager import PluginWarning, new_plugin_manager
from slotaudio.presets import Presets


def offering(recipes):
    """Return presets with one plug-in more than the built-in one, which offers `recipes`."""

    def slotaudio_recipes():
        return recipes

    manager = new_plugin_manager(external=False)
    manager.register(SimpleNamespace(slotaudio_recipes=slotaudio.hookimpl(slotaudio_recipes)), name="mine")
    return Presets("recipe", lambda: manager), manager


def test_a_plugins_recipe_is_read_from_its_package():
    presets, _ = offering({"mine": "slotaudio:recipes/audioslots.toml"})
    assert presets.table(presets.offer("mine"))["model"]["window"] == 0.5


def test_a_name_of_two_plugins_is_an_error_at_use_that_offers_both():
    presets, _ = offering({"audioslots": "slotaudio:recipes/band-split.toml"})
    with pytest.raises(AmbiguousComponent, match="write one of: mine/audioslots, slotaudio/audioslots"):
        presets.offer("audioslots")
    assert presets.offer("mine/audioslots").target.endswith("band-split.toml")


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("slotaudio:recipes/absent.toml", "FileNotFoundError"),
        ("a_package_that_is_not_there:x.toml", "ModuleNotFoundError"),
        ("slotaudio:py.typed.toml/../py.typed/x.toml", "Error: "),
    ],
)
def test_a_file_that_cannot_be_read_names_its_plugin(target, reason):
    presets, _ = offering({"broken": target})
    with pytest.raises(UserError, match=rf"recipe 'broken' of plug-in 'mine' cannot be read from '.*{reason}"):
        presets.table(presets.offer("broken"))


@pytest.mark.parametrize("recipes", [{"x": "slotaudio.recipe:Recipe"}, {"x": len}, ["x"]])
def test_what_is_no_recipe_is_left_out_and_said(recipes):
    presets, manager = offering(recipes)
    with pytest.warns(
        PluginWarning, match=r"slotaudio_recipes\(\) (offers 'x': .* not \"package:path/to/file|returned)"
    ):
        names = {offer.name for offer in presets.offers()}
    assert "x" not in names
    assert "audioslots" in names
    assert "mine" in manager.failures
