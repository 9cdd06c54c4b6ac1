"""Tensors by the names of their axes, as the annotations of `slotaudio.types` give them.

A contract says ``Float[Tensor, "batch slots dim"]``; so "permute the slots of whatever has slots" can be
said once, for tensors, for `Slots`, and for tuples of them.
"""

import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any, get_args, get_type_hints

import torch
from torch import Tensor

Change = Callable[[Tensor, tuple[str, ...]], Tensor]


def axis_names(annotation: Any) -> tuple[str, ...]:
    """Return the axes that a jaxtyping annotation names, also through ``| None``; nothing for others."""
    for candidate in (annotation, *get_args(annotation)):
        dimensions = getattr(candidate, "dim_str", None)
        if isinstance(dimensions, str):
            return tuple(dimensions.split())
    return ()


@functools.cache
def hints(annotated: Any) -> dict[str, Any]:
    """Return the annotations of a dataclass or function, in order."""
    return get_type_hints(annotated)


def parameters_of(function: Callable[..., Any]) -> list[Any]:
    """Return the annotations of a function's parameters, in order, `self` left out."""
    return [annotation for name, annotation in hints(function).items() if name != "return"]


def mapped(value: Any, change: Change, annotation: Any = None) -> Any:
    """Return `value` with every tensor in it changed; `change` is told the names of its axes."""
    if isinstance(value, Tensor):
        return change(value, axis_names(annotation))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        return type(value)(**{name: mapped(item, change, hints(type(value))[name]) for name, item in fields.items()})
    if isinstance(value, (tuple, list)):
        return type(value)(mapped(item, change) for item in value)
    if isinstance(value, Mapping):
        return {key: mapped(item, change) for key, item in value.items()}
    return value


def mapped_inputs(inputs: tuple[Any, ...], change: Change, annotations: list[Any]) -> tuple[Any, ...]:
    """Return the arguments of a call with every tensor in them changed."""
    padded = [*annotations, *[None] * (len(inputs) - len(annotations))]
    return tuple(mapped(value, change, annotation) for value, annotation in zip(inputs, padded, strict=False))


def tensors(value: Any, name: str = "", annotation: Any = None) -> Iterator[tuple[str, Tensor, tuple[str, ...]]]:
    """Yield every tensor in `value` with where it was found and the names of its axes."""
    if isinstance(value, Tensor):
        yield name or "result", value, axis_names(annotation)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for field in dataclasses.fields(value):
            inner = f"{name}.{field.name}" if name else field.name
            yield from tensors(getattr(value, field.name), inner, hints(type(value))[field.name])
    elif isinstance(value, (tuple, list)):
        for index, item in enumerate(value):
            yield from tensors(item, f"{name}[{index}]")
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from tensors(item, f"{name}[{key!r}]")


def has_batch(names: tuple[str, ...]) -> bool:
    """Whether the first axis is the batch; tensors without names (skips) are taken to have one."""
    return not names or names[0] == "batch"


def item(index: int) -> Change:
    """Keep one batch item, as a batch of one."""
    return lambda tensor, names: tensor[index : index + 1] if has_batch(names) else tensor


def cast(dtype: torch.dtype) -> Change:
    """Turn real tensors into `dtype` and complex ones into its complex counterpart."""
    wide = {torch.float64: torch.complex128, torch.float32: torch.complex64}[dtype]

    def change(tensor: Tensor, names: tuple[str, ...]) -> Tensor:
        if tensor.is_complex():
            return tensor.to(wide)
        return tensor.to(dtype) if tensor.is_floating_point() else tensor

    return change
