"""Numbers: precision, silence, batches, determinism; nothing hidden, nothing changed."""

import copy
from typing import Any, ClassVar

import torch

from slotaudio.testing.axes import cast, has_batch, item, mapped, tensors
from slotaudio.testing.equivariance import TOLERANCE
from slotaudio.testing.process import global_randomness, seed_others, seeded
from slotaudio.testing.stages import StageConformance, parameters, projected


class NumericChecks(StageConformance):
    """Checks of what a stage computes, in evaluation mode.

    Attributes:
        bfloat16_tolerance: allowed error under bfloat16 autocast, relative to the root mean square.
    """

    bfloat16_tolerance: ClassVar[float] = 0.2

    def test_float64_in_float64_out(self) -> None:
        """After ``.double()`` everything is computed in float64, and agrees with float32."""
        single, double = self.module(), self.module(torch.float64)

        def check(seed: int, **sizes: int) -> None:
            inputs = self.inputs(seed, **sizes)
            with torch.no_grad():
                rough, exact = self.call(single, *inputs), self.call(double, *self.double(inputs))
            for expected, output in ((torch.float32, rough), (torch.float64, exact)):
                for name, tensor, names in tensors(output):
                    found = tensor.real.dtype if tensor.is_complex() else tensor.dtype
                    self.require(
                        found == expected or not has_batch(names) or not found.is_floating_point,
                        f"returns {name} in {found} when weights and inputs are {expected}",
                    )
            self.require_close(rough, mapped(exact, cast(torch.float32)), 1e-3, "float32 and float64 disagree")

        self.for_all(check)

    def test_float64_is_not_rounded(self) -> None:
        """Steps that float32 could not see change float64 outputs as much, for their size, as larger ones do."""
        module, inputs = self.module(torch.float64), self.double(self.inputs(0, **self.largest()))
        ways = self.double(self.inputs(1, **self.largest()))

        def moved(step: float) -> dict[str, torch.Tensor]:
            stepped = self._paired(inputs, ways, lambda tensor, way, names: tensor + step * way * has_batch(names))
            with torch.no_grad():
                there, here = self.call(module, *stepped), self.call(module, *inputs)
            expected = {name: tensor for name, tensor, _ in tensors(here)}
            return {name: (tensor - expected[name]) / step for name, tensor, _ in tensors(there)}

        large, small = moved(1e-5), moved(1e-10)
        for name, slope in large.items():
            gap = _spread(small[name] - slope)
            how = f"computes {name}, or a part of it, in float32: a step of 1e-10 in float64 inputs is rounded off"
            self.require(gap <= 0.05 * _spread(slope), how)

    def test_bfloat16_autocast_agrees_with_float32(self) -> None:
        """Mixed precision stays finite and near float32.

        Only large sizes are tried: on some CPUs torch's strided convolutions of bfloat16 give arbitrary numbers for
        a single column.
        """
        module = self.module()
        for seed in range(3):
            inputs = self.inputs(seed, **self.largest())
            with torch.no_grad():
                exact = self.call(module, *inputs)
                with torch.autocast("cpu", torch.bfloat16):
                    rough = self.call(module, *inputs)
            self.require_finite(rough, "under bfloat16 autocast")
            wanted = {name: tensor for name, tensor, _ in tensors(exact)}
            for name, tensor, _ in tensors(rough):
                error = _spread(tensor.to(wanted[name].dtype) - wanted[name]) / max(_spread(wanted[name]), 1e-3)
                self.require(
                    error <= self.bfloat16_tolerance,
                    f"under bfloat16 autocast {name} is off by {error:.0%} of its size "
                    f"(allowed: {self.bfloat16_tolerance:.0%})",
                )

    def test_bfloat16_autocast_trains(self) -> None:
        """Gradients of mixed precision are finite.

        Only large sizes are tried: torch leaves weight gradients of bfloat16 convolutions on the CPU unset where a
        kernel's columns see nothing but padding.
        """
        module = self.module()
        if parameters(module):
            with torch.autocast("cpu", torch.bfloat16):
                output = self.call(module.train(), *self.inputs(0, **self.largest()))
            projected(output).backward()
            gradients = {name: each.grad for name, each in parameters(module).items() if each.grad is not None}
            self.require_finite(gradients, "in training under bfloat16 autocast, as the gradient of")

    def test_silence_is_legal(self) -> None:
        """Silence, silence before a sound, and what has faded to nearly nothing give finite outputs."""
        module = self.module()

        def check(seed: int, **sizes: int) -> None:
            for when, inputs in self.levels(self.inputs(seed, **sizes)).items():
                with torch.no_grad():
                    self.require_finite(self.call(module, *inputs), when)

        self.for_all(check)

    def test_loud_inputs_are_finite(self) -> None:
        """What is far louder than full scale, as float files may be, gives finite outputs."""
        module = self.module()

        def check(seed: int, **sizes: int) -> None:
            loud = self.change(self.inputs(seed, **sizes), _louder(100.0, first=0))
            with torch.no_grad():
                self.require_finite(self.call(module, *loud), "for inputs a hundred times as large as usual")

        self.for_all(check)

    def test_batch_items_do_not_see_each_other(self) -> None:
        """An item gives the same alone and beside others, however loud those are."""
        module = self.module(torch.float64)

        def check(seed: int, **sizes: int) -> None:
            inputs = self.double(self.inputs(seed, **sizes))
            louder = self.change(inputs, _louder(100.0))
            with torch.no_grad():
                whole, beside = self.call(module, *inputs), self.call(module, *louder)
                for index in range(sizes["batch"]):
                    alone = self.call(module, *self.change(inputs, item(index)))
                    how = f"item {index} of a batch of {sizes['batch']} is not what it is alone"
                    self.require_close(_item(whole, index), alone, TOLERANCE[torch.float64], how)
            how = "the first item changes with the loudness of the others"
            self.require_close(_item(beside, 0), _item(whole, 0), TOLERANCE[torch.float64], how)

        self.for_all(check, batch=3)

    def test_inputs_are_left_unchanged(self) -> None:
        """No input is written to, in evaluation or in training."""

        def check(seed: int, **sizes: int) -> None:
            for training in (False, True):
                module, inputs = self.module(), self.inputs(seed, **sizes)
                if training and isinstance(module, torch.nn.Module):
                    module.train()
                before = copy.deepcopy(inputs)
                self.call(module, *inputs)
                self.require_close(inputs, before, 0.0, "writes to its inputs")

        self.for_all(check, batch=2)

    def test_same_inputs_same_outputs(self) -> None:
        """In evaluation nothing is drawn and nothing is remembered from call to call."""
        module = self.module()
        state = copy.deepcopy(module.state_dict()) if isinstance(module, torch.nn.Module) else {}
        modes = _modes(module)

        def check(seed: int, **sizes: int) -> None:
            inputs, others = self.inputs(seed, **sizes), self.inputs(seed + 1, **sizes)
            with torch.no_grad():
                with seeded(1):
                    before = global_randomness()
                    first = self.call(module, *inputs)
                    self.require(global_randomness() == before, "draws from a global generator in evaluation mode")
                self.call(module, *others)
                with seeded(2):
                    again = self.call(module, *inputs)
            self.require_close(again, first, 0.0, "the same inputs give another output the second time")
            recorded = self.call(module, *inputs)
            # torch has faster kernels for some layers where no gradients are recorded
            self.require_close(recorded, first, 1e-4, "gives another output where gradients are recorded")
            for name, mode in _modes(module).items():
                how = f"changes {name} from {modes[name]} to {mode} when it is called in evaluation mode"
                self.require(mode == modes[name], how)
            if state:
                self.require_close(module.state_dict(), state, 0.0, "changes its own state in evaluation mode")

        self.for_all(check)

    def test_training_draws_from_torch_alone(self) -> None:
        """What is drawn in training follows from torch's seed, which a training that goes on restores."""

        def check(seed: int, **sizes: int) -> None:
            inputs, outputs = self.inputs(seed, **sizes), []
            for other in (1, 2):
                module = self.module()
                with seeded(0), torch.no_grad():
                    seed_others(other)
                    if isinstance(module, torch.nn.Module):
                        module.train()
                    outputs.append(self.call(module, *inputs))
            how = "gives another output in training with the same seed of torch: it draws from another generator"
            self.require_close(outputs[1], outputs[0], 0.0, how)

        self.for_all(check, **self.largest())

    def test_memory_layout_does_not_matter(self) -> None:
        """Inputs that are views of something larger give the same as contiguous ones."""
        module = self.module()

        def check(seed: int, **sizes: int) -> None:
            inputs = self.inputs(seed, **sizes)
            views = self.change(inputs, lambda tensor, _: torch.cat([tensor, tensor], dim=-1)[..., : tensor.shape[-1]])
            with torch.no_grad():
                expected, found = self.call(module, *inputs), self.call(module, *views)
            self.require_close(found, expected, TOLERANCE[torch.float32], "inputs that are not contiguous matter")

        self.for_all(check)


def _modes(module: Any) -> dict[str, bool]:
    """Return what decides how a module runs and what of it is trained."""
    if not isinstance(module, torch.nn.Module):
        return {}
    training = {f"{name}.training".lstrip("."): part.training for name, part in module.named_modules()}
    frozen = {f"{name}.requires_grad": parameter.requires_grad for name, parameter in module.named_parameters()}
    return {**training, **frozen}


def _spread(tensor: torch.Tensor) -> float:
    return float(tensor.detach().abs().float().square().mean().sqrt()) if tensor.numel() else 0.0


def _item(value: Any, index: int) -> Any:
    return mapped(value, item(index))


def _louder(factor: float, first: int = 1) -> Any:
    """Scale every item from `first` on."""

    def change(tensor: torch.Tensor, names: tuple[str, ...]) -> torch.Tensor:
        if not has_batch(names) or not (tensor.is_floating_point() or tensor.is_complex()):
            return tensor
        return torch.cat([tensor[:first], factor * tensor[first:]])

    return change
