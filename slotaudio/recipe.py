"""Recipes: a model, its data and its training in one readable TOML file.

The tables are the families, ``[model]`` (options of `slotaudio.compose` that are no component),
``[data.train]``, ``[data.validation]`` and ``[train]`` (`slotaudio.training.options.TrainOptions`)::

    about = "AudioSlots with Slot Attention"
    encoder = "resnet"

    [bottleneck]
    name = "slot_attention"
    iterations = 5

    [data.train]
    name = "folder"
    path = "path/to/speech/train"

A component left out is `compose`'s default. TOML has no null: ``bottleneck = "none"`` composes a model without a
bottleneck, ``window = "none"`` one for recordings of any length. The recipes that slotaudio and its plug-ins bring
are loaded by name (`slotaudio.presets`).
"""

import copy
import inspect
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slotaudio.compose import STAGES, build, compose
from slotaudio.errors import UnknownComponent, UserError
from slotaudio.pluginmanager import BUILTIN
from slotaudio.presets import PRESETS
from slotaudio.registry import FAMILIES, renamed
from slotaudio.schema import fits, readable
from slotaudio.spec import Spec
from slotaudio.spelling import did_you_mean
from slotaudio.toml import set_value
from slotaudio.training.options import TrainOptions

if TYPE_CHECKING:
    from slotaudio.model import SlotModel

_COMPOSE = inspect.signature(compose).parameters
_MODEL = tuple(name for name in _COMPOSE if name not in STAGES)
_DATA = ("train", "validation")

_VALIDATION_SEED = 2**31 - 1
"""No seed that anybody trains with: else a data set that draws its mixtures would draw those of training."""
_EXPLAINED = "reference/recipes"
_KEYS = ("about", "model", *STAGES, "objective", "data", "train")


@dataclass(frozen=True)
class Recipe:
    """A checked recipe: every key is known, every component has a name."""

    name: str
    table: Mapping[str, Any]
    """The whole recipe as nested tables, defaults of the families filled in."""

    @property
    def about(self) -> str:
        """One line that says what the recipe is."""
        return str(self.table.get("about", ""))

    @property
    def train(self) -> TrainOptions:
        """The options of the training."""
        return TrainOptions.of(self.table["train"])

    def model(self) -> "SlotModel":
        """Compose the model, randomly initialised.

        Raises:
            UserError: see `slotaudio.compose`.
        """
        stages = {family: _unless_none(self.table[family]) for family in STAGES}
        return compose(**stages, **{key: _unless_none(value) for key, value in self.table["model"].items()})

    def objective(self, model: "SlotModel") -> Any:
        """Build the objective; it is offered the model and its sizes."""
        return build(
            "objective",
            self.table["objective"],
            model=model,
            slots=model.slots,
            sample_rate=model.sample_rate,
            in_dim=model.encoder.out_dim,
            slot_dim=getattr(model.bottleneck, "slot_dim", None),
        )

    def datasets(self, model: "SlotModel") -> tuple[Any, Any]:
        """Build the data sets of training and validation (None without a table).

        Unless the tables set them, they get the model's sample rate and channels; training also its window as
        the length and the seed of ``[train]``; validation a seed of its own, the same in every run.

        Raises:
            UserError: there is no ``[data.train]``.
            DataError: see the data set.
        """
        data = self.table["data"]
        if "train" not in data:
            raise UserError(
                f"recipe {self.name!r} has no [data.train]; for example --set data.train.name=synthetic",
                page=_EXPLAINED,
            )
        wave = {"rate": model.sample_rate, "sample_rate": model.sample_rate, "channels": model.frontend.channels}
        training = build("dataset", data["train"], seconds=model.window, seed=self.train.seed, **wave)
        if "validation" not in data:
            return training, None
        return training, build("dataset", data["validation"], seed=_VALIDATION_SEED, **wave)


def load_recipe(source: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read and check a recipe.

    Args:
        source: path of a TOML file, or the name of a preset, which may be written ``plugin/name``.
        overrides: changes such as ``"bottleneck.iterations=5"``, see `slotaudio.toml.set_value`.

    Raises:
        UserError: no such file or preset, not TOML, an unknown key, or a value that cannot be.
        AmbiguousComponent: several plug-ins bring a preset of that name.
    """
    name, read = _read(source)
    table = _with_families(read)
    for assignment in overrides:
        set_value(table, assignment)
    _check(table, name)
    return Recipe(name, table)


def preset(name: str, **overrides: Any) -> "SlotModel":
    """Compose the model of a preset, with changes in the words of `compose`.

    A mapping without a name changes options of the preset's component; anything else replaces the component.

    Example:
        >>> model = preset("audioslots-small", slots=3, bottleneck="slot_attention", frontend={"framing": "centred"})
        >>> model.slots
        3
    """
    table = copy.deepcopy(dict(load_recipe(name).table))
    for key, value in overrides.items():
        _known(key, (*STAGES, *_MODEL), "argument", f"preset({name!r})")
        if key not in STAGES:
            table["model"][key] = value
        elif isinstance(value, Mapping) and "name" not in value:
            table[key] = {**Spec.of(table[key]).to_dict(), **value}
        else:
            table[key] = "none" if value is None else Spec.of(value).to_dict()
    return Recipe(name, table).model()


def _read(source: str | Path) -> tuple[str, Mapping[str, Any]]:
    """Return the name of a recipe and its tables as they are written."""
    path = Path(source)
    if path.is_file():
        try:
            return path.stem, tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise UserError(f"recipe {path}: {error}") from None
    if path.suffix == ".toml":
        raise UserError(f"recipe {str(source)!r}: there is no such file")
    try:
        offer = PRESETS.offer(str(source))
    except UnknownComponent as error:
        if path.is_dir():
            raise UserError(f"recipe {str(source)!r} is a folder, not a recipe") from None
        raise UnknownComponent(f"{error}\n  or give the path of a TOML file", page=_EXPLAINED) from None
    return offer.name, _qualified(PRESETS.table(offer), offer.plugin)


def _qualified(table: Mapping[str, Any], plugin: str) -> dict[str, Any]:
    """Write out whose components a plug-in's recipe means where several offer them: its own, or built-in ones."""

    def whole(family: str, name: str) -> str:
        return FAMILIES[family].qualified(name, plugin, BUILTIN)

    named = {key: renamed(key, value, whole) if key in FAMILIES else value for key, value in table.items()}
    if isinstance(named.get("data"), Mapping):
        named["data"] = {part: renamed("dataset", like, whole) for part, like in named["data"].items()}
    return named


def _with_families(table: Mapping[str, Any]) -> dict[str, Any]:
    """Fill in what a recipe leaves out, so that overrides find every component."""
    defaults: dict[str, Any] = {family: _COMPOSE[family].default for family in STAGES} | {
        "objective": "slotaudio/supervised"
    }
    return {"about": "", "model": {}, **defaults, "data": {}, "train": {}, **table}


def _check(table: Mapping[str, Any], name: str) -> None:
    where = f"recipe {name!r}"
    for key in table:
        _known(key, _KEYS, "key", where)
    for section, known in (("model", _MODEL), ("data", _DATA)):
        for key in _table(table[section], f"{where}: [{section}]"):
            _known(key, known, "key", f"[{section}] of {where}")
    for key, value in table["model"].items():
        annotation = _COMPOSE[key].annotation
        if not fits(annotation, _unless_none(value)):
            raise UserError(f"{where}: model.{key} = {value!r} is not {readable(annotation)}")
    for family in (*STAGES, "objective"):
        _component(table[family], f"{where}: {family}")
    for part, like in table["data"].items():
        _component(like, f"{where}: data.{part}")
    TrainOptions.of(_table(table["train"], f"{where}: [train]"))


def _known(key: str, known: Sequence[str], kind: str, where: str) -> None:
    if key not in known:
        hint = did_you_mean(key, known)
        raise UserError(f"unknown {kind} {key!r} in {where}.{hint}\n  known: {', '.join(known)}", page=_EXPLAINED)


def _table(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise UserError(f"{where} is {value!r}, not a table")
    return value


def _component(like: Any, where: str) -> None:
    try:
        Spec.of(like)
    except UserError as error:
        raise UserError(f"{where}: {error}") from None


def _unless_none(value: Any) -> Any:
    return None if value == "none" else value
