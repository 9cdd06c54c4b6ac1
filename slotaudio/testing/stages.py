"""What the checks of every stage with weights stand on: generic weights, drawn inputs, comparisons."""

import copy
import functools
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection
from typing import Any, ClassVar

import torch
from hypothesis import strategies as st
from torch import Tensor, nn

from slotaudio.testing.axes import cast, has_batch, mapped_inputs, parameters_of, tensors
from slotaudio.testing.component import ComponentConformance
from slotaudio.testing.drawing import for_all, generator
from slotaudio.testing.equivariance import difference
from slotaudio.testing.process import seeded


class StageConformance(ComponentConformance, ABC):
    """Frontends, encoders, bottlenecks and decoders; a family says how its inputs look.

    Attributes:
        contract: the protocol's method whose annotations name the axes of the inputs.
    """

    contract: ClassVar[Callable[..., Any]]

    @abstractmethod
    def sizes(self) -> dict[str, tuple[int, int]]:
        """Return the least and the largest of every size, ``batch`` among them."""

    @abstractmethod
    def inputs(self, seed: int, **sizes: int) -> tuple[Any, ...]:
        """Return random inputs of these sizes, in float32."""

    @abstractmethod
    def check_output(self, module: Any, inputs: tuple[Any, ...], output: Any) -> None:
        """Break the contract unless shapes and types of `output` are as promised."""

    def call(self, module: Any, *inputs: Any) -> Any:
        """Run the stage."""
        return module(*inputs)

    def silence(self, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return the inputs that digital silence gives."""
        return self.change(inputs, lambda tensor, names: 0 * tensor if has_batch(names) else tensor)

    def levels(self, inputs: tuple[Any, ...]) -> dict[str, tuple[Any, ...]]:
        """Return what recordings hold beside sound: silence, silence before a sound, and what has faded to nearly it.

        A square of what has faded is zero in float32, although it is not.
        """
        silent = self.silence(inputs)

        def beginning(tensor: Tensor, quiet: Tensor, names: tuple[str, ...]) -> Tensor:
            axis = next((names.index(name) for name in ("time", "frames", "tokens") if name in names), None)
            if axis is None or tensor.shape[axis] < 2:
                return tensor
            half = tensor.shape[axis] // 2
            rest = tensor.narrow(axis, half, tensor.shape[axis] - half)
            return torch.cat([quiet.narrow(axis, 0, half), rest], dim=axis)

        return {
            "for digital silence": silent,
            "for a sound after digital silence": self._paired(inputs, silent, beginning),
            "for a sound that has faded to 1e-25": self._paired(
                inputs, silent, lambda tensor, quiet, _: quiet + 1e-25 * (tensor - quiet)
            ),
        }

    def _paired(self, inputs: tuple[Any, ...], others: tuple[Any, ...], change: Any) -> tuple[Any, ...]:
        """Change every tensor of `inputs` by the one in its place among `others`."""
        partners = iter([tensor for _, tensor, _ in tensors(others)])

        def paired(tensor: Tensor, names: tuple[str, ...]) -> Tensor:
            partner = next(partners)
            return change(tensor, partner, names) if tensor.is_floating_point() or tensor.is_complex() else tensor

        return self.change(inputs, paired)

    def exercise(self) -> None:
        """Build it and run it, in evaluation and in training."""
        module, inputs = self.build(), self.inputs(0, **self.largest())
        for training in (False, True):
            if isinstance(module, nn.Module):
                module.train(training)
            self.call(module, *inputs)

    def test_shapes_and_types_follow_the_contract(self) -> None:
        """Shapes, types and attributes are those of the protocol, for all sizes."""
        module = self.module()
        if isinstance(module, nn.Module):
            how = "has a train() that does not return the module, which `model = model.eval()` relies on"
            self.require(module.train(False) is module, how)

        def check(seed: int, **sizes: int) -> None:
            inputs = self.inputs(seed, **sizes)
            with torch.no_grad():
                self.check_output(module, inputs, self.call(module, *inputs))

        self.for_all(check)

    def test_smallest_sizes_work(self) -> None:
        """One item, one frame, one token, one slot: the least that can be asked gives a finite answer."""
        smallest = {name: least for name, (least, _) in self.sizes().items()}
        module, inputs = self.module(), self.inputs(0, **smallest)
        with torch.no_grad():
            output = self.call(module, *inputs)
        self.check_output(module, inputs, output)
        self.require_finite(output, f"with the smallest sizes {smallest}")

    def module(self, dtype: torch.dtype = torch.float32) -> Any:
        """Return a fresh copy in evaluation mode, its parameters moved off their initial values.

        Zeros and ones that training starts from would hide what later breaks.
        """
        module = copy.deepcopy(_generic(type(self)))
        return module.to(dtype) if isinstance(module, nn.Module) else module

    def change(self, inputs: tuple[Any, ...], change: Any) -> tuple[Any, ...]:
        """Return the inputs with every tensor changed; see `slotaudio.testing.axes.mapped`."""
        return mapped_inputs(inputs, change, parameters_of(self.contract))

    def double(self, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return the inputs in float64."""
        return self.change(inputs, cast(torch.float64))

    def largest(self) -> dict[str, int]:
        """Return the largest sizes: with a single token or slot, say, some gradients vanish rightly."""
        return {name: most for name, (_, most) in self.sizes().items()}

    def for_all(self, check: Callable[..., None], **fixed: int) -> None:
        """Run `check` for drawn seeds and sizes, except sizes that are fixed."""
        drawn = {name: st.integers(*limits) for name, limits in self.sizes().items()}
        for_all(check, self.examples, **{**drawn, **{name: st.just(size) for name, size in fixed.items()}})

    def require_finite(self, output: Any, when: str) -> None:
        """Break the contract if a tensor in `output` holds NaN or infinity."""
        for name, tensor, _ in tensors(output):
            self.require(bool(tensor.isfinite().all()), f"returns {name} that is not finite {when}")

    def require_close(self, found: Any, expected: Any, allowed: float, how: str) -> None:
        """Break the contract unless both hold the same tensors."""
        wanted = {name: tensor for name, tensor, _ in tensors(expected)}
        got = {name: tensor for name, tensor, _ in tensors(found)}
        self.require(got.keys() == wanted.keys(), f"{how}: returns {sorted(got)} instead of {sorted(wanted)}")
        for name, tensor in got.items():
            gap = difference(tensor, wanted[name])
            self.require(gap <= allowed, f"{how}: {name} differs by {gap:.1e} (allowed: {allowed:.0e})")


@functools.cache
def _generic(suite: type[StageConformance]) -> Any:
    with seeded(0):
        module = suite().build()
    if isinstance(module, nn.Module):
        move_off_the_start(module, 1)
        module.eval()
    return module


def move_off_the_start(module: nn.Module, seed: int) -> None:
    """Add a little noise to every parameter."""
    draw = generator(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter += 0.1 * torch.randn(parameter.shape, generator=draw)


def parameters(module: Any) -> dict[str, nn.Parameter]:
    """Return the parameters that are to be trained."""
    named = module.named_parameters() if isinstance(module, nn.Module) else ()
    return {name: parameter for name, parameter in named if parameter.requires_grad}


def projected(output: Any, only: Collection[str] | None = None) -> Tensor:
    """Sum everything with random weights: a plain sum is constant after many normalisations.

    Without `only`, the names of outputs, what no gradient can reach is left out. The sum is float64 where those are.
    """
    draw, total = generator(0), torch.zeros(())
    for name, tensor, _ in tensors(output):
        real = torch.view_as_real(tensor) if tensor.is_complex() else tensor
        weights = torch.randn(real.shape, generator=draw)
        if tensor.requires_grad if only is None else name in only:
            total = total + ((real if real.dtype == torch.float64 else real.float()) * weights).sum()
    return total
