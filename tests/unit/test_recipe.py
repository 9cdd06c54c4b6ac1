"""Recipes, presets and overrides: what is accepted, and what is said about the rest."""

import tomllib

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from slotaudio import preset
from slotaudio.errors import UserError, WrongOptions
from slotaudio.presets import presets
from slotaudio.recipe import load_recipe
from slotaudio.toml import dump, set_value
from slotaudio.training.options import TrainOptions

TINY = """
about = "a tiny model"
matcher = "exhaustive"

[model]
slots = 3
window = 0.25

[encoder]
name = "resnet"
depth = 10
width = 4

[bottleneck]
name = "transformer"
slot_dim = 8
layers = 1

[decoder]
name = "spatial_broadcast"
hidden = 8
layers = 1

[data.train]
name = "synthetic"
sources = 3
size = 10

[train]
steps = 2
batch_size = 2
seed = 7
"""


@pytest.fixture
def tiny(tmp_path):
    path = tmp_path / "tiny.toml"
    path.write_text(TINY)
    return path


def test_a_recipe_composes_what_it_says(tiny):
    recipe = load_recipe(tiny)
    model = recipe.model()
    assert (recipe.name, recipe.about) == ("tiny", "a tiny model")
    assert (model.slots, model.window, model.mask.name) == (3, 0.25, "wiener")
    assert model.bottleneck.slot_dim == 8
    assert type(model.frontend).__name__ == "STFT"  # left out, hence compose's default
    assert type(model.matcher).__name__ == "Exhaustive"
    assert recipe.train == TrainOptions(steps=2, batch_size=2, seed=7)
    assert callable(recipe.objective(model))


def test_data_sets_get_the_models_rate_window_and_seed(tiny):
    recipe = load_recipe(tiny, ["frontend.sample_rate=8000", "frontend.hop=100"])
    training, validation = recipe.datasets(recipe.model())
    assert validation is None
    assert (training.sample_rate, training.epochs.seed, len(training)) == (8000, 7, 10)
    assert training[0][0].shape == (1, 2000)
    changed = load_recipe(tiny, ["data.train.seconds=1", "data.train.seed=1", "data.validation.name=synthetic"])
    training, validation = changed.datasets(changed.model())
    assert training.epochs.seed == 1
    assert training[0][0].shape == (1, 16000)
    assert validation[0][0].shape == (1, 32000)  # its own default: a window is too short to listen to


def test_validation_draws_other_mixtures_than_training_and_the_same_in_every_run(tiny):
    same = [f"data.{part}={{name='synthetic', seconds=1}}" for part in ("train", "validation")]
    recipes = [load_recipe(tiny, [*same, f"train.seed={seed}"]) for seed in (0, 1)]
    (training, validation), (_, again) = (recipe.datasets(recipe.model()) for recipe in recipes)
    assert not torch.equal(training[0][0], validation[0][0])
    assert torch.equal(validation[0][0], again[0][0])


def test_a_recipe_without_data_says_how_to_name_some(tmp_path):
    (tmp_path / "bare.toml").write_text("")
    recipe = load_recipe(tmp_path / "bare.toml", ["encoder.depth=10", "encoder.width=4"])
    with pytest.raises(UserError, match=r"recipe 'bare' has no \[data.train\]; for example --set"):
        recipe.datasets(recipe.model())


def test_overrides_change_values_and_replace_components(tiny):
    recipe = load_recipe(
        tiny,
        [
            "bottleneck.layers=2",
            "bottleneck.slot_dim = 16",
            "encoder=resnet",
            "encoder.width=8",
            "encoder.depth=10",
            "matcher.name=hungarian",
            "decoder.output=relu",
            "train.betas=[0.8, 0.9]",
            "train.compile=true",
            "model.window=none",
        ],
    )
    model = recipe.model()
    assert recipe.table["bottleneck"] == {"name": "transformer", "layers": 2, "slot_dim": 16}
    assert recipe.table["encoder"] == {"name": "resnet", "width": 8, "depth": 10}
    assert (model.encoder.out_dim, model.window) == (64, None)
    assert recipe.train.betas == (0.8, 0.9)
    assert recipe.train.compile is True
    assert load_recipe(tiny, ["encoder=resnet"]).table["encoder"] == "resnet"


def test_a_stage_can_be_left_out(tiny):
    model = load_recipe(tiny, ["bottleneck=none", "decoder=none"]).model()
    assert (model.bottleneck, model.decoder) == (None, None)


@pytest.mark.parametrize(
    ("override", "complaint"),
    [
        ("bottlneck.layers=2", "unknown key 'bottlneck' in recipe 'tiny'. Did you mean 'bottleneck'?"),
        (
            "model.slot=2",
            "unknown key 'slot' in [model] of recipe 'tiny'. Did you mean 'slots'?\n  known: slots, window",
        ),
        ("model.slots=two", "recipe 'tiny': model.slots = 'two' is not int"),
        ("data.valid.name=synthetic", "unknown key 'valid' in [data] of recipe 'tiny'. Did you mean 'validation'?"),
        ("data.validation.path=x", "recipe 'tiny': data.validation: a component needs a name"),
        ("data=folder", "recipe 'tiny': [data] is 'folder', not a table"),
        ("train.step=2", "unknown option 'step' of [train]. Did you mean 'steps'?"),
        ("train.steps=many", "train.steps = 'many' is not int"),
        ("train.steps=0", "train.steps = 0: at least 1 is needed"),
        ("train.learning_rate=0", "train.learning_rate = 0.0: it must be above zero"),
        ("train.ema=1", "train.ema = 1"),
        ("train.weight_decay=-1", "train.weight_decay = -1.0: it cannot be negative"),
        ("train.schedule=sine", "train.schedule = 'sine' is not one of 'cosine', 'linear', 'polynomial', 'constant'"),
        ("train.betas=[0.9]", "train.betas = [0.9] is not tuple[float, float]"),
        ("encoder=5", "recipe 'tiny': encoder: a component is a name, a Spec or a mapping with a name, not 5"),
        ("encoder", "--set 'encoder': write KEY=VALUE, for example --set bottleneck.iterations=5"),
        ("=5", "write KEY=VALUE"),
        ("encoder..depth=5", "write KEY=VALUE"),
        ("encoder.depth.more=5", "--set 'encoder.depth.more=5': encoder.depth is 10, not a table"),
        ("train.compile=True", "TOML writes true"),
        ("train.betas=[0.9", "'[0.9' is not a TOML value"),
        ("about=", "'' is not a TOML value"),
    ],
)
def test_wrong_overrides_are_explained(tiny, override, complaint):
    with pytest.raises(UserError) as caught:
        load_recipe(tiny, [override])
    assert complaint in str(caught.value)


def test_wrong_options_of_components_are_answered_with_those_they_take(tiny):
    with pytest.raises(
        WrongOptions, match=r"encoder 'resnet' has no option 'dept'\. Did you mean 'depth'\?\n  known: "
    ):
        load_recipe(tiny, ["encoder.dept=5"]).model()
    recipe = load_recipe(tiny, ["data.train.folder=x"])
    with pytest.raises(WrongOptions, match=r"dataset 'synthetic' has no option 'folder'"):
        recipe.datasets(recipe.model())


def test_a_file_that_is_no_recipe_is_explained(tmp_path):
    broken = tmp_path / "broken.toml"
    broken.write_text("[encoder\nname = 3")
    with pytest.raises(UserError, match=r"broken.toml: .*line 1"):
        load_recipe(broken)
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match=r"binary.toml: .*decode"):
        load_recipe(tmp_path / "binary.toml")
    with pytest.raises(UserError, match="is a folder, not a recipe"):
        load_recipe(tmp_path)


def test_an_unknown_preset_is_answered_with_a_suggestion():
    with pytest.raises(UserError) as caught:
        load_recipe("audioslots-smal")
    message = str(caught.value)
    assert message.startswith("no recipe named 'audioslots-smal'. Did you mean 'audioslots-small'?")
    assert "known: audioslots, audioslots-small" in message
    with pytest.raises(UserError, match=r"recipe 'audioslots.toml': there is no such file"):
        load_recipe("audioslots.toml")


def test_values_in_the_shell_need_no_quotes():
    table = {}
    for assignment in (
        "a.path=path/to/speech",
        'a.quoted="x = 1"',
        "a.number=3e-4",
        "a.whole=1_000",
        "a.flag=false",
        "a.list=[1, 2]",
        "a.day=2024-01-01",
        "a.lines=1\nb = 2",
        "a.formula=a=b",
        "a.table={x = 1}",
    ):
        set_value(table, assignment)
    assert table == {
        "a": {
            "path": "path/to/speech",
            "quoted": "x = 1",
            "number": 3e-4,
            "whole": 1000,
            "flag": False,
            "list": [1, 2],
            "day": "2024-01-01",
            "lines": "1\nb = 2",
            "formula": "a=b",
            "table": {"x": 1},
        }
    }


def test_an_option_below_a_bare_name_keeps_the_name():
    table = {"bottleneck": "slot_attention"}
    set_value(table, "bottleneck.iterations=5")
    assert table == {"bottleneck": {"name": "slot_attention", "iterations": 5}}


keys = st.text(min_size=1, max_size=8)
scalars = st.one_of(
    st.text(max_size=12),
    st.booleans(),
    st.integers(-(2**40), 2**40),
    st.floats(allow_nan=False),
    st.lists(st.integers()),
)
options = st.dictionaries(keys, st.one_of(scalars, st.dictionaries(keys, scalars, max_size=2)), max_size=4)


@given(
    plain=st.dictionaries(keys, scalars, max_size=3),
    tables=st.dictionaries(keys, st.one_of(options, st.dictionaries(keys, options, max_size=2)), max_size=3),
)
def test_what_is_written_is_read_again(plain, tables):
    table = plain | tables
    assert tomllib.loads(dump(table)) == table


@pytest.mark.parametrize("name", presets())
def test_a_written_recipe_is_the_same_recipe(name, tmp_path):
    recipe = load_recipe(name)
    (tmp_path / f"{name}.toml").write_text(dump(recipe.table), encoding="utf-8")
    assert load_recipe(tmp_path / f"{name}.toml") == recipe
    assert recipe.about


def test_preset_changes_options_or_components():
    model = preset("audioslots-small", slots=3, encoder={"width": 8}, matcher="exhaustive", window=1.0)
    assert (model.slots, model.window, model.encoder.out_dim) == (3, 1.0, 64)
    assert type(model.matcher).__name__ == "Exhaustive"
    assert preset("audioslots-small", decoder=None).decoder is None
    with pytest.raises(
        UserError, match=r"unknown argument 'slot' in preset\('audioslots-small'\)\. Did you mean 'slots'"
    ):
        preset("audioslots-small", slot=3)
