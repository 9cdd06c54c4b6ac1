"""Training mode: what only shows after `train()`."""

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from slotaudio.testing.axes import tensors
from slotaudio.testing.component import BrokenContract
from slotaudio.testing.equivariance import assert_equivariant
from slotaudio.testing.process import seeded
from slotaudio.testing.stages import StageConformance


class TrainingChecks(StageConformance):
    """Checks of what a stage computes in training mode.

    Only large sizes are tried: a normalisation over the batch refuses to be trained on a single value.
    """

    def test_training_follows_the_contract_as_well(self) -> None:
        """In training mode, too, shapes and types are those of the protocol, and nothing is NaN or infinite."""

        def check(seed: int, **sizes: int) -> None:
            given = self.inputs(seed, **sizes)
            for when, inputs in {"": given, **self.levels(given)}.items():
                module = self.module()
                with seeded(seed), torch.no_grad():
                    output = self.call(training(module), *inputs)
                try:
                    self.check_output(module, inputs, output)
                    self.require_finite(output, when)
                except BrokenContract as error:
                    raise BrokenContract(f"{str(error).strip()}, in training mode: compare with evaluation") from None

        self.for_all(check, **self.largest())

    def require_permutable(self, slots: int) -> None:
        """Break the contract unless reordering the slots reorders the result, in both precisions and both modes."""
        module, trained = self.module(), self.module(torch.float64)

        def check(seed: int, **sizes: int) -> None:
            inputs = self.inputs(seed, **sizes)
            for dtype in (torch.float64, torch.float32):
                assert_equivariant(module, inputs, "slots", dtype, contract=self.contract, permutations=1)
            first, other = (_in_training(trained, seed) for seed in (0, 1))
            with torch.no_grad():
                one, two = (list(tensors(each(*self.double(inputs)))) for each in (first, other))
            if all(torch.equal(here[1], there[1]) for here, there in zip(one, two, strict=True)):  # nothing is drawn
                try:
                    assert_equivariant(first, inputs, "slots", contract=self.contract, permutations=1)
                except AssertionError as error:
                    self.broken(f"in training mode, though not in evaluation, is {error}")

        self.for_all(check, slots=slots)


def training(module: Any) -> Any:
    """Put a module into training mode, if it is one."""
    return module.train() if isinstance(module, nn.Module) else module


def _in_training(module: Any, seed: int) -> Callable[..., Any]:
    """Return a function that computes what `module` does in training mode without dropout, the same in every call.

    What is counted or averaged from call to call starts where it was.
    """

    def computed(*inputs: Any) -> Any:
        fresh = training(copy.deepcopy(module))
        for part in fresh.modules() if isinstance(fresh, nn.Module) else ():
            if isinstance(part, nn.modules.dropout._DropoutNd):
                part.eval()
            elif isinstance(getattr(part, "dropout", None), float):  # of attention and of recurrent layers
                part.dropout = 0.0  # type: ignore[assignment]  # a number, as was seen
        with seeded(seed):
            return fresh(*inputs)

    return computed
