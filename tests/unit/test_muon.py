"""Muon and AdamW as one optimiser."""

import copy
import io

import pytest
import torch
from torch import nn

from slotaudio.training.muon import Muon, StackedMuon


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


def test_stacks_of_matrices_step_as_pytorchs_muon_does() -> None:
    weights = [nn.Parameter(torch.randn(shape)) for shape in ((8, 4), (8, 4), (4, 8), (5, 5))]
    idle = nn.Parameter(torch.ones(8, 4))
    alike = copy.deepcopy(weights)
    options = {"lr": 1e-2, "weight_decay": 0.1, "adjust_lr_fn": "match_rms_adamw"}
    one_by_one = torch.optim.Muon(weights, **options)
    stacked = StackedMuon([*alike, idle], **options)
    for _ in range(3):
        for weight, other in zip(weights, alike, strict=True):
            weight.grad = torch.randn_like(weight)
            other.grad = weight.grad.clone()
        one_by_one.step()
        stacked.step()
    for weight, other in zip(weights, alike, strict=True):
        torch.testing.assert_close(other, weight, rtol=1e-2, atol=1e-3)  # bfloat16 inside, in another order
    assert torch.equal(idle, torch.ones(8, 4))
