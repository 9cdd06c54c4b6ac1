"""`assert_equivariant`: permuting an axis of the inputs permutes the outputs, and does nothing else."""

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from slotaudio.testing.axes import Change, cast, hints, mapped, mapped_inputs, parameters_of, tensors

TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-5}
"""Allowed difference, relative to the largest value where that is above 1."""


def assert_equivariant(
    module: Callable[..., Any],
    inputs: tuple[Any, ...],
    axis: str | int,
    dtype: torch.dtype = torch.float64,
    *,
    contract: Callable[..., Any] | None = None,
    permutations: int = 3,
    tolerance: float | None = None,
) -> None:
    """Assert that `module` commutes with permutations of one axis.

    Args:
        module: called as ``module(*inputs)``, in evaluation mode; a copy of it is cast to `dtype`.
        inputs: tensors and dataclasses of `slotaudio.types`, in float32.
        axis: a name, such as ``"slots"``, that jaxtyping annotations give to axes of inputs and outputs; or
            the number of an axis, the same for every tensor of the inputs and outputs.
        dtype: float64 tells rounding from a broken symmetry best.
        contract: the function whose annotations name the axes; by default `module`'s own ``forward``.
        permutations: how many random orders are tried, beside a rotation and a swap, of which all orders consist.
        tolerance: see `TOLERANCE`.

    Raises:
        AssertionError: names the output, the order and the difference; or says that no input or no output has
            such an axis, because then nothing would be tested.

    Example:
        >>> from torch import nn, ones
        >>> assert_equivariant(nn.Linear(3, 2), (ones(4, 5, 3),), axis=1)
    """
    contract = contract or (module.forward if isinstance(module, nn.Module) else module)
    arguments, result = parameters_of(contract), hints(contract).get("return")
    if isinstance(module, nn.Module):
        module = copy.deepcopy(module).to(dtype).eval()
    inputs = mapped_inputs(inputs, cast(dtype), arguments)
    count = _length(inputs, arguments, axis)
    allowed = TOLERANCE[dtype] if tolerance is None else tolerance
    with torch.no_grad():
        here = module(*inputs)
        for order in _orders(count, permutations):
            there = module(*mapped_inputs(inputs, _reorder(order, axis), arguments))
            expected = mapped(here, _reorder(order, axis), result)
            _compare(there, expected, here, result, axis, order, allowed)


def difference(found: Tensor, expected: Tensor) -> float:
    """Return the largest difference, relative to the largest expected value where that is above 1.

    Values that are not finite count as infinitely different unless they are the same.
    """
    if found.shape != expected.shape:
        return float("inf")
    if found.numel() == 0 or torch.equal(found, expected):
        return 0.0
    gap = (found - expected).detach().abs().max() / expected.abs().max().clamp_min(1)
    return float(gap) if torch.isfinite(gap) else float("inf")


def _compare(there: Any, expected: Any, here: Any, result: Any, axis: str | int, order: Tensor, allowed: float) -> None:
    found = {name: tensor for name, tensor, _ in tensors(there, annotation=result)}
    permuted = 0
    for name, tensor, names in tensors(expected, annotation=result):
        permuted += _position(tensor, names, axis) is not None
        if name not in found:
            raise AssertionError(f"output {name} vanishes when {axis} are reordered")
        gap = difference(found[name], tensor)
        if gap > allowed:
            raise AssertionError(
                f"not equivariant along {axis!r}: with the inputs in order {order.tolist()}, output {name} differs "
                f"from the reordered output by {gap:.1e} (allowed: {allowed:.0e})"
            )
    if not permuted:
        raise AssertionError(f"no output has an axis {axis!r}, so nothing was tested: {type(here).__name__}")


def _orders(count: int, permutations: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(count)
    places = torch.arange(count)
    swap = torch.cat([places[:2].flip(0), places[2:]])
    return [places.roll(1), swap, *(torch.randperm(count, generator=generator) for _ in range(permutations))]


def _position(tensor: Tensor, names: tuple[str, ...], axis: str | int) -> int | None:
    if isinstance(axis, int):
        return axis if -tensor.ndim <= axis < tensor.ndim else None
    return names.index(axis) if axis in names else None


def _reorder(order: Tensor, axis: str | int) -> Change:
    def change(tensor: Tensor, names: tuple[str, ...]) -> Tensor:
        position = _position(tensor, names, axis)
        return tensor if position is None else tensor.index_select(position, order)

    return change


def _length(inputs: tuple[Any, ...], arguments: list[Any], axis: str | int) -> int:
    lengths = []

    def look(tensor: Tensor, names: tuple[str, ...]) -> Tensor:
        position = _position(tensor, names, axis)
        lengths.extend([] if position is None else [tensor.shape[position]])
        return tensor

    mapped_inputs(inputs, look, arguments)
    if len(set(lengths)) != 1 or lengths[0] < 2:
        raise AssertionError(f"the inputs have no one axis {axis!r} of two or more to permute: found lengths {lengths}")
    return lengths[0]
