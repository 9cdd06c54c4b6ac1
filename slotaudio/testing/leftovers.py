"""What earlier calls leave behind: caches that go stale when weights, precision or device change."""

from typing import Any

import torch
from torch import nn

from slotaudio.testing.process import seeded
from slotaudio.testing.stages import StageConformance, move_off_the_start, projected


class LeftoverChecks(StageConformance):
    """Checks of modules that have been used before."""

    def test_earlier_calls_do_not_matter(self) -> None:
        """After a call, also in `torch.inference_mode`, other weights, other precision and training work as ever."""
        inputs = self.inputs(0, **self.largest())
        fresh, used = self.module(), self.used()
        if not isinstance(used, nn.Module):
            return
        for module in (fresh, used):
            move_off_the_start(module, 2)
        with torch.no_grad():
            found, expected = self.call(used, *inputs), self.call(fresh, *inputs)
        how = "keeps what it computed from its weights, and goes on using it when they have changed"
        self.require_close(found, expected, 0.0, how)
        for index in ("first", "second"):
            try:
                self._step(used, inputs)
            except RuntimeError as error:
                self.broken(f"cannot make a {index} step of training after other calls: {_first_line(error)}")
        used = self.used().double()
        try:
            with torch.no_grad():
                found = self.call(used, *self.double(inputs))
        except RuntimeError as error:
            self.broken(f"keeps tensors that .double() does not reach from an earlier call: {_first_line(error)}")
        with torch.no_grad():
            expected = self.call(self.module(torch.float64), *self.double(inputs))
        self.require_close(found, expected, 0.0, "computes something else in float64 after a call in float32")

    def used(self) -> Any:
        """Return a module that has been called without gradients, as for validation."""
        module = self.module()
        with torch.inference_mode():
            self.call(module, *self.inputs(0, **self.largest()))
        return module

    def _step(self, module: nn.Module, inputs: tuple[Any, ...]) -> None:
        with seeded(0):
            total = projected(self.call(module.train(), *inputs))
        if total.requires_grad:
            total.backward()


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
