"""Pitch on tones whose pitch is known, and on what has none."""

import math

import pytest
import torch

from slotaudio_pase.pitch import filled, yin


def harmonics(frequency, seconds=1.0, rate=16000):
    time = torch.arange(round(seconds * rate)) / rate
    return sum(torch.sin(2 * math.pi * n * frequency * time) / n for n in range(1, 8))[None] / 4


@pytest.mark.parametrize("frequency", [60.2, 65.0, 97.3, 150.0, 220.0, 290.0, 299.0])
def test_a_harmonic_tone_has_its_pitch(frequency):
    pitch = yin(harmonics(frequency), 16000, 160)
    assert pitch.frequency.shape == (1, 100)
    inside = slice(3, -6)
    assert bool(pitch.voiced[:, inside].all())
    assert torch.allclose(pitch.frequency[:, inside], torch.tensor(frequency), rtol=5e-4)


def test_a_glide_is_followed():
    time = torch.arange(16000) / 16000
    phase = 2 * math.pi * (100 * time + 50 * time.square())  # 100 to 200 Hz
    pitch = yin((phase.sin() + 0.5 * (2 * phase).sin())[None] / 2, 16000, 160)
    expected = 100 + 100 * torch.arange(100) / 100
    inside = slice(5, -8)
    assert torch.allclose(pitch.frequency[0, inside], expected[inside], rtol=0.03)


def test_noise_and_silence_are_not_voiced():
    noise = torch.randn(1, 16000, generator=torch.Generator().manual_seed(0)) / 10
    assert yin(noise, 16000, 160).voiced.float().mean() < 0.05
    silent = yin(torch.zeros(1, 16000), 16000, 160)
    assert not silent.voiced.any()
    assert bool(silent.frequency.isfinite().all())


def test_level_does_not_matter_and_items_are_apart():
    waves = torch.cat([harmonics(110.0), 0.01 * harmonics(210.0)])
    both = yin(waves, 16000, 160)
    alone = yin(harmonics(210.0), 16000, 160)
    assert torch.allclose(both.frequency[1, 3:-6], alone.frequency[0, 3:-6], rtol=1e-3)


def test_gaps_are_filled_in():
    values = torch.tensor([[9.0, 1.0, 9.0, 9.0, 4.0, 9.0], [5.0, 9.0, 9.0, 9.0, 9.0, 9.0], [9.0] * 6])
    known = torch.tensor([[0, 1, 0, 0, 1, 0], [1, 0, 0, 0, 0, 0], [0] * 6], dtype=torch.bool)
    expected = torch.tensor([[1.0, 1.0, 2.0, 3.0, 4.0, 4.0], [5.0] * 6, [0.0] * 6])
    assert torch.allclose(filled(values, known), expected)
