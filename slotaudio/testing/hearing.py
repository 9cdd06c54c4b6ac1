"""What a stage is given must matter to it, every part of it."""

from typing import Any

import torch
from torch import Tensor

from slotaudio.testing.axes import tensors
from slotaudio.testing.gradients import GradientChecks

_HEARD = ("maps", "channels", "steps", "slots", "frames", "time", "tokens")
"""Axes of which no part may be left out; frequencies and dimensions may be."""


class HearingChecks(GradientChecks):
    """Checks that no part of the input is passed over."""

    def perceived(self, output: Any) -> Any:
        """Return what of the output has to depend on all of the input."""
        return output

    def test_every_part_of_the_input_matters(self) -> None:
        """Other content of any map, channel, step or slot, or of any quarter of the time, gives another output."""
        self.require_heard(self.module(torch.float64), self.double(self.inputs(0, **self.largest())))

    def require_heard(self, module: Any, inputs: tuple[Any, ...]) -> None:
        """Break the contract unless each part of what gradients must reach changes the output."""
        names: dict[int, tuple[str, ...]] = {}

        def look(tensor: Tensor, axes: tuple[str, ...]) -> Tensor:
            names[id(tensor)] = axes
            return tensor

        self.change(inputs, look)
        with torch.no_grad():
            before = self.perceived(self.call(module, *inputs))
            for what, tensor in self.differentiated(inputs).items():
                for axis, name in enumerate(names[id(tensor)]):
                    parts = torch.arange(tensor.shape[axis]).tensor_split(4) if name in _HEARD else ()
                    for part in parts:
                        if 0 < len(part) < tensor.shape[axis]:
                            other = tensor.index_copy(axis, part, 1 - 2 * tensor.index_select(axis, part))
                            changed = self.change(inputs, lambda each, _: other if each is tensor else each)  # noqa: B023
                            after = self.perceived(self.call(module, *changed))
                            pairs = zip(tensors(after), tensors(before), strict=True)
                            same = all(torch.equal(there, here) for (_, there, _), (_, here, _) in pairs)
                            where = (
                                f"{name} {int(part[0])} to {int(part[-1])}" if len(part) > 1 else f"{name} {int(part)}"
                            )
                            how = f"does not hear {where} of {tensor.shape[axis]} of its input {what}: read all of it"
                            self.require(not same, how)
