"""Saving a stream in the middle of a recording, and going on in another process.

What a stream remembers are tensors and numbers in the attributes of its parts. They are gathered by walking
through the parts, so that a joining rule of somebody else is saved like the built-in ones; nothing is pickled.
"""

import hashlib
import inspect
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from slotaudio.errors import UserError
from slotaudio.writing import replacing

FORMAT = 3
_HEADER = "slotaudio_stream"


def save_state(stream: object, path: str | os.PathLike[str], made_for: dict[str, Any]) -> None:
    """Write what a stream remembers to a file; it replaces an older one at once.

    Args:
        stream: its parts are its attributes, and theirs.
        made_for: what must be the same where the state is restored (JSON).

    Raises:
        UserError: the file cannot be written, or a part keeps something that is neither tensor nor number.
    """
    tensors, values = {}, {}
    for place, value in _leaves(stream, ""):
        if isinstance(value, Tensor):
            tensors[place] = value.detach().cpu().clone(memory_format=torch.contiguous_format)
        elif isinstance(value, torch.Generator):
            tensors[place] = value.get_state()
        else:
            values[place] = value
    header = json.dumps({"format": FORMAT, "made_for": made_for, "values": values})
    target = Path(path)
    try:
        with replacing(target) as partial:
            save_file(tensors, partial, metadata={_HEADER: header})
    except (OSError, SafetensorError) as error:
        raise UserError(f"the state cannot be saved to {target}: {error}") from None


def load_state(stream: object, path: str | os.PathLike[str], made_for: dict[str, Any]) -> None:
    """Give a new stream what an earlier one remembered.

    Raises:
        UserError: the file is no such state, or was made for something else (names what differs).
    """
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {})[_HEADER])
            # copied to where torch puts tensors: products of matrices round by where their rows lie in memory
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118  (no mapping)
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise UserError(f"{path} is not the state of a stream: {error}") from None
    if header["format"] != FORMAT:
        raise UserError(f"{path} has format {header['format']}; this version of slotaudio reads {FORMAT}")
    for name, ours in made_for.items():
        theirs = header["made_for"].get(name)
        if theirs != json.loads(json.dumps(ours)):
            raise UserError(f"{path} was saved with another {name}: {theirs} then, {ours} now")
    for place, value in sorted({**header["values"], **tensors}.items()):
        try:
            _put(stream, place.split("."), value)
        except AttributeError as error:
            raise UserError(f"{path} was saved by another version of slotaudio or of a joining rule: {error}") from None


def fingerprint(model: nn.Module) -> str:
    """Return a hash of a model's weights and buffers, by which the same model is known again."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:16]


def _leaves(part: object, place: str) -> Iterator[tuple[str, Any]]:
    for name, value in vars(part).items():
        if name in ("model", "observer") or _constant(value):
            continue
        here = f"{place}{name}"
        if value is None or isinstance(value, (bool, int, float, str, Tensor, torch.Generator)):
            yield here, value
        elif isinstance(value, tuple) and all(isinstance(item, Tensor) for item in value):
            yield from ((f"{here}.{index:03}", item) for index, item in enumerate(value))
        elif hasattr(value, "__dict__"):
            yield from _leaves(value, f"{here}.")
        else:
            raise UserError(
                f"the state cannot be saved: {type(part).__name__}.{name} is a {type(value).__name__}; tensors, "
                "numbers and objects that hold them can be"
            )


def _constant(value: object) -> bool:
    """Whether a part never changes: settings, functions, filters, networks."""
    frozen = getattr(getattr(value, "__dataclass_params__", None), "frozen", False)
    return frozen or isinstance(value, (nn.Module, type, torch.device, np.ndarray)) or inspect.isroutine(value)


def _put(part: Any, place: list[str], value: Any) -> None:
    """Set an attribute somewhere below `part`; numbers in the place count through a tuple."""
    name, *rest = place
    if not rest:
        current = getattr(part, name)
        if isinstance(current, torch.Generator):
            current.set_state(value)
        else:
            setattr(part, name, value)
    elif rest[0].isdigit():
        items = getattr(part, name) if int(rest[0]) else ()
        setattr(part, name, (*items, value))
    else:
        _put(getattr(part, name), rest, value)
