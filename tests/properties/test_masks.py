"""Masks: they share out the mixture, nothing more and nothing less."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from slotaudio.errors import UserError
from slotaudio.frontends.stft import STFT
from slotaudio.separation.masks import binary, mask_function, synthesise, wiener
from slotaudio.spec import Spec
from slotaudio.types import Estimates

seeds = st.integers(0, 2**31 - 1)
scales = st.sampled_from([0.0, 1e-30, 1e-10, 1.0, 1e10, 1e30])


def magnitudes(seed: int, slots: int, scale: float) -> torch.Tensor:
    """Magnitudes with some silent cells; all of them silent for a scale of 0."""
    generator = torch.Generator().manual_seed(seed)
    values = torch.rand(2, slots, 1, 5, 4, generator=generator) * scale
    return values * (torch.rand(values.shape, generator=generator) > 0.3)


@given(seeds, st.integers(1, 6), scales, st.sampled_from([0.5, 1.0, 2.0, 3.0]))
def test_masks_sum_to_one(seed, slots, scale, exponent):
    found = magnitudes(seed, slots, scale)
    for mask in (binary(found), wiener(found, exponent)):
        assert ((mask >= 0) & (mask <= 1)).all()
        torch.testing.assert_close(mask.sum(dim=1), torch.ones(2, 1, 5, 4))


@given(seeds, st.integers(2, 6), st.sampled_from([1e-10, 1.0, 1e10]))
def test_masks_do_not_depend_on_the_level(seed, slots, scale):
    found = magnitudes(seed, slots, 1.0)
    torch.testing.assert_close(wiener(found * scale), wiener(found), atol=1e-5, rtol=1e-4)


@given(seeds, st.integers(2, 6))
def test_permuting_slots_permutes_masks(seed, slots):
    found = torch.rand(2, slots, 1, 5, 4, generator=torch.Generator().manual_seed(seed))
    order = torch.randperm(slots, generator=torch.Generator().manual_seed(seed))
    for mask in (binary, wiener):
        torch.testing.assert_close(mask(found[:, order]), mask(found)[:, order])


@given(seeds, st.integers(1, 4), scales)
def test_wiener_gradient_is_finite(seed, slots, scale):
    found = magnitudes(seed, slots, scale).requires_grad_()
    (wiener(found) * torch.arange(slots)[:, None, None, None]).sum().backward()
    assert found.grad is not None
    assert found.grad.isfinite().all()


@given(seeds, st.integers(1, 4), st.sampled_from(["binary", "wiener"]), st.booleans())
def test_sources_add_up_to_the_mixture(seed, slots, mask, silent):
    frontend = STFT(framing="centred")
    generator = torch.Generator().manual_seed(seed)
    mixture = torch.randn(2, 1, 2000, generator=generator) * (0 if silent else 0.1)
    spectrum = frontend(mixture)
    guess = torch.randn(2, slots, *spectrum.values.shape[1:], generator=generator)  # negative values included
    sources = synthesise(Estimates(magnitudes=guess), spectrum, frontend, mask)
    assert sources.shape == (2, slots, 1, 2000)
    torch.testing.assert_close(sources.sum(1), mixture, atol=1e-5, rtol=0)


@given(seeds)
def test_given_masks_and_waves_are_used_as_they_are(seed):
    frontend, generator = STFT(framing="centred"), torch.Generator().manual_seed(seed)
    mixture = torch.randn(1, 1, 1000, generator=generator)
    spectrum = frontend(mixture)
    factors = torch.stack([torch.ones_like(spectrum.values), -1j * torch.zeros_like(spectrum.values)], dim=1)
    kept, dropped = synthesise(Estimates(masks=factors), spectrum, frontend).unbind(1)
    torch.testing.assert_close(kept, mixture, atol=1e-5, rtol=0)
    assert (dropped == 0).all()
    waves = torch.randn(1, 3, 1, 1000, generator=generator)
    assert torch.equal(synthesise(Estimates(waves=waves), spectrum, frontend), waves)


def test_options_by_name():
    found = magnitudes(0, 2, 1.0)
    assert torch.equal(mask_function(Spec("wiener", exponent=1.0))(found), wiener(found, 1.0))
    assert not torch.equal(mask_function("wiener")(found), wiener(found, 1.0))
    for wrong in ("weiner", Spec("wiener", power=2.0)):
        with pytest.raises(UserError, match="'binary' or 'wiener'"):
            mask_function(wrong)
