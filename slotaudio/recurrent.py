"""`bidirectional`: an LSTM over a sequence and back, in one kernel where a GPU can."""

import importlib.util
from functools import cache
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn


def bidirectional(lstm: nn.LSTM, sequence: Float[Tensor, "length rows dim"]) -> Float[Tensor, "length rows states"]:
    """Return what a bidirectional LSTM of one layer makes of sequences that start from zero.

    cuDNN launches a kernel for every time step, and small layers wait for the launches. Where the numbers are of half
    precision (autocast, or the model's own), all steps are one kernel here; everywhere else it is PyTorch's LSTM.

    Args:
        lstm: of one layer, with biases, sequences first.
        sequence: of any length; on any device.
    """
    kind = torch.get_autocast_dtype("cuda") if torch.is_autocast_enabled("cuda") else sequence.dtype
    if not (sequence.is_cuda and _fits(sequence.device, kind, lstm.hidden_size)) or torch.compiler.is_compiling():
        return lstm(sequence)[0]
    from slotaudio.kernels.lstm import recur

    forth, back = ([getattr(lstm, name + end) for name in _WEIGHTS] for end in ("_l0", "_l0_reverse"))
    into, weights, biases, more = (torch.stack(pair).to(kind) for pair in zip(forth, back, strict=True))
    gates = nn.functional.linear(sequence.to(kind), into.flatten(0, 1), (biases + more).flatten())
    return recur(gates, weights)


_WEIGHTS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


@cache
def _fits(device: torch.device, kind: torch.dtype, hidden: int) -> bool:
    """Tell whether the kernel can run there: a GPU of compute capability 8 (Ampere) or later holds all weights of a
    direction in one multiprocessor's shared memory.
    """
    if kind not in (torch.bfloat16, torch.float16) or torch.version.cuda is None:
        return False
    if importlib.util.find_spec("triton") is None or torch.cuda.get_device_capability(device) < (8, 0):
        return False
    from slotaudio.kernels.lstm import shared_memory

    properties: Any = torch.cuda.get_device_properties(device)  # torch's annotations lack what is asked for
    return shared_memory(hidden) <= int(properties.shared_memory_per_block_optin)
