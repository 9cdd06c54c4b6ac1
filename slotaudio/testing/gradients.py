"""Gradients: finite, and reaching every parameter and every input that training depends on."""

import fnmatch
from abc import abstractmethod
from typing import Any, ClassVar

import torch
from torch import Tensor

from slotaudio.testing.component import seeded
from slotaudio.testing.stages import StageConformance, parameters, projected


class GradientChecks(StageConformance):
    """Checks of what flows backwards.

    Attributes:
        unused: parameters (wildcards) that no gradient has to reach.
    """

    unused: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def differentiated(self, inputs: tuple[Any, ...]) -> dict[str, Tensor]:
        """Return, by name, the inputs that gradients must reach."""

    def learned_inputs(self, module: Any, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return the inputs with those replaced that the module itself makes from parameters."""
        return inputs

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
        """What comes before it can be trained: gradients pass through, for every batch item."""

        def check(seed: int, **sizes: int) -> None:
            module, inputs = self.module(), self.inputs(seed, **sizes)
            sought = self.differentiated(inputs)
            for tensor in sought.values():
                tensor.requires_grad_()
            output = projected(self.call(module, *inputs))
            self.require(output.requires_grad, f"cuts the gradient to its input {', '.join(sought)}")
            found = torch.autograd.grad(output, list(sought.values()), allow_unused=True)
            for name, gradient in zip(sought, found, strict=True):
                self.require(gradient is not None, f"cuts the gradient to its input {name}")
                for index, part in enumerate(gradient):
                    self._require_gradient(part, f"item {index} of its input {name}")

        self.for_all(check, **self.largest())

    def test_gradients_of_silence_are_finite(self) -> None:
        """Digital silence trains without NaN."""

        def check(seed: int, **sizes: int) -> None:
            module, inputs = self.module(), self.silence(self.inputs(seed, **sizes))
            sought = self.differentiated(inputs)
            for tensor in sought.values():
                tensor.requires_grad_()
            projected(self.call(module, *self.learned_inputs(module, inputs))).backward()
            for name, tensor in {**sought, **parameters(module)}.items():
                finite = tensor.grad is None or bool(tensor.grad.isfinite().all())
                self.require(finite, f"gives {name} a gradient that is not finite for digital silence")

        self.for_all(check)

    def _unused(self, name: str) -> bool:
        return any(fnmatch.fnmatch(name, pattern) for pattern in self.unused)

    def _require_gradient(self, gradient: Any, of: str) -> None:
        self.require(bool(gradient.isfinite().all()), f"gives {of} a gradient that is not finite")
        self.require(bool(gradient.abs().max() > 0), f"gives {of} a gradient of zero throughout")
