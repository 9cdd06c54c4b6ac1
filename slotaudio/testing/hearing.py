"""What a stage is given must matter to it, every part of it."""

from typing import Any

import torch
from torch import Tensor

from slotaudio.testing.axes import tensors
from slotaudio.testing.gradients import GradientChecks

_HEARD = ("maps", "channels", "steps", "slots", "frames", "time", "tokens")
"""Axes of which no part may be left out; a stage may read some frequencies only."""


class HearingChecks(GradientChecks):
    """Checks that nothing is passed over."""

    def test_every_part_of_the_input_matters(self) -> None:
        """Other content of any one map, channel, step or slot, or of a quarter of the time, gives another output."""
        self.require_heard(self.module(torch.float64), self.double(self.inputs(0, **self.largest())))

    def require_heard(self, module: Any, inputs: tuple[Any, ...]) -> None:
        """Break the contract unless each part of what gradients must reach changes every output that depends on it."""
        with torch.no_grad():
            before = self.call(module, *inputs)
            for what, tensor in self.differentiated(inputs).items():
                names = next(axes for _, each, axes in self._named(inputs) if each is tensor)
                for axis, name in enumerate(names):
                    for part in torch.arange(tensor.shape[axis]).tensor_split(4) if name in _HEARD else ():
                        if len(part) and tensor.shape[axis] > 1:
                            other = tensor.index_fill(axis, part, 0.0) - 2 * tensor.index_select(axis, part)
