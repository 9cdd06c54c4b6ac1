"""Gradients: finite, and reaching every parameter and every input that training depends on."""

from abc import abstractmethod
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from slotaudio.testing.axes import tensors
from slotaudio.testing.drawing import generator
from slotaudio.testing.process import seeded
from slotaudio.testing.stages import StageConformance, parameters, projected
from slotaudio.wildcards import fits

_STEPS = (1e-6, 1e-8)
"""Of finite differences in float64."""


class GradientChecks(StageConformance):
    """Checks of what flows backwards.

    Attributes:
        unused: parameters (wildcards) that no gradient has to reach.
        exact_gradients: back-propagation gives the slope of what is computed; False where it approximates one on
            purpose (straight-through, implicit).
    """

    unused: ClassVar[tuple[str, ...]] = ()
    exact_gradients: ClassVar[bool] = True

    @abstractmethod
    def differentiated(self, inputs: tuple[Any, ...]) -> dict[str, Tensor]:
        """Return, by name, the inputs that gradients must reach."""

    def learned_inputs(self, module: Any, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return the inputs with those replaced that the module itself makes from parameters."""
        return inputs

    def may_cut(self, module: Any) -> bool:
        """Whether no gradient has to reach its inputs: it is, or begins with, a frozen backbone.

        That says so by parameters with ``requires_grad = False``. Behind an encoder all has to let gradients through.
        """
        frozen = isinstance(module, nn.Module) and any(not each.requires_grad for each in module.parameters())
        return frozen and self.family in ("frontend", "encoder")

    def test_gradients_are_finite_and_reach_every_parameter(self) -> None:
        """In training every parameter gets a gradient, and none is NaN or infinite."""

        def check(seed: int, **sizes: int) -> None:
            module, inputs = self.module(), self.inputs(seed, **sizes)
            sought = {name: each for name, each in parameters(module).items() if not self._unused(name)}
            if not sought:
                return
            with seeded(seed):
                projected(self.call(module.train(), *self.learned_inputs(module, inputs))).backward()
            for name, parameter in sought.items():
                self.require(parameter.grad is not None, f"has a parameter {name} that no gradient reaches")
                self._require_gradient(parameter.grad, f"parameter {name}")

        self.for_all(check, **self.largest())

    def test_gradients_reach_the_inputs(self) -> None:
        """What comes before it can be trained: gradients pass through, for every batch item, unless it is frozen."""

        def check(seed: int, **sizes: int) -> None:
            module, inputs = self.module(), self.inputs(seed, **sizes)
            if self.may_cut(module):
                return
            sought = self.differentiated(inputs)
            for tensor in sought.values():
                tensor.requires_grad_()
            output = projected(self.call(module, *inputs))
            cut = (
                "cuts the gradient to its input {}, without which nothing before it learns; an encoder whose backbone "
            )
            cut += "is not to be trained says so by parameters with requires_grad=False"
            self.require(output.requires_grad, cut.format(", ".join(sought)))
            found = torch.autograd.grad(output, list(sought.values()), allow_unused=True)
            for name, gradient in zip(sought, found, strict=True):
                self.require(gradient is not None, cut.format(name))
                for index, part in enumerate(gradient):
                    self._require_gradient(part, f"item {index} of its input {name}")

        self.for_all(check, **self.largest())

    def test_gradients_of_silence_are_finite(self) -> None:
        """Silence, silence before a sound, and what has faded to nearly nothing train without NaN."""

        def check(seed: int, **sizes: int) -> None:
            for when, inputs in self.levels(self.inputs(seed, **sizes)).items():
                module = self.module()
                sought = self.differentiated(inputs)
                for tensor in sought.values():
                    tensor.detach_().requires_grad_()
                total = projected(self.call(module, *self.learned_inputs(module, inputs)))
                if total.requires_grad:
                    total.backward()
                for name, tensor in {**sought, **parameters(module)}.items():
                    finite = tensor.grad is None or bool(tensor.grad.isfinite().all())
                    self.require(finite, f"gives {name} a gradient that is not finite {when}")

        self.for_all(check)

    def test_gradients_are_those_of_the_function(self) -> None:
        """Back-propagation gives the slope that small steps have: nothing on the way is detached or wrong."""
        if not self.exact_gradients:
            return

        def check(seed: int, **sizes: int) -> None:
            module, inputs = self.module(torch.float64), self.double(self.inputs(seed, **sizes))
            sought = self.differentiated(inputs)
            parts = {f"its input {name}": [tensor] for name, tensor in sought.items() if not self.may_cut(module)}
            parts["its parameters"] = [each for name, each in parameters(module).items() if not self._unused(name)]
            for part, leaves in parts.items():
                if leaves:
                    pairs = [self._slopes(module, inputs, leaves, seed, step) for step in _STEPS]
                    # a kink between two steps is no defect, and lies between the closer ones hardly ever
                    close = any(abs(one - two) <= 1e-3 * max(abs(one), abs(two), 1e-3) for one, two in pairs)
                    how = (
                        "gives {} a slope of {:.5g} where small steps have one of {:.5g}: a part of the way is detached"
                    )
                    self.require(close, how.format(part, *pairs[-1]) + ", or has a wrong backward()")

        self.for_all(check, **self.largest())

    def _slopes(
        self, module: Any, inputs: tuple[Any, ...], leaves: list[Tensor], seed: int, step: float
    ) -> tuple[float, float]:
        """Return the slope in a random direction, by back-propagation and by a small step to either side."""
        draw = generator(seed + 2)
        ways = [torch.randn(leaf.shape, generator=draw, dtype=leaf.dtype) for leaf in leaves]
        for leaf in leaves:
            leaf.requires_grad_()
        output = self.call(module, *self.learned_inputs(module, inputs))
        reached = {name for name, tensor, _ in tensors(output) if tensor.requires_grad}
        grads = torch.autograd.grad(projected(output, reached), leaves, allow_unused=True)
        found = sum(float((way * grad).sum()) for way, grad in zip(ways, grads, strict=True) if grad is not None)
        values = []
        with torch.no_grad():
            for side in (1, -2, 1):  # ahead, behind, and back
                for leaf, way in zip(leaves, ways, strict=True):
                    leaf += side * step * way
                values.append(float(projected(self.call(module, *self.learned_inputs(module, inputs)), reached)))
        return found, (values[0] - values[1]) / (2 * step)

    def _unused(self, name: str) -> bool:
        return fits(name, self.unused)

    def _require_gradient(self, gradient: Any, of: str) -> None:
        self.require(bool(gradient.isfinite().all()), f"gives {of} a gradient that is not finite")
        self.require(bool(gradient.abs().max() > 0), f"gives {of} a gradient of zero throughout")
