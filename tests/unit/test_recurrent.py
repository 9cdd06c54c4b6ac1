"""The LSTM whose time steps are one GPU kernel: the same numbers as PyTorch's, gradients too, and when it is taken."""

import os
import subprocess
import sys

import pytest
import torch
from torch import nn

from slotaudio import recurrent
from slotaudio.recurrent import bidirectional

COMPARISON = """
import sys, torch
from torch import nn
from slotaudio.kernels.lstm import recur

torch.manual_seed(0)
for length, rows, dim, hidden in ((5, 7, 6, 6), (1, 3, 8, 8), (2, 17, 12, 24), (4, 1, 8, 16)):
    lstm = nn.LSTM(dim, hidden, bidirectional=True)
    sequence = torch.randn(length, rows, dim, requires_grad=True)
    there = torch.randn(length, rows, 2 * hidden)
    wanted = lstm(sequence)[0]
    gradients = torch.autograd.grad((wanted * there).sum(), [sequence, *lstm.parameters()])
    into, weight, bias, more = (
        torch.stack([getattr(lstm, name + "_l0"), getattr(lstm, name + "_l0_reverse")])
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    )
    gates = nn.functional.linear(sequence, into.flatten(0, 1), (bias + more).flatten())
    with torch.no_grad():  # which keeps nothing for gradients
        torch.testing.assert_close(recur(gates.clone(), weight), wanted)
    found = recur(gates, weight)
    torch.testing.assert_close(found, wanted)
    again = torch.autograd.grad((found * there).sum(), [sequence, *lstm.parameters()])
    for one, other in zip(again, gradients, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)
print("equal")
"""


def test_the_kernel_computes_what_pytorch_does():
    """In Triton's interpreter, which runs the kernel's program on the CPU: a process decides for it at its start."""
    pytest.importorskip("triton")
    found = subprocess.run(
        [sys.executable, "-c", COMPARISON],
        env={**os.environ, "TRITON_INTERPRET": "1"},
        capture_output=True,
        text=True,
    )
    assert found.stdout == "equal\n", found.stderr


def test_the_cpu_has_pytorchs_own():
    lstm = nn.LSTM(6, 4, bidirectional=True)
    sequence = torch.randn(5, 3, 6)
    assert torch.equal(bidirectional(lstm, sequence), lstm(sequence)[0])
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(bidirectional(lstm, sequence), lstm(sequence)[0])


@pytest.mark.parametrize(
    ("kind", "capability", "memory", "hidden", "fits"),
    [
        (torch.bfloat16, (9, 0), 232448, 96, True),  # H100
        (torch.float16, (8, 0), 166912, 128, True),  # A100
        (torch.bfloat16, (8, 9), 101376, 96, False),  # too little shared memory for the weights
        (torch.bfloat16, (8, 9), 101376, 64, True),
        (torch.bfloat16, (9, 0), 232448, 256, False),
        (torch.float32, (9, 0), 232448, 96, False),  # no tensor cores of that precision
        (torch.float16, (7, 5), 65536, 32, False),
    ],
)
def test_which_gpus_take_the_kernel(monkeypatch, kind, capability, memory, hidden, fits):
    pytest.importorskip("triton")

    class Properties:
        shared_memory_per_block_optin = memory

    recurrent._fits.cache_clear()
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: Properties)
    assert recurrent._fits(torch.device("cuda"), kind, hidden) is fits
    recurrent._fits.cache_clear()
