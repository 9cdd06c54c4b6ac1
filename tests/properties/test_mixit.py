"""Mixture-invariant training: the search is exact, and nothing but sums of mixtures is looked at."""

from dataclasses import dataclass
from itertools import product

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from slotaudio.errors import UserError
from slotaudio.objectives.mixit import MixIT, partners
from slotaudio.types import Batch

seeds = st.integers(0, 2**31 - 1)


@dataclass
class Says:
    """A model whose waves are given."""

    waves: torch.Tensor  # batch slots channels time
    sample_rate: int = 100
    window_samples: int | None = None

    def __call__(self, windows):
        return None

    def sources(self, prediction, batch):
        return self.waves[:, None]


def noise(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def loss(waves, mixture, **options):
    silent = torch.zeros(len(mixture), 1, *mixture.shape[1:])
    objective = MixIT(slots=waves.shape[1], **options)
    return float(objective(Says(waves), Batch(mixture, silent))["loss"])


@given(seeds, st.integers(2, 5), st.sampled_from([0.0, 0.2]))
def test_no_assignment_is_better(seed, slots, stretch):
    mixture = noise(seed, 3, 1, 60) * torch.tensor([1.0, 0.3, 3.0])[:, None, None]
    sides = partners(mixture)
    waves = noise(seed + 1, 3, slots, 1, 60) + 0.5 * sides[:, torch.arange(slots) % 2]

    def decibels(chosen, waves, sides):
        """Equation 2 of the paper, word by word."""
        total = 0.0
        for side in range(2):
            estimate = sum((waves[k] for k in range(slots) if chosen[k] == side), torch.zeros_like(sides[side]))
            target = sides[side]
            error = (target - estimate).square().sum() + 1e-3 * target.square().sum()
            total += 5 * float(torch.log10(error / target.square().sum()))
        return total

    def best(waves, sides):
        return min(product((0, 1), repeat=slots), key=lambda chosen: decibels(chosen, waves, sides))

    expected = []
    length = 60 if not stretch else 20
    for item in range(3):
        pieces = [slice(start, start + length) for start in range(0, 60, length)]
        remixed = torch.zeros_like(sides[item])
        for piece in pieces:
            chosen = best(waves[item][..., piece], sides[item][..., piece])
            for slot, side in enumerate(chosen):
                remixed[side][..., piece] += waves[item, slot][..., piece]
        error = (remixed - sides[item]).square().sum(dim=(1, 2))
        power = sides[item].square().sum(dim=(1, 2))
        expected.append(10 * torch.log10(error / power + 1e-3).mean())
    found = loss(waves, mixture, stretch=stretch, consistency=False)
    assert found == pytest.approx(float(torch.stack(expected).mean()), abs=1e-3)


@given(seeds)
def test_neither_the_order_of_the_slots_nor_of_the_batch_matters(seed):
    mixture, waves = noise(seed, 2, 1, 50), noise(seed + 1, 2, 4, 1, 50)
    order = torch.randperm(4, generator=torch.Generator().manual_seed(seed))
    assert loss(waves[:, order], mixture) == pytest.approx(loss(waves, mixture), abs=1e-4)
    # two recordings meet each other twice: as the first and the second, as the second and the first
    assert loss(waves.flip(0), mixture.flip(0)) == pytest.approx(loss(waves, mixture), abs=1e-4)


@given(seeds, st.floats(5.0, 40.0))
def test_slots_that_add_up_to_the_recordings_cost_minus_the_cap(seed, cap):
    sources = noise(seed, 2, 2, 1, 80)
    waves = torch.cat([sources, sources.roll(-1, 0)], dim=1)[:, [2, 0, 3, 1]]
    assert loss(waves, sources.sum(1), cap=cap) == pytest.approx(-cap, abs=1e-2)


@given(seeds)
def test_what_all_slots_miss_is_shared_out(seed):
    mixture = noise(seed, 2, 1, 80)
    half = partners(mixture) / 2  # of each recording; the sum lacks the other half of both
    closer = half + (partners(mixture).sum(1, keepdim=True) - half.sum(1, keepdim=True)) / 2
    assert loss(half, mixture) == pytest.approx(loss(closer, mixture, consistency=False), abs=1e-4)


def test_a_silent_recording_and_a_single_one_have_a_loss_and_gradients():
    for mixture in (noise(0, 3, 1, 50) * torch.tensor([1.0, 0.0, 0.0])[:, None, None], noise(0, 1, 1, 50)):
        waves = noise(1, len(mixture), 3, 1, 50).requires_grad_()
        found = MixIT(slots=3)(Says(waves), Batch(mixture, mixture[:, None]))["loss"]
        found.backward()
        assert torch.isfinite(found)
        assert torch.isfinite(waves.grad).all()


def test_recordings_meet_the_next_one_and_a_single_one_itself():
    mixture = torch.arange(8.0)
    assert partners(mixture.view(4, 1, 2))[:, :, 0, 0].tolist() == [[0, 2], [2, 4], [4, 6], [6, 0]]
    assert partners(mixture.view(1, 1, 8))[0, 1, 0].tolist() == [4, 5, 6, 7, 0, 1, 2, 3]


def test_the_true_sources_are_not_looked_at():
    mixture, waves = noise(0, 2, 1, 50), noise(1, 2, 4, 1, 50)
    spoilt = Batch(mixture, torch.full((2, 2, 1, 50), torch.nan))
    assert float(MixIT(slots=4)(Says(waves), spoilt)["loss"]) == loss(waves, mixture)


@pytest.mark.parametrize("slots", [1, 13])
def test_slots_that_cannot_be_searched_are_refused(slots):
    with pytest.raises(UserError, match=f"K = {slots} must be 2 to 12"):
        MixIT(slots=slots)
    with pytest.raises(UserError, match="0 stands for the whole clip"):
        MixIT(slots=4, stretch=-1.0)


def test_a_silent_side_is_measured_against_the_other_one():
    found = MixIT(4)._ratio(torch.tensor([[0.0, 0.1]]), torch.tensor([[1.0, 0.0]]))
    torch.testing.assert_close(found[0], 10 * torch.tensor([1e-3, 0.101]).log10())
