"""Everything that a stage with weights promises, whatever its family."""

from slotaudio.testing.compiling import CompilingChecks
from slotaudio.testing.devices import DeviceChecks
from slotaudio.testing.gradients import GradientChecks
from slotaudio.testing.leftovers import LeftoverChecks
from slotaudio.testing.numerics import NumericChecks
from slotaudio.testing.saving import SavingChecks
from slotaudio.testing.sharing import SharingChecks
from slotaudio.testing.training import TrainingChecks


class ModuleConformance(
    NumericChecks,
    TrainingChecks,
    GradientChecks,
    SavingChecks,
    LeftoverChecks,
    DeviceChecks,
    CompilingChecks,
    SharingChecks,
):
    """Checks for frontends, encoders, bottlenecks and decoders."""
