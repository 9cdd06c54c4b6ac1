"""LSTM and layer norm as one GPU kernel each: PyTorch's numbers, gradients too, and when they are taken."""

import os
import subprocess
import sys

import pytest
import torch
from torch import nn

from slotaudio import half_precision
from slotaudio.half_precision import LayerNorm, bidirectional

COMPARISON = """
import sys, torch
from torch import nn
from slotaudio.kernels.layer_norm import normalise
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

for shape in ((70, 24), (3, 5, 32), (1, 6)):
    norm = nn.LayerNorm(shape[-1])
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    values = (3 + 2 * torch.randn(shape)).requires_grad_()
    there = torch.randn(shape)
    wanted = norm(values)
    gradients = torch.autograd.grad((wanted * there).sum(), [values, *norm.parameters()])
    found = normalise(values, norm.weight, norm.bias, norm.eps, torch.float32)
    torch.testing.assert_close(found, wanted)
    again = torch.autograd.grad((found * there).sum(), [values, *norm.parameters()])
    torch.testing.assert_close(again, gradients, atol=1e-5, rtol=1e-4)
    with torch.no_grad():
        half = normalise(values, norm.weight, norm.bias, norm.eps, torch.float16)
    torch.testing.assert_close(half, wanted.half(), atol=2e-3, rtol=2e-3)
print("equal")
"""


def test_the_kernels_compute_what_pytorch_does():
    """In Triton's interpreter, which runs the kernels' programs on the CPU: a process decides for it at its start."""
    pytest.importorskip("triton")
    found = subprocess.run(
        [sys.executable, "-c", COMPARISON],
        env={**os.environ, "TRITON_INTERPRET": "1"},
        capture_output=True,
        text=True,
    )
    assert found.stdout == "equal\n", found.stderr


def test_the_cpu_has_pytorchs_own():
    lstm, norm = nn.LSTM(6, 4, bidirectional=True), LayerNorm(6)
    sequence = torch.randn(5, 3, 6)
    for precision in (torch.float32, torch.bfloat16):
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == torch.bfloat16):
            assert torch.equal(bidirectional(lstm, sequence), lstm(sequence)[0])
            assert torch.equal(norm(sequence), nn.functional.layer_norm(sequence, (6,)))


@pytest.mark.parametrize(
    ("capability", "memory", "hidden", "runs", "holds"),
    [
        ((9, 0), 232448, 96, True, True),  # H100
        ((8, 0), 166912, 128, True, True),  # A100
        ((8, 9), 101376, 96, True, False),  # too little shared memory for the weights
        ((8, 9), 101376, 64, True, True),
        ((9, 0), 232448, 256, True, False),
        ((7, 5), 65536, 32, False, True),
    ],
)
def test_which_gpus_take_the_kernels(monkeypatch, capability, memory, hidden, runs, holds):
    pytest.importorskip("triton")

    class Properties:
        shared_memory_per_block_optin = memory

    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: Properties)
    device = torch.device("cuda")
    assert half_precision._runs.__wrapped__(device) is runs
    assert half_precision._holds.__wrapped__(device, hidden) is holds


def test_pytorchs_layers_can_be_had_everywhere(monkeypatch):
    monkeypatch.setattr(half_precision, "_runs", lambda device: True)

    class OnGPU(torch.Tensor):
        is_cuda = True

    values = torch.zeros(1, dtype=torch.bfloat16).as_subclass(OnGPU)
    assert half_precision._kind(values) is torch.bfloat16
    with half_precision.pytorchs_own():
        assert half_precision._kind(values) is None
    assert half_precision._kind(values) is torch.bfloat16
