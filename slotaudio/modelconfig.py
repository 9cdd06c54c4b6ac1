"""What a saved model is besides its weights: `config.json`, from a model and back to one.

Options that were set are kept apart from the defaults of the time. A default that has another value by now is
set to what it was; one that is gone by now is forgotten, so that renaming an option nobody set breaks no model.
"""

import contextlib
import hashlib
import inspect
import json
import warnings
from collections.abc import Mapping
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from slotaudio import __version__
from slotaudio.compose import STAGES, compose, threaded_into
from slotaudio.errors import PretrainedError, UnknownComponent, WrongOptions
from slotaudio.model import SlotModel
from slotaudio.pluginmanager import PluginWarning, plugin_manager
from slotaudio.registry import FAMILIES, Offer, renamed
from slotaudio.writing import partial_path

FORMAT = 1
CONFIG = "config.json"
WEIGHTS = "model.safetensors"


def config_of(model: SlotModel) -> dict[str, Any]:
    """Return everything but the weights in the words of JSON.

    Raises:
        PretrainedError: the model was not composed of named components, or an option is no plain value.
    """
    components = {family: _component(model, family) for family in STAGES if family in model.specs}
    config: dict[str, Any] = {
        "format": FORMAT,
        "slotaudio": __version__,
        "sample_rate": model.sample_rate,
        "slots": model.slots,
        "window": model.window,
        "mask": model.mask.to_dict(),
        "names": model.names,
        "components": components,
        "inner": _inner(components),
        "packages": _packages(model),
    }
    if not {"frontend", "encoder"} <= config["components"].keys():
        raise PretrainedError("only models made of named components (slotaudio.compose) can be saved")
    try:
        return json.loads(json.dumps(config))
    except TypeError as error:
        raise PretrainedError(f"an option of the model cannot be written as JSON: {error}") from None


def _component(model: SlotModel, family: str) -> dict[str, Any]:
    spec = model.specs[family]
    offer = FAMILIES[family].offer(spec.name)
    threaded = threaded_into(family, {stage: getattr(model, stage) for stage in STAGES})
    options = spec.to_dict()
    del options["name"]
    for key, value in options.items():
        if not _is_json(value):
            raise PretrainedError(
                f"{family} {spec.name!r} cannot be saved with {key} = {value!r}: options of saved models are numbers, "
                "texts, true, false, and lists and tables of them"
            )
    defaults = {key: value for key, value in _defaults(offer).items() if key not in {*threaded, *options}}
    return {**_origin(offer), "options": options, "defaults": defaults}


def _origin(offer: Offer) -> dict[str, Any]:
    """Whose component it is."""
    origin = offer.distribution
    return {
        "name": offer.name,  # which may have been asked for as plugin/name
        "plugin": offer.plugin,
        "package": origin.package if origin else None,
        "version": origin.version if origin else None,
    }


def _inner(components: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Whose the components are that options name (``bottleneck`` of `carry_over`), by family and name as written."""
    found: dict[str, dict[str, Any]] = {}

    def note(family: str, name: str) -> str:
        if name in FAMILIES[family]:
            found.setdefault(family, {})[name] = _origin(FAMILIES[family].offer(name))
        return name

    for family, part in components.items():
        renamed(family, {**part["defaults"], **part["options"]}, note)
    return found


def _defaults(offer: Offer) -> dict[str, Any]:
    """The plain defaults of today's signature, as JSON gives them back."""
    parameters = inspect.signature(offer.load()).parameters.values()
    plain = (bool, int, float, str, list, tuple, type(None))
    defaults = {item.name: item.default for item in parameters if isinstance(item.default, plain)}
    return {key: json.loads(json.dumps(value)) for key, value in defaults.items() if _is_json(value)}


def _is_json(value: Any) -> bool:
    try:
        json.dumps(value)
    except (TypeError, ValueError):
        return False
    return True


def _packages(model: SlotModel) -> dict[str, str]:
    """The plug-in packages that any module comes from, however deep inside another."""
    modules = {type(module).__module__.partition(".")[0] for module in model.modules()}
    plugins = plugin_manager().list_name_plugin()
    tops = {name: getattr(plugin, "__name__", "").partition(".")[0] for name, plugin in plugins}
    origins = plugin_manager().distributions
    used = {origins[name] for name, top in tops.items() if top in modules and top != "slotaudio" and name in origins}
    return {origin.package: origin.version for origin in sorted(used, key=lambda origin: origin.package)}


def read_config(folder: Path) -> dict[str, Any]:
    """Read a saved model's description: that of the weights which are there, if saving was ended between the files.

    Raises:
        PretrainedError: it is missing, damaged, or of another format.
    """
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise PretrainedError(f"{folder / CONFIG} cannot be read: {error}") from None
    with contextlib.suppress(OSError, ValueError, LookupError, TypeError):
        next_one = json.loads(partial_path(folder / CONFIG).read_text(encoding="utf-8"))
        config = next_one if next_one["sha256"] == sha256(folder / WEIGHTS) else config
    found = config.get("format") if isinstance(config, dict) else None
    if not isinstance(found, int) or "components" not in config:
        raise PretrainedError(f"{folder / CONFIG} does not describe a slotaudio model (it has no `format`)")
    if found != FORMAT:
        cure = "pip install -U slotaudio" if found > FORMAT else f"use slotaudio {config.get('slotaudio')} to load it"
        raise PretrainedError(
            f"{folder} has format {found}, saved by slotaudio {config.get('slotaudio')}; slotaudio {__version__} reads "
            f"format {FORMAT}: {cure}"
        )
    return config


def sha256(path: Path) -> str:
    """Return the digest by which a description knows its weights."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_packages(folder: Path, config: Mapping[str, Any]) -> None:
    """Raise if a plug-in that the model needs is not installed; warn if it is there in another version.

    Raises:
        PretrainedError: names the package to install.
    """
    missing = {}
    for package, saved in _saved_with(config).items():
        try:
            found = version(package)
            if package != "slotaudio" and found != saved:
                warnings.warn(
                    f"{folder} was saved with {package} {saved}; {found} is installed and may compute something else "
                    f"(pip install {package}=={saved})",
                    PluginWarning,
                    stacklevel=3,
                )
        except PackageNotFoundError:
            if package != "slotaudio":
                missing[package] = saved
    if missing:
        what = "a plug-in that is" if len(missing) == 1 else "plug-ins that are"
        versions = ", ".join(f"{package} {saved}" for package, saved in missing.items())
        raise PretrainedError(
            f"{folder} needs {what} not installed: pip install {' '.join(missing)} (saved with {versions})"
        )


def _saved_with(config: Mapping[str, Any]) -> dict[str, str]:
    """The packages that the model was made with and their versions."""
    inner = (part for named in config.get("inner", {}).values() for part in named.values())
    parts = [part for part in (*config["components"].values(), *inner) if part.get("package")]
    return {**{part["package"]: part["version"] for part in parts}, **config.get("packages", {})}


def is_offer(offer: Offer, part: Mapping[str, Any]) -> bool:
    """Tell whether a component that is offered today is the one that a description names: of that name and package."""
    return (offer.name, offer.distribution and offer.distribution.package) == (part["name"], part.get("package"))


def specs_of(config: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the stages that a description names, each a mapping with the defaults of its time.

    Raises:
        PretrainedError: the package that a component was saved with does not offer it, but another one does.
    """
    specs = {}
    for family, part in config["components"].items():
        name = _saved(family, part)
        today = _defaults(FAMILIES[family].offer(name)) if name in FAMILIES[family] else {}
        changed = {key: value for key, value in part.get("defaults", {}).items() if today.get(key, value) != value}
        inner = renamed(family, {**changed, **part["options"]}, partial(_saved_inside, config))
        specs[family] = {"name": name, **inner}
    return specs


def _saved(family: str, part: Mapping[str, Any]) -> str:
    """Return today's name of a component that was saved."""
    known = [offer for offer in FAMILIES[family].offers() if offer.name == part["name"]]
    same = [offer.plugin for offer in known if is_offer(offer, part)]
    if known and not same:
        _another(family, part, known)
    same.sort(key=lambda plugin: plugin != part["plugin"])
    return FAMILIES[family].qualified(part["name"], *same)


def _another(family: str, part: Mapping[str, Any], known: list[Offer]) -> None:
    """Refuse what only has the name of a saved component; if that was of no package, its author knows best."""
    origins = [offer.distribution for offer in known]
    found = " and ".join(f"{origin.package} {origin.version}" if origin else "no package" for origin in origins)
    what = f"{family} {part['name']!r} of the saved model"
    if part.get("package") is not None:
        raise PretrainedError(
            f"{what} is that of {part['package']} {part['version']}, which does not offer it here; the one of {found} "
            "is another. `slotaudio plugins` says what became of each package"
        )
    sentence = f"{what} came from a notebook or script; that of {found} is taken for it"
    warnings.warn(sentence, PluginWarning, stacklevel=5)


def _saved_inside(config: Mapping[str, Any], family: str, name: str) -> str:
    """Return today's name of a component that an option of a saved one names.

    Descriptions that do not say whose it is mean that of a package which the model was made with.
    """
    part = config.get("inner", {}).get(family, {}).get(name)
    if part is not None:
        return _saved(family, part)
    packages = {"slotaudio", *_saved_with(config)}
    offers = [offer for offer in FAMILIES[family].offers() if offer.name == name]
    meant = [offer.plugin for offer in offers if offer.distribution and offer.distribution.package in packages]
    return FAMILIES[family].qualified(name, *meant) if len(meant) == 1 else name


def recompose(folder: Path, config: Mapping[str, Any]) -> SlotModel:
    """Compose the model that a description describes, with the defaults of its time.

    Raises:
        PretrainedError: a component is gone, or takes other options now.
    """
    stages: dict[str, Any] = {"bottleneck": None, "decoder": None, **specs_of(config)}
    try:
        whole = {"slots": config["slots"], "window": config["window"], "mask": config["mask"]}
        return compose(**stages, **whole, names=config.get("names"))
    except UnknownComponent as error:
        local = [part["name"] for part in config["components"].values() if not part.get("package")]
        hint = f" ({', '.join(local)} came from a notebook or script: run its definition first)" if local else ""
        raise PretrainedError(f"{folder} cannot be composed: {error}{hint}") from error
    except WrongOptions as error:
        versions = {"slotaudio": config.get("slotaudio"), **_saved_with(config)}
        packages = ", ".join(f"{package} {saved}" for package, saved in versions.items())
        raise PretrainedError(
            f"{folder} was saved with {packages}, whose components took other options: {error}"
        ) from error
