"""A rest, such as noise, that no slot is to have: left out of the outputs, and given back where that is asked for."""

import copy
from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from slotaudio import Separator, SlotModel, Spec, compose
from slotaudio.calibration import calibrate
from slotaudio.errors import UserError
from slotaudio.objectives.supervised import _level
from slotaudio.pretrained import load_weights
from slotaudio.resampling import resample
from slotaudio.separation.offset import OffsetFilter
from slotaudio.testing.stages import move_off_the_start

seeds = st.integers(0, 2**31 - 1)


def composed(**options: bool) -> SlotModel:
    torch.manual_seed(0)
    return compose(
        Spec("stft", window=256, hop=128, framing="centred", features="complex"),
        Spec("band_split", dim=16, hidden=8, layout=[[4000, 500], [8000, 2000]]),
        Spec("transformer", slot_dim=12, layers=1, qkv_dim=8, heads=2, mlp_dim=16),
        Spec("mask", hidden=8, **options),
        "exhaustive",
        slots=2,
        window=None,
    ).eval()


@cache
def model() -> SlotModel:
    """A model whose rest is half of the mixture or so, as one that has learned much noise."""
    made = composed(rest=True)
    move_off_the_start(made, 1)
    with torch.no_grad():
        for band in made.decoder.rest:
            band.bias.view(-1, 2)[:, 0] += 0.5
    return made


def noise(samples: int, seed: int) -> torch.Tensor:
    return 0.1 * torch.randn(1, samples, generator=torch.Generator().manual_seed(seed))


def test_a_trained_decoder_gets_a_rest_that_starts_as_nothing(tmp_path):
    before = composed()
    move_off_the_start(before, 1)
    before.save_pretrained(tmp_path)
    after = composed(rest=True)
    load_weights(after, tmp_path, fresh=["decoder.rest.*"])
    mixture = noise(4000, 0)[None]
    with torch.no_grad():
        assert torch.equal(after(mixture[:, None]).estimates.masks, before(mixture[:, None]).estimates.masks)
    assert after.leaves_rest
    assert not before.leaves_rest
    after(mixture[:, None]).estimates.masks.abs().square().mean().backward()
    assert all(band.weight.grad.abs().sum() > 0 for band in after.decoder.rest)


@given(seeds)
@settings(max_examples=10)
def test_the_rest_belongs_to_no_slot_in_particular(seed):
    mixture = noise(3000, seed)[None, None]
    initial = model().initial_slots(1)
    with torch.no_grad():
        masks = model()(mixture, initial).estimates.masks
        turned = model()(mixture, initial.flip(1)).estimates.masks
    torch.testing.assert_close(turned, masks.flip(1), rtol=0, atol=1e-5)
    assert (1 - masks.sum(1)).abs().mean() > 0.3


@given(seeds, st.integers(1, 60000), st.sampled_from([8000, 16000, 44100]))
@settings(max_examples=12)
def test_with_the_noise_kept_the_outputs_add_up_and_without_only_what_the_model_heard_is_missing(seed, samples, rate):
    mixture = noise(samples, seed)
    options = {"long_window": 0.5}
    kept = Separator(model(), keep_noise=True, **options)(mixture, rate).sources.sum(0)
    torch.testing.assert_close(kept, mixture, rtol=0, atol=1e-5)
    voices = Separator(model(), **options)(mixture, rate).sources.sum(0)
    own = Separator(model(), consistent=False, **options)(mixture, rate).sources.sum(0)
    offset = OffsetFilter(rate)
    mixture = torch.cat([offset.push(mixture)[0], offset.finish()[0]], dim=-1)
    heard = resample(resample(mixture, rate, 16000), 16000, rate)[..., :samples]
    torch.testing.assert_close(mixture - voices, heard - own, rtol=0, atol=1e-4)
    if samples > 1000:
        assert (mixture - voices).norm() > 0.2 * heard.norm()


@given(st.lists(st.integers(1, 8000), min_size=1, max_size=6), st.sampled_from([16000, 22050]))
@settings(max_examples=8)
def test_however_a_stream_is_cut_and_wherever_it_is_taken_up_again(tmp_path_factory, cuts, rate):
    separator, mixture = Separator(model(), long_window=0.5, ahead=1.0), noise(sum(cuts), 3)
    path = tmp_path_factory.mktemp("state") / "talk.state"
    stream, pieces = separator.open(rate), []
    for block in mixture[None].split(cuts, dim=-1):
        pieces.append(stream.push(block))
        stream.save(path)
        stream = separator.open(rate)
        stream.restore(path)
    pieces.append(stream.finish())
    torch.testing.assert_close(torch.cat(pieces, -1)[0], separator(mixture, rate).sources, rtol=0, atol=1e-5)
    if len(cuts) > 1:
        with pytest.raises(UserError, match="another rest: True then, False now"):
            Separator(model(), long_window=0.5, ahead=1.0, keep_noise=True).open(rate).restore(path)


@given(seeds, st.floats(0.3, 3.0))
@settings(max_examples=10)
def test_an_amplified_decoder_gives_louder_outputs_and_a_rest_that_makes_up_for_it(seed, factor):
    louder, mixture = copy.deepcopy(model()), noise(3000, seed)
    louder.decoder.amplify(factor)
    options = {"long_window": 0.5}
    expected = factor * Separator(model(), **options)(mixture, 16000).sources
    torch.testing.assert_close(Separator(louder, **options)(mixture, 16000).sources, expected, rtol=0, atol=1e-4)
    kept = Separator(louder, keep_noise=True, **options)(mixture, 16000).sources.sum(0)
    torch.testing.assert_close(kept, mixture, rtol=0, atol=1e-5)


def test_calibrated_outputs_have_the_level_of_the_sources():
    made = copy.deepcopy(model())
    made.decoder.amplify(1.7)
    mixtures = [(noise(8000, seed), noise(8000, seed)[None], {}) for seed in range(3)]
    assert calibrate(made, mixtures) != pytest.approx(1.0, abs=0.05)
    assert calibrate(made, mixtures) == pytest.approx(1.0, abs=1e-4)
    with pytest.raises(UserError, match="times the level of the sources in 0 mixtures"):
        calibrate(made, [])
    with pytest.raises(UserError, match="others have to add up to one"):
        composed().decoder.amplify(2.0)
    unfit = composed()
    unfit.decoder = None
    with pytest.raises(UserError, match="cannot be amplified"):
        calibrate(unfit, mixtures)


def test_a_rest_needs_masks_that_add_up():
    with pytest.raises(UserError, match="rest = true needs consistency = true"):
        composed(rest=True, consistency=False)


def test_thirty_decibels_are_enough_to_learn_from():
    sources = noise(100, 0)[None, None]
    found = _level(1e-6 * sources, torch.zeros(1, 1, dtype=torch.int64), sources)
    assert float(found) == pytest.approx((20 * np.log10(0.03)) ** 2, rel=1e-4)
