"""Targets, their statistics, and the pairs of LIM, GIM and SPC."""

import math

import pytest
import torch

from slotaudio_pase.gammatone import centres, gammatone
from slotaudio_pase.standardise import Standardise
from slotaudio_pase.targets import TARGETS, described_anew
from slotaudio_pase.workers import (
    Discriminator,
    Regression,
    Regressor,
    WaveDecoder,
    global_pairs,
    local_pairs,
    order_pairs,
)


def noise(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


DIMENSIONS = {"waveform": 1, "lps": 1025, "mfcc": 20, "prosody": 4, "fbank": 40, "gammatone": 40}


@pytest.mark.parametrize("name", TARGETS)
def test_targets_have_a_vector_per_frame(name):
    target = TARGETS[name](16000)
    found = target(noise(0, 2, 16000) / 10)
    dim = DIMENSIONS[name.removesuffix("_long")]
    assert target.dim == dim
    assert found.shape == (2, dim, 16000 if name == "waveform" else 100)
    assert bool(found.isfinite().all())
    assert bool(target(torch.zeros(1, 16000)).isfinite().all())


def test_the_log_power_spectrum_shows_a_tone():
    tone = torch.sin(2 * math.pi * 1000 * torch.arange(16000) / 16000)[None]
    spectrum = TARGETS["lps"](16000)(tone)[0, :, 50]
    assert int(spectrum.argmax()) == 1000 * 2048 // 16000
    assert TARGETS["lps"](16000)(tone / 10)[0, 128, 50] == pytest.approx(float(spectrum[128]) - 20, abs=1e-3)


def test_gammatone_bands_pass_a_sixteenth_of_the_power_at_their_bandwidth():
    weights, centre = gammatone(40, 16000, 16000), centres(40, 16000)  # a bin per hertz
    torch.testing.assert_close(weights.argmax(dim=1).double(), centre.round())
    bands, bandwidth = torch.arange(40), 1.019 * 24.7 * (1 + 4.37e-3 * centre)  # of rectangles, Glasberg and Moore
    for place in (centre - bandwidth, centre + bandwidth):
        inside = (place > 0) & (place < 8000)
        passed = (weights[bands, place.round().long().clamp(0, 8000)] / weights.amax(dim=1))[inside]
        torch.testing.assert_close(passed, torch.full_like(passed, 1 / 16), rtol=0.08, atol=0)
    torch.testing.assert_close(weights.sum(dim=1), torch.ones(40).double())


def test_gammatone_bands_are_where_their_tones_are():
    wanted = centres(40, 16000)
    assert wanted[0].item() == pytest.approx(50)
    assert wanted[-1].item() == pytest.approx(7200)
    for band in (3, 20, 38):
        tone = torch.sin(2 * math.pi * wanted[band].item() * torch.arange(16000) / 16000)[None]
        levels = TARGETS["gammatone_long"](16000)(tone)[0, :, 50]
        assert int(levels.argmax()) == band
        assert levels[band] - levels.roll(5)[band] > 5


def test_frames_lie_where_the_sound_is():
    wave = torch.zeros(1, 16000)
    wave[:, 8000:8160] = noise(0, 160)
    for name in ("lps", "mfcc"):
        assert abs(int(TARGETS[name](16000)(wave)[0, 0].argmax()) - 50) <= 1
    level = TARGETS["prosody"](16000)(wave)[0, 2]
    assert abs(int(level.argmax()) - 50) <= 1


def test_prosody_of_a_tone_and_of_noise():
    time = torch.arange(16000) / 16000
    tone = sum(torch.sin(2 * math.pi * 120 * n * time) for n in (1, 2, 3))[None] / 6
    contour, voiced, level, crossings = TARGETS["prosody"](16000)(tone)[0, :, 10:80]
    assert contour.mean() == pytest.approx(math.log(120), abs=0.01)
    assert voiced.min() == 1
    assert level.mean() == pytest.approx(10 * math.log10(tone.square().mean()), abs=0.5)
    noisy = TARGETS["prosody"](16000)(noise(0, 1, 16000) / 10)[0, :, 10:80]
    assert noisy[1].mean() < 0.05
    assert noisy[3].mean() == pytest.approx(0.5, abs=0.05)
    assert crossings.mean() < 0.05


def test_what_is_never_voiced_has_the_lowest_pitch():
    waves = torch.stack([torch.zeros(16000), noise(0, 16000) / 1000])
    contour, voiced = TARGETS["prosody"](16000)(waves)[:, :2].unbind(1)
    silent = voiced.sum(-1) == 0
    assert silent[0]
    torch.testing.assert_close(contour[silent], torch.full_like(contour[silent], math.log(60)))


def test_differences_and_context():
    ramp = torch.arange(20.0).expand(1, 2, 20)
    found = described_anew(ramp, deltas=True, context=1)
    assert found.shape == (1, 6, 20)
    assert torch.allclose(found[0, 2, 5:-5], torch.ones(10))
    assert torch.allclose(found[0, 4, 5:-5], torch.zeros(10), atol=1e-6)
    constant = torch.ones(1, 1, 9)
    assert torch.equal(described_anew(constant, deltas=False, context=3), constant.expand(1, 3, 9))
    seven = described_anew(ramp, deltas=False, context=7)
    assert seven.shape == (1, 14, 20)
    assert seven[0, ::2, 10].tolist() == [7, 8, 9, 10, 11, 12, 13]


def test_statistics_are_those_of_all_frames():
    parts = [3 + 2 * noise(seed, 2, 5, 30 + seed) for seed in range(4)]
    together = torch.cat([part.transpose(0, 1).flatten(1) for part in parts], dim=1)
    fitted = Standardise(5, limit=10_000).train()
    for part in parts:
        fitted(part)
    assert torch.allclose(fitted.mean.float(), together.mean(1), atol=1e-5)
    standard = fitted.eval()(parts[0])
    expected = (parts[0] - together.mean(1)[:, None]) / together.std(1, correction=0)[:, None]
    assert torch.allclose(standard, expected, atol=1e-5)


def test_statistics_are_kept_after_the_limit_in_evaluation_and_in_the_state():
    fitted = Standardise(2, limit=50).train()
    fitted(noise(0, 1, 2, 60))
    before = fitted.mean.clone()
    fitted(100 + noise(1, 1, 2, 60))
    assert torch.equal(fitted.mean, before)
    fresh = Standardise(2, limit=50).eval()
    target = noise(2, 1, 2, 10)
    assert torch.equal(fresh(target), target)
    assert fresh.count == 0
    fresh.load_state_dict(fitted.state_dict())
    assert torch.equal(fresh(target), fitted.eval()(target))


def test_a_constant_dimension_is_no_trouble():
    fitted = Standardise(1, limit=100).train()
    assert torch.equal(fitted(torch.full((1, 1, 50), 7.0)), torch.zeros(1, 1, 50))


def test_wave_decoder_gives_every_sample():
    for frames in (1, 7, 100):
        assert WaveDecoder(6, 8)(noise(0, 2, 6, frames)).shape == (2, 1, 160 * frames)
    sizes = [layer.weight.shape for layer in WaveDecoder(100, 256).layers if hasattr(layer, "kernel_size")]
    assert sizes == [(100, 512, 30), (512, 256, 30), (256, 128, 30)]


@pytest.mark.parametrize("absolute", [False, True])
def test_a_regression_loss_is_the_error_on_the_standardised_target(absolute):
    worker = Regression(TARGETS["prosody"](16000), 4, Regressor(6, 4, 8), 1000, absolute).train()
    wave, tokens = noise(0, 2, 16000) / 10, noise(1, 2, 6, 100)
    loss = worker(tokens, wave)
    wanted = worker.eval().standardise(worker.target(wave))
    error = worker.network(tokens) - wanted
    expected = error.abs().mean() if absolute else error.square().mean()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    loss.backward()
    assert all(parameter.grad is not None for parameter in worker.parameters())


def test_a_discriminator_is_half_right_when_pairs_do_not_differ():
    judge = Discriminator(6, 8)
    pair = noise(0, 4, 6, 50)
    same = judge(pair, pair)
    assert same.accuracy == pytest.approx(0.5)
    assert same.loss >= math.log(2)
    with torch.no_grad():
        judge.network.layers[-1].weight.zero_()
        judge.network.layers[-1].bias.zero_()
    assert judge(pair, noise(1, 4, 6, 50)).loss.item() == pytest.approx(math.log(2))


def test_a_discriminator_learns_what_can_be_told():
    torch.manual_seed(0)
    judge = Discriminator(6, 16)
    optimizer = torch.optim.Adam(judge.parameters(), 0.02)
    for step in range(60):
        found = judge(noise(2 * step, 8, 6, 10) + 1, noise(2 * step + 1, 8, 6, 10) - 1)
        optimizer.zero_grad()
        found.loss.backward()
        optimizer.step()
    fresh = judge(noise(998, 8, 6, 10) + 1, noise(999, 8, 6, 10) - 1)
    assert fresh.accuracy > 0.9


def test_local_and_global_pairs():
    anchor, same, other = (noise(seed, 2, 3, 9) for seed in range(3))
    together, apart = local_pairs(anchor, same, other)
    assert torch.equal(together[:, :3], anchor)
    assert torch.equal(together[:, 3:], same)
    assert torch.equal(apart[:, 3:], other)
    together, apart = global_pairs(anchor, same, other)
    assert together.shape == apart.shape == (2, 6, 1)
    assert torch.allclose(apart[:, 3:, 0], other.mean(-1))


@pytest.mark.parametrize(("anchor", "gap"), [(20, 16), (25, 1), (49, 45)])
def test_order_pairs_keep_their_distance(anchor, gap):
    tokens = torch.arange(100.0).expand(2, 1, 100)
    follows, precedes = order_pairs(tokens, [50, anchor], gap, length=5)
    assert follows.shape == precedes.shape == (2, 6, 2)
    assert follows[0, :, 1].tolist() == [anchor, *range(anchor + gap, anchor + gap + 5)]
    assert precedes[0, :, 1].tolist() == [anchor, *range(anchor - gap - 4, anchor - gap + 1)]
