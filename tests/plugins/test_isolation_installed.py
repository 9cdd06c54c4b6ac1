"""Broken packages, built and installed for real: each gives one clear sentence, and everything else works."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
from installing import answer, install, installed, offers, run, write

ENCODER = """
import torch
from torch import nn
from slotaudio.types import Features

class Mean(nn.Module):
    "Mean over the frequencies, as one token per frame."
    def __init__(self, freq: int, {option}: int = 3) -> None:
        super().__init__()
        self.out_dim = {option}
        self.project = nn.Linear(freq, {option})
    def forward(self, features):
        {work}
        tokens = self.project(features.mean(dim=1).transpose(1, 2))[:, None]
        return Features(tokens, torch.linspace(-1, 1, tokens.shape[2])[:, None])
"""


RECIPE = """
@slotaudio.hookimpl
def slotaudio_recipes():
    return {{"twin": "slotaudio_{0}:twin.toml"}}
"""
TRAIN = {"twin.toml": 'about = "of two"'}


PACKAGES = {
    "unimportable": {"__init__.py": "import a_package_that_is_not_there"},
    "raising": {"__init__.py": offers("never", "a:B").replace("return", "raise OSError('no licence') or")},
    "misspelt": {"__init__.py": offers("lost", "a:B").replace("slotaudio_encoders", "slotaudio_encodrs")},
    "twin_one": {"__init__.py": offers("twin", "slotaudio_twin_one:Encoder") + RECIPE.format("twin_one"), **TRAIN},
    "twin_two": {"__init__.py": offers("twin", "slotaudio_twin_two:Encoder") + RECIPE.format("twin_two"), **TRAIN},
    "squatter": {"__init__.py": offers("resnet", "a:B") + offers("stft", "a:B").replace("encoders", "frontends")},
    "unpacked": {"__init__.py": "import slotaudio\n" + RECIPE.format("unpacked").replace("twin", "lost")},
    "burnt": {
        "__init__.py": "import slotaudio\n" + RECIPE.format("burnt").replace("return", "raise OSError('no oven') or")
    },
    "nowhere": {"__init__.py": offers("nowhere", "slotaudio_nowhere.encoder:Missing")},
    "saboteur": {
        "__init__.py": """
import slotaudio

@slotaudio.hookimpl(wrapper=True)
def slotaudio_build(name):
    if name == "waveform":
        raise RuntimeError("no waves today")
    return (yield)

@slotaudio.hookimpl
def slotaudio_commands(app):
    raise RuntimeError("no commands today")
""",
    },
    "useful": {
        "__init__.py": offers("mean", "slotaudio_useful.encoder:Mean"),
        "encoder.py": ENCODER.format(option="width", work=""),
    },
}
HEAVY = {
    "__init__.py": offers("heavy", "slotaudio_heavy.encoder:Mean", "import torch"),
    "encoder.py": ENCODER.format(option="width", work=""),
}
NEWER = {
    "__init__.py": offers("mean", "slotaudio_useful.encoder:Mean"),
    "encoder.py": ENCODER.format(option="breadth", work="raise ArithmeticError('division of labour')"),
}

FAILURES = {
    "unimportable": "ModuleNotFoundError: No module named 'a_package_that_is_not_there'",
    "raising": "slotaudio_encoders() raised OSError: no licence",
    "misspelt": "there is no hook 'slotaudio_encodrs'. Did you mean 'slotaudio_encoders'?",
}


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """A folder with every package installed, to be put on the path."""
    return installed(tmp_path_factory.mktemp("packages"), PACKAGES)


@pytest.fixture(scope="module")
def recording(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("audio") / "mixture.wav"
    soundfile.write(path, np.random.default_rng(0).uniform(-0.1, 0.1, 16000).astype(np.float32), 16000)
    return path


@pytest.fixture(scope="module")
def separated(site, recording, tmp_path_factory) -> tuple[Path, Path, str]:
    """Save a model with the useful plug-in's encoder and separate with it, all the broken plug-ins installed.

    Returns the model's folder, that of the sources, and what was said.
    """
    model, sources = (tmp_path_factory.mktemp("work") / name for name in ("model", "sources"))
    code = f"""
from slotaudio import Spec, compose
from slotaudio.cli import main
from slotaudio.pretrained import save_pretrained
stages = {{
    "encoder": Spec("mean", width=4),
    "bottleneck": Spec("slot_attention", slot_dim=8, iterations=1),
    "decoder": Spec("spatial_broadcast", hidden=8, layers=1),
}}
save_pretrained(compose(Spec("slotaudio/stft", framing="centred"), **stages), {str(model)!r})
main(["separate", {str(recording)!r}, "-o", {str(sources)!r}, "--model", {str(model)!r}])
"""
    done = run("-c", code, site=site)
    assert done.returncode == 0, done.stderr
    return model, sources, done.stderr


def test_every_failure_is_listed_with_its_reason(site):
    done = run("-m", "slotaudio", "plugins", site=site)
    assert done.returncode == 0
    for plugin, reason in FAILURES.items():
        assert f"{plugin}  failed: {reason}" in done.stdout
        assert done.stderr.count(f"plug-in {plugin!r} failed to load: {reason}") == 1
    assert "saboteur  failed: slotaudio_commands() raised RuntimeError: no commands today" in done.stdout
    assert "useful  slotaudio-useful 1.0  encoder/mean" in done.stdout


def test_components_of_sound_plugins_are_listed(site):
    done = run("-m", "slotaudio", "components", "encoders", site=site)
    assert done.returncode == 0
    assert "Mean over the frequencies, as one token per frame.  (useful)" in done.stdout
    assert done.stdout.count("twin") >= 2
    assert "resnet" in done.stdout
    assert "lost" not in done.stdout


def test_a_name_of_two_plugins_is_an_error_at_use_that_offers_both(site):
    said = answer("from slotaudio.registry import encoders; encoders['twin']", site)
    assert said.strip() == "'twin' is offered by several plug-ins; write one of: twin_one/twin, twin_two/twin"


def test_recipes_that_clash_or_are_not_there_are_explained_and_the_others_listed(site):
    done = run("-m", "slotaudio", "recipes", site=site)
    assert done.returncode == 0
    assert "audioslots-small" in done.stdout
    assert [line for line in done.stdout.splitlines() if "of two" in line] == [
        "twin              of two  (twin_one)",
        "twin              of two  (twin_two)",
    ]
    assert "lost              unusable: recipe 'lost' of plug-in 'unpacked' cannot be read from" in done.stdout
    assert "plug-in 'burnt' failed to load: slotaudio_recipes() raised OSError: no oven" in done.stderr
    said = answer("from slotaudio.recipe import load_recipe; load_recipe('twin')", site)
    assert said.strip() == "'twin' is offered by several plug-ins; write one of: twin_one/twin, twin_two/twin"
    assert (
        answer("from slotaudio.recipe import load_recipe; print(load_recipe('twin_two/twin').about)", site)
        == "of two\n"
    )


def test_a_plugin_that_takes_names_of_built_ins_harms_no_saved_model(separated):
    """`squatter` offers a frontend and an encoder that are called as built-in ones are."""
    config = json.loads((separated[0] / "config.json").read_text())["components"]["frontend"]
    assert (config["name"], config["plugin"]) == ("stft", "slotaudio")
    assert config["defaults"]["hop"] == 125


def test_an_unknown_name_says_which_plugins_failed(site):
    said = answer("from slotaudio.registry import encoders; encoders['lost']", site)
    assert "no encoder named 'lost'" in said
    for plugin, reason in FAILURES.items():
        assert f"plug-in {plugin!r} failed to load: {reason}" in said


def test_a_target_that_is_not_there_names_its_plugin(site):
    said = answer("from slotaudio.registry import encoders; encoders['nowhere']", site)
    assert "encoder 'nowhere' of plug-in 'nowhere' cannot be imported from 'slotaudio_nowhere.encoder:Missing'" in said


def test_a_wrapper_that_raises_is_named(site):
    said = answer("from slotaudio.compose import build; build('frontend', 'waveform')", site)
    expected = "plug-in 'saboteur' failed while frontend 'waveform' was built: RuntimeError: no waves today"
    assert said.strip() == expected


def test_a_plugin_that_imports_torch_to_be_listed_is_caught_by_the_suite(tmp_path):
    install(tmp_path / "site", write(tmp_path, "heavy", HEAVY, "1.0"))
    code = (
        "from slotaudio.testing import EncoderConformance\n"
        "for name in ('resnet', 'heavy'):\n"
        "    checks = type('Suite', (EncoderConformance,), {'component': name})()\n"
        "    try:\n        checks.test_listing_it_imports_no_torch(); print(name, 'passes')\n"
        "    except AssertionError as error:\n        print(error)\n"
    )
    said = run("-c", code, site=tmp_path / "site", only="heavy").stdout
    assert said.splitlines() == ["resnet passes", "encoder 'heavy' listing plug-in 'heavy' imports torch"]


def test_separate_works_with_every_broken_plugin_installed(separated):
    _, sources, said = separated
    assert sorted(path.name for path in sources.iterdir()) == ["mixture_slot1.wav", "mixture_slot2.wav"]
    for plugin, reason in FAILURES.items():
        assert f"plug-in {plugin!r} failed to load: {reason}" in said


def test_a_plugin_that_is_missing_when_a_model_is_loaded(separated, recording, tmp_path):
    model, *_ = separated
    done = run("-m", "slotaudio", "separate", recording, "-o", tmp_path, "--model", model, only="")
    assert done.returncode == 2
    assert done.stderr.startswith(
        f"slotaudio: error: {model} needs a plug-in that is not installed: pip install slotaudio-useful "
        "(saved with slotaudio-useful 1.0)"
    )
    assert len(done.stderr.splitlines()) == 1


def test_all_packages_that_are_missing_are_named_at_once(separated, tmp_path):
    model = shutil.copytree(separated[0], tmp_path / "model")
    config = json.loads((model / "config.json").read_text())
    config["packages"] = {"slotaudio-other": "3.1"}
    (model / "config.json").write_text(json.dumps(config))
    said = answer(f"from slotaudio import SlotModel; SlotModel.from_pretrained({str(model)!r})", None)
    assert said.strip() == (
        f"{model} needs plug-ins that are not installed: pip install slotaudio-useful slotaudio-other "
        "(saved with slotaudio-useful 1.0, slotaudio-other 3.1)"
    )


def test_a_plugin_that_is_broken_when_a_model_is_loaded(separated, recording, tmp_path):
    """It is installed in the model's version, but something that it imports is gone."""
    install(tmp_path / "site", write(tmp_path, "useful", PACKAGES["unimportable"], "1.0"))
    done = run(
        "-m", "slotaudio", "separate", recording, "-o", tmp_path, "--model", separated[0], site=tmp_path / "site"
    )
    assert done.returncode == 2
    assert f"plug-in 'useful' failed to load: {FAILURES['unimportable']}" in done.stderr.partition("error: ")[2]


def test_another_version_than_the_model_was_saved_with(separated, recording, tmp_path):
    """The newer version has renamed an option that the model sets; told of that, it fails at work, by name."""
    install(tmp_path / "site", write(tmp_path, "useful", NEWER, "2.0"))
    model, edited = separated[0], shutil.copytree(separated[0], tmp_path / "edited")
    config = json.loads((edited / "config.json").read_text())
    config["components"]["encoder"]["options"] = {"breadth": 4}
    (edited / "config.json").write_text(json.dumps(config))
    code = f"""
from slotaudio.cli import main
for model in {str(model)!r}, {str(edited)!r}:
    try:
        main(["separate", {str(recording)!r}, "-o", {str(tmp_path / "out")!r}, "--model", model])
    except SystemExit as stop:
        print(stop.code)
"""
    done = run("-c", code, site=tmp_path / "site", only="useful")
    assert done.stdout.split() == ["2", "1"]
    for part in (
        f"{model} was saved with slotaudio-useful 1.0; 2.0 is installed and may compute something else "
        "(pip install slotaudio-useful==1.0)",
        "slotaudio-useful 1.0, whose components took other options: encoder 'mean' has no option 'width'.\n"
        "  known: freq, breadth",
        "unexpected ArithmeticError: division of labour\nThis is a defect of plug-in 'useful'; ",
    ):
        assert part in done.stderr
