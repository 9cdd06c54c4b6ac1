"""Device moves: everything follows ``.to(device)``, checked with or without an accelerator."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import torch

from slotaudio.testing.axes import tensors
from slotaudio.testing.component import ComponentConformance
from slotaudio.testing.equivariance import difference
from slotaudio.testing.simulation import MixedDevices, simulated_gpu


class DeviceChecks(ComponentConformance, ABC):
    """Checks that nothing is left, or made, on the CPU.

    Attributes:
        simulated: run on a simulated GPU, which computes on the CPU and refuses tensors that are not on the same
            device. A component that makes a `torch.Generator` there, or has kernels of its own, sets this to False: a
            real GPU, where there is one, is then the only test.
        draws: uses random numbers, of which a GPU has others.
    """

    simulated: ClassVar[bool] = True
    draws: ClassVar[bool] = False

    @abstractmethod
    def used_on(self, device: str) -> Any:
        """Move the component and what it is given to a device, and return what it makes of that."""

    def test_it_moves_between_devices(self) -> None:
        """On another device all its tensors meet on that device."""
        with torch.no_grad():
            if self.simulated:
                with simulated_gpu():
                    try:
                        found = self.used_on("cuda")
                    except MixedDevices as error:
                        self.broken(
                            f"mixes devices after .to('cuda'): {error}. Make tensors with device=... of the input"
                        )
                    except Exception as error:
                        self.broken(f"fails on a simulated GPU ({type(error).__name__}: {error}); see `simulated`")
                    self._require_there(found)
            if torch.cuda.is_available():
                expected, found = self.used_on("cpu"), self.used_on("cuda")
                self._require_there(found)
                there = {name: tensor.cpu() for name, tensor, _ in tensors(found)}
                for name, tensor, _ in tensors(expected) if not self.draws else ():
                    self.require(difference(there[name], tensor) <= 1e-2, f"gives another {name} on the GPU")

    def _require_there(self, output: Any) -> None:
        for name, tensor, _ in tensors(output):
            how = f"returns {name} on the {tensor.device} after .to('cuda'): move it to the device of the input"
            self.require(tensor.device.type == "cuda", how)
