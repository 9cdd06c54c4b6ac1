"""Third-party plug-ins, installed as packages install them: broken ones must not harm the rest."""

import sys

import pytest

from slotaudio.pluginmanager import Distribution, PluginLoadError, PluginWarning, new_plugin_manager
from slotaudio.registry import Registry

GOOD = """
import slotaudio

@slotaudio.hookimpl
def slotaudio_encoders():
    return {"good": "slotaudio_good.encoder:Encoder"}
"""


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Write a module and the metadata of a package that announces it as a plug-in."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delenv("SLOTAUDIO_PLUGINS", raising=False)
    monkeypatch.delenv("SLOTAUDIO_STRICT_PLUGINS", raising=False)
    before = set(sys.modules)

    def write(plugin, source, package=None):
        package = package or f"slotaudio-{plugin}"
        module = package.replace("-", "_")
        (tmp_path / f"{module}.py").write_text(source)
        metadata = tmp_path / f"{module}-1.2.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.2\n")
        (metadata / "entry_points.txt").write_text(f"[slotaudio]\n{plugin} = {module}\n")

    yield write
    for name in set(sys.modules) - before:
        if name.startswith("slotaudio_"):
            del sys.modules[name]


def names(manager, family="encoder"):
    return list(Registry(family, lambda: manager))


def test_a_good_plugin_is_found_with_its_package_and_version(install):
    install("good", GOOD)
    manager = new_plugin_manager()
    offer = Registry("encoder", lambda: manager).offer("good")
    assert (offer.plugin, offer.distribution) == ("good", Distribution("slotaudio-good", "1.2"))
    assert "good" not in names(new_plugin_manager(external=False))


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("import a_package_that_is_not_there", "ModuleNotFoundError: No module named 'a_package_that_is_not_there'"),
        ("raise OSError('libcudart.so.13 missing')", "OSError: libcudart.so.13 missing"),
        ("import sys; sys.exit('unsupported platform')", "SystemExit: unsupported platform"),
        ("def broken(:", "SyntaxError: "),
        (
            # pluggy has registered the first hook when it meets the wrong argument of the second
            "import slotaudio\n"
            "@slotaudio.hookimpl\ndef slotaudio_bottlenecks():\n    return {'half': 'a:B'}\n"
            "@slotaudio.hookimpl\ndef slotaudio_build(famly):\n    pass\n",
            "PluginValidationError: ",
        ),
    ],
    ids=["import", "os", "exit", "syntax", "argument"],
)
def test_a_broken_plugin_is_a_warning_and_nothing_else_suffers(install, source, reason):
    install("broken", source)
    install("good", GOOD)
    with pytest.warns(PluginWarning, match="plug-in 'broken' failed to load: "):
        manager = new_plugin_manager()
    assert manager.failures["broken"][0].startswith(reason)
    assert {"good", "resnet"} <= set(names(manager))
    assert "half" not in names(manager, "bottleneck")
    assert not manager.has_plugin("broken")
    assert "broken" not in manager.distributions


def test_strict_mode_raises(install, monkeypatch):
    install("broken", "import a_package_that_is_not_there")
    monkeypatch.setenv("SLOTAUDIO_STRICT_PLUGINS", "1")
    with pytest.raises(PluginLoadError, match="plug-in 'broken' failed to load: ModuleNotFoundError"):
        new_plugin_manager()
    monkeypatch.setenv("SLOTAUDIO_STRICT_PLUGINS", "0")
    with pytest.warns(PluginWarning):
        new_plugin_manager()


def test_strict_mode_raises_for_a_misspelt_hook(install, monkeypatch):
    install("typo", GOOD.replace("slotaudio_encoders", "slotaudio_encodrs"))
    monkeypatch.setenv("SLOTAUDIO_STRICT_PLUGINS", "1")
    with pytest.raises(PluginLoadError, match="Did you mean 'slotaudio_encoders'"):
        new_plugin_manager()


def test_plugins_can_be_limited_and_disabled(install, monkeypatch):
    install("good", GOOD)
    install("other", GOOD.replace('"good"', '"second"'))
    install("broken", "import a_package_that_is_not_there")
    monkeypatch.setenv("SLOTAUDIO_PLUGINS", "good , other")
    assert {"good", "second", "resnet"} <= set(names(new_plugin_manager()))
    monkeypatch.setenv("SLOTAUDIO_PLUGINS", "good")
    assert "second" not in names(new_plugin_manager())
    monkeypatch.setenv("SLOTAUDIO_PLUGINS", "")
    manager = new_plugin_manager()
    assert not manager.failures
    assert {offer.plugin for offer in Registry("encoder", lambda: manager).offers()} == {"slotaudio"}


def test_limiting_to_a_plugin_that_is_not_installed_says_so(install, monkeypatch):
    install("good", GOOD)
    monkeypatch.setenv("SLOTAUDIO_PLUGINS", "god")
    with pytest.warns(PluginWarning, match=r"SLOTAUDIO_PLUGINS names it, but it is not installed \(installed: .*good"):
        manager = new_plugin_manager()
    assert "good" not in names(manager)


def test_two_packages_with_one_plugin_name(install):
    install("good", GOOD, package="slotaudio-good")
    install("good", GOOD.replace('"good"', '"second"'), package="slotaudio-rival")
    with pytest.warns(PluginWarning, match="another plug-in has taken that name; the one of package 'slotaudio-"):
        manager = new_plugin_manager()
    assert len({"good", "second"} & set(names(manager))) == 1


def test_a_plugin_cannot_pass_for_the_built_ins(install):
    install("slotaudio", GOOD, package="slotaudio-impostor")
    with pytest.warns(PluginWarning, match="another plug-in has taken that name"):
        manager = new_plugin_manager()
    assert "good" not in names(manager)
    assert manager.distributions["slotaudio"].package == "slotaudio"
