"""Everything that a stage with weights promises, whatever its family."""

from typing import Any

from torch import nn

from slotaudio.testing.compiling import CompilingChecks
from slotaudio.testing.devices import DeviceChecks
from slotaudio.testing.hearing import HearingChecks
from slotaudio.testing.leftovers import LeftoverChecks
from slotaudio.testing.numerics import NumericChecks
from slotaudio.testing.saving import SavingChecks
from slotaudio.testing.sharing import SharingChecks
from slotaudio.testing.training import TrainingChecks


class ModuleConformance(
    NumericChecks,
    TrainingChecks,
    HearingChecks,
    SavingChecks,
    LeftoverChecks,
    DeviceChecks,
    CompilingChecks,
    SharingChecks,
):
    """Checks for frontends, encoders, bottlenecks and decoders."""

    def used_on(self, device: str) -> Any:
        """Move the stage, after a call, and run it on inputs that lie there."""
        module, inputs = self.module(), self.inputs(0, **self.largest())
        if isinstance(module, nn.Module):
            self.call(module, *inputs)  # what it keeps from a call has to move, too
            module.to(device)
        return self.on_device(module, *self.change(inputs, lambda tensor, _: tensor.to(device)))

    def on_device(self, module: Any, *inputs: Any) -> Any:
        """Run everything that has to work on the device of the inputs."""
        return self.call(module, *inputs)
