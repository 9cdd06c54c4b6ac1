"""Every recipe that ships: composed at its full size, and trained for two steps at a small one."""

from pathlib import Path

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

import slotaudio
from slotaudio.cli import main
from slotaudio.errors import UserError
from slotaudio.presets import presets
from slotaudio.pretrained import from_pretrained
from slotaudio.recipe import load_recipe

RECIPES = Path(slotaudio.__file__).parent / "recipes"

SMALLER = {
    "resnet": ["width=4", "depth=10"],
    "transformer": ["slot_dim=16", "qkv_dim=16", "mlp_dim=16", "layers=1"],
    "spatial_broadcast": ["hidden=16", "layers=1", "patch=[8, 8]"],
}
"""What keeps a component as it is, only quicker."""

SHORT = [
    "data.train.size=4",
    "data.validation.size=1",
    "data.validation.seconds=1.0",
    "train.steps=2",
    "train.batch_size=2",
    "train.validate_every=2",
    "train.log_every=1",
    "train.workers=0",
]


def smaller(name):
    table = load_recipe(name).table
    short = ["data.train.seconds=4.0"] if table["data"]["train"]["name"] == "conversations" else []
    named = {family: table[family]["name"] for family in ("encoder", "bottleneck", "decoder")}
    if table["train"].get("init"):  # starts from weights, which have their size
        named = {}
    return (
        SHORT
        + short
        + [f"{family}.{change}" for family, component in named.items() for change in SMALLER.get(component, ())]
    )


@pytest.mark.parametrize("name", presets("slotaudio"))
def test_every_preset_trains_two_steps_on_the_bundled_speech(name, tmp_path, capsys):
    changes = [argument for change in smaller(name) for argument in ("--set", change)]
    with pytest.raises(SystemExit) as ended:
        main(["train", name, "-o", str(tmp_path / "run"), *changes])
    assert ended.value.code == 0
    printed = capsys.readouterr().out
    assert "trained 2 steps" in printed
    assert "best validation/si_sdr" in printed  # of a short talk, one voice may be all there is to improve
    trained = from_pretrained(tmp_path / "run/model")
    untrained = load_recipe(name, smaller(name)).model()
    assert {n: p.shape for n, p in trained.named_parameters()} == {n: p.shape for n, p in untrained.named_parameters()}
    state = torch.load(tmp_path / "run/last.ckpt", weights_only=True)
    assert state["global_step"] == 2


@pytest.mark.parametrize("name", presets("slotaudio"))
def test_every_preset_has_what_the_examples_change(name):
    recipe = load_recipe(name, ["data.train.path=path/to/speech", "data.validation.path=path/to/others"])
    assert recipe.table["data"]["train"]["path"] == "path/to/speech"
    with FakeTensorMode():  # sizes without weights
        model = recipe.model()
    with pytest.raises(UserError, match="path/to/speech"):
        recipe.datasets(model)


def test_every_recipe_of_the_package_is_a_preset():
    assert sorted(presets("slotaudio")) == sorted(path.stem for path in RECIPES.glob("*.toml"))


def test_audioslots_has_the_papers_sizes():
    recipe = load_recipe("audioslots")
    options = recipe.train
    assert (options.steps, options.batch_size, options.learning_rate) == (300_000, 64, 2e-4)
    assert (options.optimizer, options.warmup_steps, options.schedule) == ("adam", 2500, "cosine")
    with FakeTensorMode():  # shapes without the arithmetic
        model = recipe.model()
        prediction = model(torch.zeros(1, 1, 1, 8000))
    assert prediction.spectrum.values.shape == (1, 1, 256, 64)
    assert prediction.features.tokens.shape == (1, 1, 32 * 8, 512)
    assert prediction.slots.vectors.shape == (1, 1, 2, 4096)
    assert prediction.estimates.magnitudes.shape == (1, 2, 1, 256, 64)
