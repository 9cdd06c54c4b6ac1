"""Costs: the textbook's values, caps, silence."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from slotaudio.errors import UserError
from slotaudio.objectives.costs import WAVE_COSTS, audible, check_cost_name, si_sdr, snr, spectral_mse

seeds = st.integers(0, 2**31 - 1)
wave_costs = st.sampled_from(sorted(WAVE_COSTS))


def waves(seed: int, rows: int, batch: int = 2, time: int = 300) -> torch.Tensor:
    return 0.1 * torch.randn(batch, rows, 1, time, generator=torch.Generator().manual_seed(seed))


@given(seeds, st.integers(1, 4), st.integers(1, 4))
def test_spectral_mse_equals_the_plain_one(seed, slots, sources):
    generator = torch.Generator().manual_seed(seed)
    estimates, references = (torch.rand(2, n, 2, 5, 4, generator=generator) for n in (slots, sources))
    plain = (estimates[:, :, None] - references[:, None]).square().mean(dim=(-3, -2, -1))
    torch.testing.assert_close(spectral_mse(estimates, references), plain, atol=1e-6, rtol=1e-4)
    assert spectral_mse(references, references).diagonal(dim1=1, dim2=2).abs().max() < 1e-6


@given(seeds, st.integers(1, 3), st.integers(1, 3))
def test_wave_costs_equal_the_textbook_where_no_cap_bites(seed, slots, sources):
    estimates, references = waves(seed, slots), waves(seed + 1, sources)
    mixture = references.sum(1)
    e, s = estimates[:, :, None], references[:, None]
    plain = -10 * torch.log10(s.square().sum((-2, -1)) / (e - s).square().sum((-2, -1)))
    torch.testing.assert_close(snr(estimates, references, mixture, cap=90.0), plain, atol=1e-2, rtol=1e-3)
    scaled = (e * s).sum((-2, -1), keepdim=True) / s.square().sum((-2, -1), keepdim=True) * s
    plain = -10 * torch.log10(scaled.square().sum((-2, -1)) / (e - scaled).square().sum((-2, -1)))
    found = si_sdr(estimates, references, mixture, cap=90.0)
    within = plain.abs() < 60  # waves may happen to be orthogonal
    torch.testing.assert_close(found[within], plain[within], atol=0.1, rtol=1e-2)


@given(seeds, st.floats(5, 40))
def test_costs_are_capped_and_reach_the_cap(seed, cap):
    references = waves(seed, 2)
    mixture, perfect = references.sum(1), torch.full((2, 2), -cap)
    found = snr(references, references, mixture, cap).diagonal(dim1=1, dim2=2)
    torch.testing.assert_close(found, perfect, atol=0.1, rtol=0)
    found = si_sdr(0.3 * references, references, mixture, cap).diagonal(dim1=1, dim2=2)
    torch.testing.assert_close(found, perfect, atol=0.1, rtol=0)
    assert (si_sdr(waves(seed + 1, 2), references, mixture, cap) <= cap + 1e-3).all()


@given(seeds, wave_costs, st.floats(1e-3, 10))
def test_costs_do_not_depend_on_the_common_level(seed, name, gain):
    """A recording played louder is no harder to separate; far below, digital silence sets a floor."""
    references = 3 * waves(seed, 3)
    references[:, 2] = 0
    estimates, mixture, cost = waves(seed + 1, 3), references.sum(1), WAVE_COSTS[name]
    torch.testing.assert_close(
        cost(gain * estimates, gain * references, gain * mixture),
        cost(estimates, references, mixture),
        atol=1e-2,
        rtol=1e-3,
    )


@given(seeds, wave_costs)
def test_a_silent_source_wants_a_silent_slot(seed, name):
    references = waves(seed, 2)
    references[:, 1] = 0
    mixture = references.sum(1)
    estimates = torch.stack([mixture, 0.1 * mixture, 0 * mixture], dim=1)
    cost = WAVE_COSTS[name](estimates, references, mixture)[..., 1]
    assert (cost[:, 0] > cost[:, 1] + 10).all()
    assert (cost[:, 1] > cost[:, 2] + 2).all()
    torch.testing.assert_close(cost[:, 2], torch.full((2,), -20.0))


@given(seeds, wave_costs, st.sampled_from(["estimates", "sources", "one source", "everything", "nothing"]))
def test_values_and_gradients_are_finite_at_silence(seed, name, silent):
    references, estimates = waves(seed, 2), waves(seed + 1, 3)
    if silent in ("estimates", "everything"):
        estimates = 0 * estimates
    if silent in ("sources", "everything"):
        references = 0 * references
    if silent == "one source":
        references[:, 1] = 0
    estimates.requires_grad_()
    cost = WAVE_COSTS[name](estimates, references, references.sum(1))
    cost.sum().backward()
    assert cost.isfinite().all()
    assert estimates.grad is not None
    assert estimates.grad.isfinite().all()


@given(seeds, wave_costs)
def test_permuting_slots_and_sources_permutes_the_cost(seed, name):
    estimates, references = waves(seed, 4), waves(seed + 1, 3)
    references[:, 2] = 0
    order, sources = torch.randperm(4), torch.randperm(3)
    mixture, cost = references.sum(1), WAVE_COSTS[name]
    torch.testing.assert_close(
        cost(estimates[:, order], references[:, sources], mixture),
        cost(estimates, references, mixture)[:, order][:, :, sources],
        atol=1e-4,
        rtol=1e-4,
    )


@given(seeds, wave_costs)
def test_a_better_estimate_costs_less(seed, name):
    references = waves(seed, 1)
    disturbance = waves(seed + 1, 1)
    mixture = references.sum(1)
    steps = [WAVE_COSTS[name](references + g * disturbance, references, mixture) for g in (0.1, 0.5, 2.0)]
    assert (steps[0] < steps[1]).all()
    assert (steps[1] < steps[2]).all()


def test_audible_is_relative_to_the_mixture_and_has_a_floor():
    mixture = torch.full((2, 1, 10), 0.1)
    mixture[1] = 1e-7
    power = torch.tensor([[1e-2, 1e-5, 1e-7, 0.0], [1e-2, 1e-7, 1e-9, 0.0]])
    assert audible(power, mixture).tolist() == [[True, True, False, False], [True, True, False, False]]


def test_unknown_cost_lists_the_known():
    with pytest.raises(UserError, match="spectral_mse, snr, si_sdr"):
        check_cost_name("mse")


@settings(max_examples=5)
@given(seeds, st.sampled_from([*WAVE_COSTS.values()]))
def test_gradients_are_those_of_small_steps_also_by_the_references(seed, cost):
    estimates, references = (waves(seed + rows, rows, time=40).double().requires_grad_() for rows in (3, 2))
    mixture = references.detach().sum(1)
    for check in (torch.autograd.gradcheck, torch.autograd.gradgradcheck):
        assert check(lambda *pair: cost(*pair, mixture), (estimates, references), fast_mode=True)


def noise(*shape, seed=0):
    return 0.1 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_a_perfect_estimate_is_finite_whatever_the_cap():
    waves = noise(200, 1, 1, 333)
    found = si_sdr(waves, waves, waves[:, 0], cap=90.0)
    assert found.isfinite().all()
