"""Levels and gains: the wanted loudness where there is room for it, never a clipped sample."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slotaudio.data.mixing import PEAK, SILENCE_DB, active_level, gains, level

RATE = 16000


def noise(seed, seconds=0.5):
    return 0.1 * np.random.default_rng(seed).normal(size=round(seconds * RATE)).astype(np.float32)


def test_level_of_a_sine_and_of_silence():
    sine = np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE).astype(np.float32)
    assert level(sine) == pytest.approx(-3.01, abs=0.01)
    assert level(np.zeros(100, dtype=np.float32)) == SILENCE_DB
    assert active_level(np.zeros(RATE, dtype=np.float32), RATE) == SILENCE_DB


@given(seed=st.integers(0, 1000), pause=st.floats(0, 3))
def test_pauses_do_not_change_the_active_level(seed, pause):
    wave = noise(seed)
    padded = np.concatenate([wave, np.zeros(round(pause * 40) * 400, dtype=np.float32)])
    assert active_level(padded, RATE) == pytest.approx(active_level(wave, RATE), abs=0.01)


@given(seed=st.integers(0, 1000), wanted=st.lists(st.floats(-60, 10), min_size=1, max_size=4))
def test_gains_reach_the_level_or_stop_at_the_peak(seed, wanted):
    waves = [noise(seed + n) for n in range(len(wanted))]
    levels = [active_level(wave, RATE) for wave in waves]
    factors = gains(waves, levels, wanted)
    scaled = [wave * np.float32(factor) for wave, factor in zip(waves, factors, strict=True)]
    assert np.abs(np.sum(scaled, axis=0)).max() <= PEAK + 1e-5
    for wave, target in zip(scaled, wanted, strict=True):
        assert np.abs(wave).max() <= PEAK + 1e-5
        assert active_level(wave, RATE) <= target + 0.01
    if max(wanted) < -30:
        assert [active_level(wave, RATE) for wave in scaled] == pytest.approx(wanted, abs=0.01)


def test_sources_that_cancel_each_other_do_not_pass_the_peak_either():
    wave = noise(0)
    for factor in gains([wave, -wave], [active_level(wave, RATE)] * 2, [10.0, 10.0]):
        assert np.abs(factor * wave).max() == pytest.approx(PEAK)


def test_silence_stays_silence():
    silent = np.zeros(RATE, dtype=np.float32)
    assert gains([silent, silent], [SILENCE_DB, SILENCE_DB], [-25.0, -30.0]) == (1.0, 1.0)


def test_what_is_forty_five_decibels_down_is_a_pause():
    wave = np.concatenate([np.full(8000, 0.1), np.full(8000, 0.1 * 10 ** (-45 / 20))])
    assert active_level(wave, RATE) == pytest.approx(-20, abs=0.1)
