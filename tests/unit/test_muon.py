"""Muon and AdamW as one optimiser."""

import io

import pytest
import torch
from torch import nn

from slotaudio.training.muon import Muon


def descend(layer: nn.Module, optimizer: torch.optim.Optimizer, steps: int) -> None:
    for step in range(steps):
        sequence = torch.randn(5, 2, 4, generator=torch.Generator().manual_seed(step))
        optimizer.zero_grad()
        layer(sequence)[0].square().mean().backward()
        optimizer.step()


def test_a_saved_state_goes_on_exactly() -> None:
    whole, resumed = nn.LSTM(4, 8), nn.LSTM(4, 8)
    optimizer = Muon(whole.parameters(), 1e-2)
    descend(whole, optimizer, 3)
    file = io.BytesIO()
    torch.save([whole.state_dict(), optimizer.state_dict()], file)
    file.seek(0)
    weights, state = torch.load(file, weights_only=True)
    resumed.load_state_dict(weights)
    again = Muon(resumed.parameters(), 1e-2)
    again.load_state_dict(state)
    descend(whole, optimizer, 2)
    descend(resumed, again, 2)
    for name, weight in whole.state_dict().items():
        assert torch.equal(weight, resumed.state_dict()[name]), name


def test_a_schedule_reaches_matrices_and_vectors() -> None:
    layer = nn.LSTM(4, 8)
    before = {name: weight.detach().clone() for name, weight in layer.named_parameters()}
    optimizer = Muon(layer.parameters(), 1e-2)
    torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.0)
    descend(layer, optimizer, 1)
    assert all(torch.equal(weight, before[name]) for name, weight in layer.named_parameters())


def test_steps_of_matrices_are_orthogonal_and_of_the_size_of_adams() -> None:
    layer = nn.Linear(6, 6, bias=False)
    before = layer.weight.detach().clone()
    optimizer = Muon(layer.parameters(), 1e-2)
    layer(torch.randn(8, 6, generator=torch.Generator().manual_seed(0))).square().sum().backward()
    optimizer.step()
    step = (layer.weight.detach() - before) / 1e-2
    sizes = torch.linalg.svdvals(step)
    assert sizes.max() / sizes.min() < 2.0  # five Newton-Schulz iterations leave them between 0.7 and 1.2 of each other
    assert step.square().mean().sqrt() == pytest.approx(0.2, rel=0.3)
