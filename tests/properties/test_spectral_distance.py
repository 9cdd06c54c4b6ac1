"""The multi-resolution spectral distance: none of equals, finite at silence, no say in the assignment."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from slotaudio import Spec, build, compose
from slotaudio.objectives.spectral import multi_resolution
from slotaudio.objectives.supervised import _spectral
from slotaudio.types import Batch

seeds = st.integers(0, 2**31 - 1)


def noise(seed: int, *shape: int) -> torch.Tensor:
    return 0.1 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@given(seeds, st.integers(1, 5000))
def test_equal_waves_are_at_no_distance(seed, length):
    waves = noise(seed, 2, 3, 1, length)
    assert torch.equal(multi_resolution(waves, waves), torch.zeros(2, 3))


@given(seeds)
def test_it_grows_with_the_error_and_sees_level(seed):
    wave, other = noise(seed, 1, 1, 1, 8000), noise(seed + 1, 1, 1, 1, 8000)
    close, far = (float(multi_resolution(wave + gain * other, wave)) for gain in (0.1, 1.0))
    assert 0 < close < far
    # what SI-SDR forgives: |S| - |S/2| is half of |S|, and log 2 apart in every cell
    assert float(multi_resolution(wave / 2, wave)) == pytest.approx(0.5 + torch.tensor(2.0).log().item(), rel=0.02)


@given(seeds, st.sampled_from(["noise", "one silent source", "silence"]))
def test_values_and_gradients_are_finite_at_silence(seed, kind):
    model = compose(
        Spec("stft", window=128, hop=64, features="complex"),
        Spec("band_split", dim=8, hidden=4),
        Spec("transformer", slot_dim=8, layers=1, heads=2, qkv_dim=8, mlp_dim=8),
        Spec("mask", hidden=4),
        slots=3,
        window=None,
    )
    sources = noise(seed, 2, 2, 1, 3000)
    sources[:, 1] *= kind == "noise"
    sources *= kind != "silence"
    objective = build("objective", Spec("supervised", cost="si_sdr", spectral_weight=2.0))
    losses = objective(model, Batch(sources.sum(1), sources))
    torch.testing.assert_close(losses["loss"], losses["si_sdr"] + 2 * losses["spectral"])
    losses["loss"].backward()
    assert all(loss.isfinite() for loss in losses.values())
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())
    assert (losses["spectral"] == 0) == (kind == "silence")


def test_order_of_sources_does_not_matter():
    torch.manual_seed(0)
    model = compose(
        Spec("stft", window=128, hop=64, features="complex"),
        Spec("band_split", dim=8, hidden=4),
        Spec("transformer", slot_dim=8, layers=1, heads=2, qkv_dim=8, mlp_dim=8),
        "mask",
        slots=2,
        window=None,
    )
    sources = noise(3, 2, 2, 1, 3000)
    objective = build("objective", Spec("supervised", cost="snr", spectral_weight=1.0))
    one, other = (objective(model, Batch(sources.sum(1), s))["spectral"] for s in (sources, sources.flip(1)))
    torch.testing.assert_close(one, other)


def test_only_what_is_heard_has_a_spectrum():
    sources = torch.cat([noise(0, 1, 1, 1, 4000), torch.zeros(1, 1, 1, 4000)], dim=1)
    estimates = noise(1, 1, 2, 1, 4000)
    found = _spectral(estimates, torch.tensor([[0, 1]]), sources, sources.sum(1))
    torch.testing.assert_close(found, multi_resolution(estimates, sources)[0, 0])
