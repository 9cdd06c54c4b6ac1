"""Layers that are one kernel each where a GPU computes in half precision, and PyTorch's own everywhere else."""

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn


class LayerNorm(nn.LayerNorm):
    """PyTorch's layer norm of the last axis, with its weights and options.

    Autocast has it in float32, and PyTorch's kernel gives each of many short rows a block of threads.
    """

    def forward(self, values: Float[Tensor, "*rows dim"]) -> Float[Tensor, "*rows dim"]:
        """Return the rows normalised."""
        kind = _kind(values)
        if kind is None or not (self.elementwise_affine and self.bias is not None and self.weight.ndim == 1):
            return super().forward(values)
        from slotaudio.kernels.layer_norm import normalise

        return normalise(values, self.weight, self.bias, self.eps, kind)


def bidirectional(lstm: nn.LSTM, sequence: Float[Tensor, "length rows dim"]) -> Float[Tensor, "length rows states"]:
    """Return what a bidirectional LSTM of one layer makes of sequences that start from zero.

    cuDNN goes through the time steps in many small kernels, and small layers wait for them: here all steps are one.

    Args:
        lstm: of one layer, with biases, sequences first.
        sequence: of any length; on any device.
    """
    kind = _kind(sequence)
    if kind is None or not _holds(sequence.device, lstm.hidden_size):
        return lstm(sequence)[0]
    from slotaudio.kernels.lstm import recur

    forth, back = ([getattr(lstm, name + end) for name in _WEIGHTS] for end in ("_l0", "_l0_reverse"))
    into, weights, biases, more = (torch.stack(pair).to(kind) for pair in zip(forth, back, strict=True))
    gates = nn.functional.linear(sequence.to(kind), into.flatten(0, 1), (biases + more).flatten())
    return recur(gates, weights)


_WEIGHTS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")

_ours = True


@contextmanager
def pytorchs_own() -> Iterator[None]:
    """Compute with PyTorch's layers meanwhile, on GPUs too: to compare with them, or to count their operations."""
    global _ours
    before, _ours = _ours, False
    try:
        yield
    finally:
        _ours = before


def _kind(values: Tensor) -> torch.dtype | None:
    """Return the half precision in which kernels of ours compute; None where PyTorch is to."""
    if not (_ours and values.is_cuda) or torch.compiler.is_compiling() or not _runs(values.device):
        return None
    kind = torch.get_autocast_dtype("cuda") if torch.is_autocast_enabled("cuda") else values.dtype
    return kind if kind in (torch.bfloat16, torch.float16) else None


@cache
def _runs(device: torch.device) -> bool:
    """Tell whether there is Triton, and a GPU of compute capability 8 (Ampere) or later."""
    if torch.version.cuda is None or not torch.cuda.is_available() or importlib.util.find_spec("triton") is None:
        return False
    return torch.cuda.get_device_capability(device) >= (8, 0)


@cache
def _holds(device: torch.device, hidden: int) -> bool:
    """Tell whether the weights of a direction fit into one multiprocessor's shared memory."""
    from slotaudio.kernels.lstm import shared_memory

    properties: Any = torch.cuda.get_device_properties(device)  # torch's annotations lack what is asked for
    return shared_memory(hidden) <= int(properties.shared_memory_per_block_optin)
