"""Device moves: everything follows ``.to(device)``, checked with or without an accelerator."""

import copy
import warnings
from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeCopyMode, FakeTensorMode
from torch.overrides import TorchFunctionMode

from slotaudio.testing.axes import mapped, tensors
from slotaudio.testing.stages import StageConformance

RECURRENT = ("lstm", "gru", "rnn_tanh", "rnn_relu", "gru_cell", "lstm_cell", "rnn_tanh_cell", "rnn_relu_cell")


class DeviceChecks(StageConformance):
    """Checks that no constant stays behind.

    Attributes:
        simulated: run on a simulated GPU, where tensors have a device and a shape and no content. A component
            that looks at values (``.item()``, numpy) cannot be simulated: set this to False, and a real GPU, where
            there is one, is the only test.
    """

    simulated: ClassVar[bool] = True

    def test_it_moves_between_devices(self) -> None:
        """On another device all its tensors meet on that device."""
        if self.simulated:
            self._simulate()
        if torch.cuda.is_available():
            module, inputs = self.module(), self.inputs(0, **self.largest())
            with torch.no_grad():
                expected = self.call(module, *inputs)
                found = self.call(moved(module, "cuda"), *self.change(inputs, lambda tensor, _: tensor.cuda()))
            self._require_there(found)
            self.require_close(mapped(found, lambda tensor, _: tensor.cpu()), expected, 1e-2, "on the GPU")

    def on_device(self, module: Any, *inputs: Any) -> Any:
        """Run everything that has to work on the device of the inputs."""
        return self.call(module, *inputs)

    def _simulate(self) -> None:
        pretence = FakeTensorMode(allow_fallback_kernels=False)
        real = self.module(), self.inputs(0, **self.largest())
        with torch.no_grad():
            self.call(real[0], *real[1])  # what it keeps from a call has to move, too
        with FakeCopyMode(pretence):
            module, inputs = copy.deepcopy(real)
        with pretence, torch.no_grad(), _Recurrent(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # recurrent layers look where the weights of a simulation lie
            inputs = self.change(inputs, lambda tensor, _: tensor.to("cuda"))
            try:
                found = self.on_device(moved(module, "cuda"), *inputs)
            except Exception as error:
                if "device" in str(error) or "FakeTensor" in str(error):
                    self.broken(f"mixes devices after .to('cuda'): {str(error).partition(chr(10))[0]}")
                self.broken(f"cannot be simulated on a GPU ({type(error).__name__}: {error}); see `simulated`")
            self._require_there(found)

    def _require_there(self, output: Any) -> None:
        for name, tensor, _ in tensors(output):
            self.require(tensor.device.type == "cuda", f"returns {name} on the {tensor.device} after .to('cuda')")


def moved(module: Any, device: str) -> Any:
    """Move parameters and buffers, and nothing else; ``.to`` itself refuses simulated ones."""
    for part in module.modules() if isinstance(module, nn.Module) else ():
        for name, parameter in part.named_parameters(recurse=False):
            setattr(part, name, nn.Parameter(parameter.detach().to(device), parameter.requires_grad))
        for name, buffer in part.named_buffers(recurse=False):
            setattr(part, name, buffer.to(device))
    return module


class _Recurrent(TorchFunctionMode):
    """Simulate recurrent layers on the CPU: their GPU kernels ask for a driver even in a simulation."""

    def __torch_function__(self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if getattr(func, "__name__", "") not in RECURRENT:
            return func(*args, **(kwargs or {}))
        places = {tensor.device for _, tensor, _ in tensors(args)}
        if len(places) > 1:
            raise RuntimeError(f"tensors of {func.__name__} on more than one device: {places}")
        here = mapped(args, lambda tensor, _: tensor.to("cpu"))
        place = next(iter(places))
        return mapped(func(*here, **(kwargs or {})), lambda tensor, _: tensor.to(place))
