"""Saved models: weights as safetensors, everything else as JSON; nothing is ever unpickled.

A saved model is a folder of ``model.safetensors``, ``config.json`` and ``README.md`` (the model card). The
same folder works from disk, without a network, and from the Hugging Face hub.
"""

import json
import os
import re
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from slotaudio.errors import PretrainedError
from slotaudio.model import SlotModel
from slotaudio.modelcard import CARD, render
from slotaudio.modelconfig import CONFIG, WEIGHTS, check_packages, config_of, is_offer, read_config, recompose, sha256
from slotaudio.registry import FAMILIES
from slotaudio.wildcards import check_patterns, fits
from slotaudio.writing import partial_path, replacing

DEFAULT_MODEL = "band-split"
"""The bundled model behind the name ``"default"``."""

COUNTING_MODEL = "band-split-three"
"""The bundled model behind it where the number of sources is open, or not two."""

_BUNDLED = Path(str(files("slotaudio"))) / "assets" / "models"


def save_pretrained(
    model: SlotModel,
    folder: str | os.PathLike[str],
    card: str | Mapping[str, Any] | None = None,
    eight_bits: Sequence[str] = (),
) -> Path:
    """Save a model, its weights as exact as they are: ``model.half()`` takes half of the space.

    Of a model that is in the folder already and the new one, whatever ends this early leaves one whole.

    Args:
        model: made by `slotaudio.compose` or `slotaudio.preset`.
        folder: made if missing.
        card: what users should know: Markdown, or a mapping of headings to Markdown of which ``"license"``,
            ``"tags"``, ``"datasets"`` and ``"language"`` become the card's metadata.
        eight_bits: names or wildcards of weights, ``["encoder.*"]``, whose matrices and kernels are stored in 8 bits
            (``torch.float8_e4m3fn``: 3 % of each weight between 0.02 and 448, 0.001 below). Loaded they are single
            precision again, as all weights are.

    Returns:
        The folder.

    Raises:
        UserError: no weight fits one of `eight_bits`.
        PretrainedError: the model was not composed of named components, a weight is too large for 8 bits, or the
            folder cannot be written.
    """
    target = Path(folder)
    weights = _tensors(model)
    check_patterns(eight_bits, weights, "eight_bits")
    weights |= {name: _in_eight_bits(name, weight) for name, weight in weights.items() if fits(name, eight_bits)}
    config = config_of(model)
    try:
        target.mkdir(parents=True, exist_ok=True)
        with replacing(target / WEIGHTS) as partial:
            partial.touch()
            mode = partial.stat().st_mode
            save_file(weights, partial, metadata={"format": "pt"})
            partial.chmod(mode)  # safetensors keeps it to its owner; a model is for whoever may read the folder
            config["sha256"] = sha256(partial)
            texts = {
                target / CARD: render(card, config, sum(tensor.numel() for tensor in weights.values())),
                target / CONFIG: json.dumps(config, indent=2) + "\n",
            }
            for path, text in texts.items():
                partial_path(path).write_text(text, encoding="utf-8")
        for path in texts:  # not `replacing`: from now on `read_config` needs the new description, whatever happens
            os.replace(partial_path(path), path)
    except (OSError, SafetensorError, RuntimeError) as error:  # weights that overlap in memory are a RuntimeError
        reason = getattr(error, "strerror", None) or error
        raise PretrainedError(f"cannot save the model to {target}: {reason}") from error
    return target


def from_pretrained(name: str | os.PathLike[str] = "default", device: str | torch.device = "cpu") -> SlotModel:
    """Load a saved model.

    Args:
        name: ``"default"``, another bundled name, a folder, or ``"organisation/name"`` on the Hugging Face hub
            (``"organisation/name@revision"`` for a certain state of it). ``HF_HUB_OFFLINE=1`` is respected.
            Or an ONNX file that `slotaudio.export` wrote.
        device: where to put it.

    Raises:
        PretrainedError: not found, of another format, damaged, of another shape, or of a plug-in that is
            missing (names the package to install).
    """
    if Path(name).suffix == ".onnx":
        from slotaudio.exporting import ExportedModel

        return ExportedModel(name)
    folder = locate(name)
    config = read_config(folder)
    check_packages(folder, config)
    model = recompose(folder, config)
    _load(model, folder, config, f"the model in its {CONFIG}")
    return model.to(device).eval()


def load_weights(model: SlotModel, name: str | os.PathLike[str], fresh: Sequence[str] = ()) -> None:
    """Give a model the weights of a saved one, to train it further on other data or with other options.

    A stage that wraps another, and names in its attribute ``wraps`` where it keeps it (as `carry_over` does), takes
    the weights of a saved model that had the inner one in its place.

    Args:
        model: composed like the saved one: each weight has the same name and shape.
        name: of the saved model, as for `from_pretrained`.
        fresh: names or wildcards of weights that are left as they are, whether the saved model has them or not.

    Raises:
        PretrainedError: as for `from_pretrained`, or the two differ (names the first tensor that does).
        UserError: a wildcard fits none of the model's weights.
    """
    folder = locate(name)
    check_patterns(fresh, model.state_dict(), "fresh")
    _load(model, folder, read_config(folder), "the model to be trained", fresh)


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


def _tensors(model: SlotModel) -> dict[str, torch.Tensor]:
    """The weights by name; of tensors that share their memory only the first."""
    kept, seen = {}, set()
    for name, tensor in model.state_dict().items():
        if not isinstance(tensor, torch.Tensor):
            raise PretrainedError(
                f"the model cannot be saved: {name} is of type {type(tensor).__name__}; saved models hold tensors"
            )
        memory = (tensor.data_ptr(), tensor.shape, tensor.stride())
        if tensor.numel() == 0 or memory not in seen:
            seen.add(memory)
            kept[name] = tensor.detach().cpu().contiguous()
    return kept


def _in_eight_bits(name: str, weight: torch.Tensor) -> torch.Tensor:
    if weight.ndim < 2 or not weight.numel() or not weight.is_floating_point():
        return weight
    largest = torch.finfo(torch.float8_e4m3fn).max
    if not weight.abs().max() <= largest:
        raise PretrainedError(f"{name} is not between -{largest:g} and {largest:g}, all that 8 bits hold: leave it out")
    return weight.to(torch.float8_e4m3fn)


def _read_weights(folder: Path, config: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    path = folder / WEIGHTS
    try:
        damaged = sha256(path) != config.get("sha256")
        with safe_open(path, framework="pt") as file:
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (no mapping)
    except (OSError, SafetensorError) as error:
        raise PretrainedError(f"{path} cannot be read: {error}") from None
    if damaged:
        raise PretrainedError(
            f"{path} is not the file that was saved with {CONFIG} (its SHA-256 differs): fetch both again"
        )
    return state


def _load(model: SlotModel, folder: Path, config: Mapping[str, Any], what: str, fresh: Sequence[str] = ()) -> None:
    state = _wrapped(_read_weights(folder, config), model, config)
    state = {name: tensor for name, tensor in state.items() if not fits(name, fresh)}
    _check_shapes(folder, model, state, what, fresh)
    model.load_state_dict(state, strict=False)  # what is missing is fresh or tied to what is there: just checked


def _wrapped(
    state: Mapping[str, torch.Tensor], model: SlotModel, config: Mapping[str, Any]
) -> Mapping[str, torch.Tensor]:
    """Move the weights of a stage that the model wraps in another to where the wrapper keeps it."""
    for family, saved in config["components"].items():
        inner = getattr(getattr(model, family, None), "wraps", None)
        if inner and not is_offer(FAMILIES[family].offer(model.specs[family].name), saved):
            start = f"{family}."
            state = {
                f"{start}{inner}.{name.removeprefix(start)}" if name.startswith(start) else name: tensor
                for name, tensor in state.items()
            }
    return state


def _check_shapes(
    folder: Path, model: SlotModel, state: Mapping[str, torch.Tensor], what: str, fresh: Sequence[str]
) -> None:
    wanted = {name: tuple(tensor.shape) for name, tensor in _tensors(model).items() if not fits(name, fresh)}
    found = {name: tuple(tensor.shape) for name, tensor in state.items()}
    differing = [name for name in sorted(wanted.keys() | found.keys()) if wanted.get(name) != found.get(name)]
    if differing:
        name = differing[0]
        raise PretrainedError(
            f"the weights in {folder} do not fit {what}: {len(differing)} tensors differ, first "
            f"{name}: {found.get(name, 'missing')} in the file, {wanted.get(name, 'missing')} in the model"
        )
