"""The relative squared error: bounds, exact values, silence, labels."""

from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from slotaudio import UserError, build
from slotaudio.types import Batch
from slotaudio_music.objective import RelativeMSE


class Answers(torch.nn.Module):
    """A model whose estimates are given."""

    window_samples = None

    def __init__(self, estimates, matcher="fixed"):
        super().__init__()
        self.estimates = estimates
        self.matcher = build("matcher", matcher)

    def forward(self, windows):
        self.windows = windows
        return SimpleNamespace()

    def sources(self, prediction, batch):
        steps = self.windows.shape[1]
        return self.estimates.unflatten(-1, (steps, -1)).permute(0, 3, 1, 2, 4)


def losses(estimates, sources, of_the_model="fixed", **options):
    return RelativeMSE(**options)(Answers(estimates, of_the_model), Batch(sources.sum(1), sources))


def test_the_formula():
    estimates, sources = torch.tensor([[[[0.5, -0.2]]]]), torch.tensor([[[[0.3, 0.1]]]])
    found = losses(estimates, sources, epsilon=0.1, l1_weight=2.0)
    expected = ((0.2 / 0.9) ** 2 + (0.3 / 0.4) ** 2) / 2
    torch.testing.assert_close(found["relative_mse"], torch.tensor(expected))
    torch.testing.assert_close(found["l1"], torch.tensor(0.25))
    torch.testing.assert_close(found["loss"], torch.tensor(expected + 0.5))


@given(st.integers(0, 1000), st.floats(1e-8, 1e3), st.floats(1e-6, 1))
def test_it_stays_between_0_and_1(seed, scale, epsilon):
    draw = torch.Generator().manual_seed(seed)
    estimates, sources = scale * torch.randn(2, 2, 3, 1, 50, generator=draw)
    value = losses(estimates, sources, epsilon=epsilon)["relative_mse"]
    assert 0 <= value <= 1
    assert losses(sources, sources, epsilon=epsilon)["relative_mse"] == 0


@pytest.mark.parametrize("silent", ["estimates", "sources", "both"])
def test_silence_has_a_finite_loss_and_gradient(silent):
    estimates = torch.randn(1, 4, 2, 30) * (silent == "sources")
    sources = torch.randn(1, 4, 2, 30) * (silent == "estimates")
    estimates.requires_grad_()
    loss = losses(estimates, sources, l1_weight=1.0)["loss"]
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(estimates.grad).all()


def test_the_wrong_sign_has_a_value_near_1_and_hardly_a_gradient_of_its_own():
    sources = torch.full((1, 1, 1, 1), 0.5)
    gradients = {}
    for level, name in ((-0.3, "wrong"), (0.3, "right")):
        estimate = torch.full((1, 1, 1, 1), level, requires_grad=True)
        loss = losses(estimate, sources, epsilon=1e-4)["loss"]
        loss.backward()
        gradients[name] = estimate.grad.abs().item()
        assert (loss > 0.99) == (name == "wrong")
    assert gradients["right"] > 100 * gradients["wrong"]


def test_labels_are_kept_unless_the_matcher_does_not():
    sources = torch.randn(3, 4, 2, 40)
    assert losses(sources.flip(1), sources)["loss"] > 0.1
    assert losses(sources.flip(1), sources, "hungarian")["loss"] == 0
    assert losses(sources.flip(1), sources, "fixed", matcher="hungarian")["loss"] == 0


def test_surplus_slots_cost_nothing_and_missing_ones_are_refused():
    sources = torch.randn(1, 2, 2, 40)
    assert losses(torch.cat([sources, 1 + sources], dim=1), sources)["loss"] == 0
    with pytest.raises(UserError, match="slots"):
        losses(sources[:, :1], sources)


def test_clips_longer_than_the_window_are_cut_and_joined():
    sources = torch.randn(2, 3, 2, 25)
    padded = torch.nn.functional.pad(sources, (0, 5))
    model = Answers(padded)
    model.window_samples = 10
    assert RelativeMSE()(model, Batch(sources.sum(1), sources))["loss"] == 0
    assert model.windows.shape == (2, 3, 2, 10)


@pytest.mark.parametrize(
    "options", [{"epsilon": 0.0}, {"l1_weight": -1.0}, {"relative_weight": 0.0}, {"matcher": "nobody"}]
)
def test_impossible_options(options):
    with pytest.raises(UserError):
        RelativeMSE(**options)
