"""SincNet's filters pass their bands and nothing else; the frontend's inverse restores what they pass."""

import math

import pytest
import torch

from slotaudio_pase.frontend import SincFrontend
from slotaudio_pase.sinc import SincFilters


def test_edges_cover_the_band_in_order():
    low, high = SincFilters().edges()
    assert len(low) == 64
    assert low.min() >= 50
    assert high.max() <= 8000
    assert (high - low).min() >= 50
    assert bool((low.diff() > 0).all())
    widths = high - low
    assert widths[-1] > 4 * widths[0]  # mel: narrow below, wide above


def test_edges_keep_their_limits_wherever_training_takes_them():
    filters = SincFilters(4, 31)
    with torch.no_grad():
        filters.low.copy_(torch.tensor([-500.0, 0.0, 9000.0, 20.0]))
        filters.band.copy_(torch.tensor([-10.0, 0.0, 0.0, 1e5]))
    low, high = filters.edges()
    assert low.tolist() == [550, 50, 9050, 70]
    assert high.tolist() == [610, 100, 8000, 8000]


@pytest.mark.parametrize("band", [5, 30, 60])
def test_a_filter_passes_its_band_only(band):
    filters = SincFilters()
    weight = filters().detach()[band, 0]
    low, high = (edge[band].item() for edge in filters.edges())
    power = torch.fft.rfft(weight.double(), n=16000).abs().square()  # one bin per hertz
    margin = 3.3 * 16000 / 251  # width of a Hamming window's transition
    inside = power[max(0, int(low - margin)) : int(high + margin)].sum()
    assert inside / power.sum() > 0.999
    assert weight[125] == pytest.approx(1.0)
    assert torch.allclose(weight, weight.flip(0), atol=1e-5)


@torch.no_grad()
def test_the_inverse_restores_what_is_passed():
    time = torch.arange(8000) / 16000
    tones = sum(torch.sin(2 * math.pi * frequency * time + frequency) for frequency in (150.0, 440.0, 1230.0, 5100.0))
    wave = tones[None, None] / 4
    for stride, decibels in ((1, -30), (2, -25)):
        frontend = SincFrontend(stride=stride)
        back = frontend.inverse(frontend(wave).values, 8000)
        error = (back - wave)[..., 500:-500].square().mean() / wave.square().mean()
        assert 10 * error.log10() < decibels


@torch.no_grad()
def test_a_tone_lights_up_its_band():
    frontend = SincFrontend(filters=32)
    low, high = frontend.filters.edges()
    time = torch.arange(4000) / 16000
    for band in (4, 16, 28):
        centre = (low[band] + high[band]).item() / 2
        level = frontend(torch.sin(2 * math.pi * centre * time)[None, None]).values[0, 0].square().mean(-1)
        assert abs(int((level * (high - low).square()).argmax()) - band) <= 1
