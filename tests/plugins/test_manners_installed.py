"""Packages that load, and behave as they should not: what they disturb is mended or named, and the rest works."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
from installing import answer, installed, offers, run

COMMANDS = """
import slotaudio
@slotaudio.hookimpl
def slotaudio_commands(app):
    {0}
    def {1}(verbose: {2} = None):
        print("hijacked")
"""

WRAPPER = """
import slotaudio
@slotaudio.hookimpl(wrapper=True)
def slotaudio_build(family, name):
    component = yield
    return None if name == "waveform" else component
"""

PACKAGES = {
    "hijacker": {"__init__.py": COMMANDS.format("@app.command()", "separate", "bool")},
    "usurper": {"__init__.py": COMMANDS.format("@app.callback()", "before_all", "bool")},
    "untyped": {"__init__.py": COMMANDS.format("@app.command()", "odd", "int | str")},
    "helpful": {"__init__.py": COMMANDS.format("@app.command()", "hail_fellow", "bool")},
    "imitator": {"__init__.py": COMMANDS.format("@app.command()", "hail_fellow", "bool")},
    "talkative": {
        "__init__.py": 'print("HELLO")\n' + offers("talker", "slotaudio_talkative.encoder:Talker"),
        "encoder.py": 'print("HELLO AGAIN")\nclass Talker: ...\n',
    },
    "sleepy": {"__init__.py": "import time; time.sleep(0.6)\n" + offers("sleeper", "a:B")},
    "unmarked": {"__init__.py": offers("lost", "a:B").replace("@slotaudio.hookimpl\n", "")},
    "empty": {"__init__.py": "def encoders():\n    return {}\n"},
    "listing": {"__init__.py": offers("a", "a:B").replace("{'a': 'a:B'}", "['a']")},
    "unspeakable": {"__init__.py": offers("a/b", "a:B").replace("}", ", 'c': 3}")},
    "quitting": {
        "__init__.py": offers("quitter", "slotaudio_quitting.encoder:Quitter"),
        "encoder.py": "import sys\nsys.exit('no licence')\n",
    },
    "constant": {"__init__.py": offers("constant", "slotaudio_constant.encoder:Three"), "encoder.py": "Three = 3\n"},
    "forgetful": {"__init__.py": WRAPPER},
}

FAILURES = {
    "hijacker": ["slotaudio_commands() adds the command 'separate', which plug-in 'slotaudio' has"],
    "usurper": ["slotaudio_commands() adds a callback; the options before a command are slotaudio's"],
    "untyped": ["its commands cannot be built: AssertionError: "],
    "imitator": ["slotaudio_commands() adds the command 'hail-fellow', which plug-in 'helpful' has"],
    "unmarked": ["slotaudio_encoders lacks the mark @slotaudio.hookimpl, so that nobody calls it"],
    "empty": ["no function of it is marked with @slotaudio.hookimpl. Known hooks: slotaudio_bottlenecks, "],
    "listing": ["slotaudio_encoders() returned list, not a mapping of names to targets"],
    "unspeakable": [
        "slotaudio_encoders() offers 'a/b': 'a:B'; names are of letters, digits, _ - and .",
        "slotaudio_encoders() offers 'c': 3, not \"package.module:Attribute\"",
    ],
}


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """A folder with every package installed, to be put on the path."""
    return installed(tmp_path_factory.mktemp("packages"), PACKAGES)


@pytest.fixture(scope="module")
def listed(site) -> tuple[list[str], list[str]]:
    """What `slotaudio plugins` says with all of them installed, on standard output and on standard error."""
    done = run("-m", "slotaudio", "plugins", site=site)
    assert done.returncode == 0
    return done.stdout.splitlines(), done.stderr.splitlines()


@pytest.mark.parametrize("plugin", FAILURES)
def test_each_thing_that_is_wrong_is_warned_of_once_and_listed(listed, plugin):
    starts = f"{plugin}  failed: ", f"slotaudio: warning: plug-in {plugin!r} failed to load: "
    for lines, start in zip(listed, starts, strict=True):
        found = [line for line in lines if line.startswith(start)]
        assert len(found) == len(FAILURES[plugin])
        for line, reason in zip(found, FAILURES[plugin], strict=True):
            assert line.startswith(start + reason)


def test_what_works_is_listed_with_hooks_that_offer_no_names_and_with_the_time_to_import(listed):
    lines = dict(line.split("  ", 1) for line in listed[0] if "  failed: " not in line)
    assert lines["helpful"] == "slotaudio-helpful 1.0  slotaudio_commands"
    assert lines["forgetful"] == "slotaudio-forgetful 1.0  slotaudio_build"
    assert lines["sleepy"].startswith("slotaudio-sleepy 1.0  encoder/sleeper  (takes 0.")
    assert "to import" not in lines["talkative"]


def test_what_plugins_print_at_import_is_kept_off_standard_output(listed, site):
    assert not any("HELLO" in line for line in listed[0])
    assert "HELLO" in listed[1]
    said = run("-W", "ignore", "-c", "from slotaudio.registry import encoders; encoders['talker']", site=site)
    assert said.stdout == ""
    assert "HELLO AGAIN" in said.stderr


def test_commands_of_ours_and_of_sound_plugins_work_beside_those_that_are_left_out(site, tmp_path):
    path = tmp_path / "mixture.wav"
    soundfile.write(path, np.random.default_rng(0).uniform(-0.1, 0.1, 16000).astype(np.float32), 16000)
    done = run("-m", "slotaudio", "separate", path, "-o", tmp_path / "out", site=site)
    assert done.returncode == 0, done.stderr
    assert sorted(found.name for found in (tmp_path / "out").iterdir()) == ["mixture_slot1.wav", "mixture_slot2.wav"]
    assert run("-m", "slotaudio", "hail-fellow", site=site).stdout == "hijacked\n"
    assert run("-m", "slotaudio", "odd", site=site).returncode == 2


def test_a_component_whose_module_exits_or_is_no_class_names_its_plugin(site):
    said = answer("from slotaudio.registry import encoders; encoders['quitter']", site)
    target = "'slotaudio_quitting.encoder:Quitter'"
    assert said.strip() == (
        f"encoder 'quitter' of plug-in 'quitting' cannot be imported from {target}: SystemExit: no licence"
    )
    said = answer("from slotaudio.registry import encoders; encoders['constant']", site)
    assert said.strip().endswith("from 'slotaudio_constant.encoder:Three': TypeError: 3 cannot be called")


def test_a_wrapper_that_returns_nothing_is_asked_about(site):
    said = answer("from slotaudio import build; build('frontend', 'waveform')", site)
    assert said.strip() == (
        "frontend 'waveform' was built as None, which is no frontend; does slotaudio_build of plug-in 'forgetful' "
        "return what `yield` gave?"
    )


def test_an_unknown_name_says_which_plugins_are_left_out(site):
    said = answer("from slotaudio.registry import encoders; encoders['sleeper']", site, only="helpful")
    left_out = said.partition("SLOTAUDIO_PLUGINS leaves out: ")[2].split(", ")
    assert {"sleepy", "talkative"} <= set(left_out)
    assert "helpful" not in left_out
    listed = run("-m", "slotaudio", "plugins", site=site, only="helpful").stdout
    assert "left out by SLOTAUDIO_PLUGINS: " in listed
