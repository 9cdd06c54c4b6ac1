"""Saved models: weights as safetensors, everything else as JSON; nothing is ever unpickled.

A saved model is a folder of ``model.safetensors``, ``config.json`` and ``README.md`` (the model card). The
same folder works from disk, without a network, and from the Hugging Face hub.
"""

import hashlib
import inspect
import json
import os
import re
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from slotaudio import __version__
from slotaudio.compose import STAGES, compose, threaded_into
from slotaudio.errors import PretrainedError, UnknownComponent, WrongOptions
from slotaudio.model import SlotModel
from slotaudio.pluginmanager import plugin_manager
from slotaudio.registry import FAMILIES, Offer

DEFAULT_MODEL = "audioslots-small"
"""The bundled model behind the name ``"default"``."""

FORMAT = 1
WEIGHTS, CONFIG, CARD = "model.safetensors", "config.json", "README.md"
_BUNDLED = Path(str(files("slotaudio"))) / "assets" / "models"


def save_pretrained(
    model: SlotModel, folder: str | os.PathLike[str], card: str | Mapping[str, Any] | None = None
) -> Path:
    """Save a model; an existing one in the same folder is replaced file by file, each at once.

    Args:
        model: made by `slotaudio.compose` or `slotaudio.preset`.
        folder: made if missing.
        card: what users should know: Markdown, or a mapping of headings to Markdown of which ``"license"``,
            ``"tags"``, ``"datasets"`` and ``"language"`` become the card's metadata.

    Returns:
        The folder.

    Raises:
        PretrainedError: the model was not composed of named components, or the folder cannot be written.
    """
    from slotaudio.modelcard import render

    target = Path(folder)
    weights = _tensors(model)
    config = _config(model)
    try:
        target.mkdir(parents=True, exist_ok=True)
        partial = target / f"{WEIGHTS}.partial"
        save_file(weights, partial, metadata={"format": "pt", "slotaudio": __version__})
        config["sha256"] = _sha256(partial)
        os.replace(partial, target / WEIGHTS)
        _replace(target / CARD, render(card, config, sum(tensor.numel() for tensor in weights.values())))
        _replace(target / CONFIG, json.dumps(config, indent=2) + "\n")
    except OSError as error:
        raise PretrainedError(f"cannot save the model to {target}: {error.strerror or error}") from error
    return target


def from_pretrained(name: str | os.PathLike[str] = "default", device: str | torch.device = "cpu") -> SlotModel:
    """Load a saved model.

    Args:
        name: ``"default"``, another bundled name, a folder, or ``"organisation/name"`` on the Hugging Face hub
            (``"organisation/name@revision"`` for a certain state of it). ``HF_HUB_OFFLINE=1`` is respected.
        device: where to put it.

    Raises:
        PretrainedError: not found, of another format, damaged, of another shape, or of a plug-in that is
            missing (names the package to install).
    """
    folder = locate(name)
    config = _read_config(folder)
    _check_packages(folder, config)
    model = _composed(folder, config)
    state = _read_weights(folder, config)
    _check_shapes(folder, model, state)
    model.load_state_dict(state, strict=False)  # what is missing is tied to what is there: just checked
    return model.to(device).eval()


def bundled() -> list[str]:
    """Return the names of the models that come with the package."""
    return sorted(path.parent.name for path in _BUNDLED.glob(f"*/{CONFIG}"))


def locate(name: str | os.PathLike[str]) -> Path:
    """Return the folder of a saved model, downloaded if it is on the hub and not yet here.

    Raises:
        PretrainedError: nothing of that name is bundled, on disk or on the hub.
    """
    if isinstance(name, str):
        short = DEFAULT_MODEL if name == "default" else name
        if short in bundled():
            return _BUNDLED / short
    path = Path(name)
    if (path / CONFIG).is_file():
        return path
    if path.is_dir():
        raise PretrainedError(f"{path} holds no saved model: there is no {CONFIG} in it (see save_pretrained)")
    if path.exists():
        raise PretrainedError(f"{path} is a file; a saved model is a folder with {CONFIG} and {WEIGHTS} in it")
    if isinstance(name, str) and re.fullmatch(r"[\w.-]+/[\w.-]+(@[\w./-]+)?", name) and not name.startswith("."):
        return _from_hub(name)
    known = ", ".join(bundled()) or "none"
    raise PretrainedError(
        f"no model named {str(name)!r}: bundled are {known}; a folder of that name does not exist; models on the "
        "Hugging Face hub are written organisation/name"
    )


def _from_hub(name: str) -> Path:
    from huggingface_hub import snapshot_download

    repository, _, revision = name.partition("@")
    try:
        return Path(snapshot_download(repository, revision=revision or None, allow_patterns=[WEIGHTS, CONFIG, CARD]))
    except Exception as error:  # the hub's client lets through what its HTTP library raises
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise PretrainedError(
            f"{name} is no folder here, and could not be had from the Hugging Face hub: {reason}"
        ) from error


def _config(model: SlotModel) -> dict[str, Any]:
    components = {}
    for family in STAGES:
        spec = model.specs.get(family)
        if spec is None:
            continue
        offer = FAMILIES[family].offer(spec.name)
        origin = offer.distribution
        options = {**_defaults(offer, model), **spec.to_dict()}
        options.pop("name")
        components[family] = {
            "name": spec.name,
            "plugin": offer.plugin,
            "package": origin.package if origin else None,
            "version": origin.version if origin else None,
            "options": options,
        }
    if "frontend" not in components or "encoder" not in components:
        raise PretrainedError("only models made of named components (slotaudio.compose) can be saved")
    config = {
        "format": FORMAT,
        "slotaudio": __version__,
        "sample_rate": model.sample_rate,
        "slots": model.slots,
        "window": model.window,
        "mask": model.mask.to_dict(),
        "components": components,
        "packages": _packages(model),
    }
    try:
        json.dumps(config)
    except TypeError as error:
        raise PretrainedError(f"an option of the model cannot be written as JSON: {error}") from None
    return config


def _defaults(offer: Offer, model: SlotModel) -> dict[str, Any]:
    """The defaults of today's signature: a later version may have others, a saved model keeps these."""
    threaded = threaded_into(offer.family, {family: getattr(model, family) for family in STAGES})
    parameters = inspect.signature(offer.load()).parameters.values()
    plain = (bool, int, float, str, list, tuple, type(None))
    return {
        parameter.name: parameter.default
        for parameter in parameters
        if parameter.name not in threaded and isinstance(parameter.default, plain)
    }


def _packages(model: SlotModel) -> dict[str, str]:
    """The plug-in packages that any module comes from, however deep inside another."""
    modules = {type(module).__module__.partition(".")[0] for module in model.modules()}
    plugins = plugin_manager().list_name_plugin()
    tops = {name: getattr(plugin, "__name__", "").partition(".")[0] for name, plugin in plugins}
    origins = plugin_manager().distributions
    used = {origins[name] for name, top in tops.items() if top in modules and top != "slotaudio" and name in origins}
    return {origin.package: origin.version for origin in sorted(used, key=lambda origin: origin.package)}


def _tensors(model: SlotModel) -> dict[str, torch.Tensor]:
    """The weights by name; of tensors that share their memory only the first."""
    kept, seen = {}, set()
    for name, tensor in model.state_dict().items():
        memory = (tensor.data_ptr(), tensor.shape, tensor.stride())
        if tensor.numel() == 0 or memory not in seen:
            seen.add(memory)
            kept[name] = tensor.detach().cpu().contiguous()
    return kept


def _read_config(folder: Path) -> dict[str, Any]:
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise PretrainedError(f"{folder / CONFIG} cannot be read: {error}") from None
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


def _check_packages(folder: Path, config: Mapping[str, Any]) -> None:
    parts = {part["package"]: part["version"] for part in config["components"].values() if part.get("package")}
    for package, saved in {**parts, **config.get("packages", {})}.items():
        try:
            version(package)
        except PackageNotFoundError:
            if package != "slotaudio":
                raise PretrainedError(
                    f"{folder} needs a plug-in that is not installed: pip install {package} (saved with {package} "
                    f"{saved})"
                ) from None


def _composed(folder: Path, config: Mapping[str, Any]) -> SlotModel:
    specs = {}
    for family, part in config["components"].items():
        # the plug-in's name is written out only where the short name would not do
        known = [offer.plugin for offer in FAMILIES[family].offers() if offer.name == part["name"]]
        name = part["name"] if len(known) < 2 else f"{part['plugin']}/{part['name']}"
        specs[family] = {"name": name, **part["options"]}
    stages: dict[str, Any] = {"bottleneck": None, "decoder": None, **specs}
    try:
        return compose(**stages, slots=config["slots"], window=config["window"], mask=config["mask"])
    except UnknownComponent as error:
        local = [part["name"] for part in config["components"].values() if not part.get("package")]
        hint = f" ({', '.join(local)} came from a notebook or script: run its definition first)" if local else ""
        raise PretrainedError(f"{folder} cannot be composed: {error}{hint}") from error
    except WrongOptions as error:
        raise PretrainedError(
            f"{folder} was saved with slotaudio {config.get('slotaudio')}, whose components took other options: {error}"
        ) from error


def _read_weights(folder: Path, config: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    path = folder / WEIGHTS
    try:
        damaged = _sha256(path) != config.get("sha256")
        with safe_open(path, framework="pt") as file:
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (no mapping)
    except (OSError, SafetensorError) as error:
        raise PretrainedError(f"{path} cannot be read: {error}") from None
    if damaged:
        raise PretrainedError(
            f"{path} is not the file that was saved with {CONFIG} (its SHA-256 differs): fetch both again"
        )
    return state


def _check_shapes(folder: Path, model: SlotModel, state: Mapping[str, torch.Tensor]) -> None:
    wanted = {name: tuple(tensor.shape) for name, tensor in _tensors(model).items()}
    found = {name: tuple(tensor.shape) for name, tensor in state.items()}
    differing = [name for name in sorted(wanted.keys() | found.keys()) if wanted.get(name) != found.get(name)]
    if differing:
        name = differing[0]
        raise PretrainedError(
            f"the weights in {folder} do not fit the model in its {CONFIG}: {len(differing)} tensors differ, first "
            f"{name}: {found.get(name, 'missing')} in the file, {wanted.get(name, 'missing')} in the model"
        )


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _replace(path: Path, text: str) -> None:
    partial = path.with_name(path.name + ".partial")
    partial.write_text(text, encoding="utf-8")
    os.replace(partial, path)
