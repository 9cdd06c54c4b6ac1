"""Metrics of identity are exact on recordings whose swaps are known."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from slotaudio.errors import UserError
from slotaudio.identity import IdentityMeter, identity_score

RATE, WINDOW = 1000, 0.5
SAMPLES = 500
seeds = st.integers(0, 2**31 - 1)


def voices(windows: int, sources: int = 2, seed: int = 0) -> Tensor:
    return torch.randn(sources, windows * SAMPLES, generator=torch.Generator().manual_seed(seed)) * 0.1


def silent(wave: Tensor, source: int, first: int, last: int) -> Tensor:
    wave = wave.clone()
    wave[source, first * SAMPLES : last * SAMPLES] = 0
    return wave


def swapped(wave: Tensor, first: int, last: int) -> Tensor:
    wave = wave.clone()
    wave[:, first * SAMPLES : last * SAMPLES] = wave[:, first * SAMPLES : last * SAMPLES].flip(0)
    return wave


def test_perfect_separation():
    truth = voices(24)
    found = identity_score(truth, truth, RATE)
    assert found.assignment == (0, 1)
    assert found.si_sdr == pytest.approx((100, 100))
    assert found.si_sdri == pytest.approx(100, abs=1)
    assert (found.right_windows, found.right_joins, found.swaps, found.returns) == (1.0, 1.0, 0, 0)
    assert math.isnan(found.right_returns)


def test_one_swap_is_counted_once_and_costs_its_windows():
    truth = voices(24)  # 12 s
    found = identity_score(swapped(truth, 18, 24), truth, RATE)
    assert found.assignment == (0, 1)
    assert found.swaps == 1
    assert found.swaps_per_minute == pytest.approx(5)
    assert found.right_windows == pytest.approx(18 / 24)
    assert found.right_joins == pytest.approx(22 / 23)
    assert found.si_sdri < 10


def test_a_swap_there_and_back_counts_twice():
    truth = voices(24)
    found = identity_score(swapped(truth, 4, 6), truth, RATE)
    assert (found.swaps, found.right_joins) == (2, pytest.approx(21 / 23))
    assert found.right_windows == pytest.approx(22 / 24)


def test_a_swap_during_a_pause_is_a_wrong_return_but_no_wrong_join():
    truth = silent(silent(voices(40), 0, 10, 22), 1, 10, 22)  # both pause for 6 s
    found = identity_score(swapped(truth, 22, 40), truth, RATE)
    assert (found.swaps, found.right_joins, found.returns, found.right_returns) == (1, 1.0, 2, 0.0)
    kept = identity_score(truth, truth, RATE)
    assert (kept.swaps, kept.returns, kept.right_returns) == (0, 2, 1.0)


def test_only_heard_sources_are_judged():
    """While one source is silent, whatever its slot does cannot be wrong; the other's slot can."""
    truth = silent(voices(20), 1, 5, 20)
    found = identity_score(swapped(truth, 10, 20), truth, RATE)
    assert found.assignment[1] == 1
    assert found.right_windows == pytest.approx(15 / 25)
    assert found.swaps == 1


@given(seeds, st.permutations([0, 1, 2]))
def test_order_of_slots_does_not_matter(seed, order):
    truth = voices(8, sources=3, seed=seed)
    noisy = truth + 0.3 * voices(8, sources=3, seed=seed + 1)
    here, there = identity_score(noisy, truth, RATE), identity_score(noisy[list(order)], truth, RATE)
    assert tuple(order[slot] for slot in there.assignment) == here.assignment
    assert there.si_sdr == pytest.approx(here.si_sdr)
    assert (there.swaps, there.right_joins) == (here.swaps, here.right_joins)


@given(seeds, st.lists(st.integers(100, 3 * SAMPLES), min_size=1, max_size=6))
def test_blocks_give_what_the_whole_gives(seed, sizes):
    truth = voices(1 + sum(sizes) // SAMPLES, seed=seed)[:, : sum(sizes)]
    estimates = truth.flip(0) + 0.1 * truth
    meter = IdentityMeter(RATE, WINDOW)
    for e, t in zip(estimates.split(sizes, dim=1), truth.split(sizes, dim=1), strict=True):
        meter.update(e, t)
    blockwise, whole = meter.compute(), identity_score(estimates, truth, RATE)
    assert blockwise.si_sdr == pytest.approx(whole.si_sdr)
    assert blockwise.assignment == whole.assignment == (1, 0)
    assert (blockwise.swaps, blockwise.right_windows) == (whole.swaps, whole.right_windows)


def test_si_sdr_is_the_textbook_one():
    truth = voices(20)
    estimates = 3 * truth + voices(20, seed=5)
    expected = []
    for e, t in zip(estimates.double(), truth.double(), strict=True):
        target = (e @ t) / (t @ t) * t
        expected.append(float(10 * torch.log10(target.square().sum() / (e - target).square().sum())))
    assert identity_score(estimates, truth, RATE).si_sdr == pytest.approx(expected, abs=1e-6)


@given(seeds, st.integers(1, 3), st.integers(1, 4))
def test_silence_and_any_numbers_are_finite(seed, sources, slots):
    truth = silent(voices(6, sources, seed), 0, 0, 6)
    found = identity_score(torch.zeros(slots, truth.shape[1]), truth, RATE)
    assert found.swaps == 0
    assert math.isnan(found.si_sdr[0])
    assert 0 <= found.swaps_per_minute < math.inf
    heard = [score for s, score in enumerate(found.si_sdr) if s > 0 and found.assignment[s] >= 0]
    assert heard == pytest.approx([-100] * len(heard))


def test_more_speakers_than_slots_leave_one_out():
    truth = voices(12, sources=3)
    found = identity_score(truth[[2, 0]], truth, RATE)
    assert found.assignment == (1, -1, 0)
    assert found.si_sdr[0] == found.si_sdr[2] == pytest.approx(100)
    assert math.isnan(found.si_sdr[1])
    assert (found.right_windows, found.swaps) == (1.0, 0)


def test_surplus_slots_are_free():
    truth = voices(12)
    found = identity_score(torch.cat([torch.zeros(2, truth.shape[1]), truth]), truth, RATE)
    assert found.assignment == (2, 3)
    assert found.right_windows == 1.0


def test_who_is_heard_is_counted_window_by_window():
    truth = silent(voices(20), 1, 10, 20)
    assert identity_score(truth, truth, RATE).right_counts == 1.0
    assert identity_score(truth.flip(0), truth, RATE).right_counts == 1.0
    leaking = truth + 0.5 * truth.flip(0)
    assert identity_score(leaking, truth, RATE).right_counts == 0.5
    surplus = torch.cat([truth, 0.5 * truth[:1]])
    assert identity_score(surplus, truth, RATE).right_counts == 0.0


def test_errors():
    meter = IdentityMeter(RATE)
    with pytest.raises(UserError, match="no audio"):
        meter.compute()
    meter.update(voices(1), voices(1))
    with pytest.raises(UserError, match="3 slots"):
        meter.update(voices(1, 3), voices(1))
    with pytest.raises(UserError, match="NaN"):
        meter.update(voices(1) * math.nan, voices(1))


def noise(*shape, seed=0):
    return 0.1 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def truth(windows, sources=2, silent=()):
    wave = noise(sources, windows * 500)
    for source, first, last in silent:
        wave[source, first * 500 : last * 500] = 0
    return wave


@pytest.mark.parametrize(("windows", "returns"), [(9, 0), (10, 1)])
def test_five_seconds_of_silence_make_a_return(windows, returns):
    wave = truth(30, silent=[(1, 10, 10 + windows)])
    assert identity_score(wave, wave, 1000).returns == returns


def test_who_is_not_heard_cannot_be_joined_wrongly():
    wave = truth(60, silent=[(1, 50, 60)])
    slots = torch.zeros(3, 30000)
    slots[1, :20000], slots[0, 20000:], slots[2] = wave[0, :20000], wave[0, 20000:], wave[1]
    assert identity_score(slots, wave, 1000).right_joins == pytest.approx(58 / 59)


@pytest.mark.parametrize(("leak", "right"), [(0.18, 0.5), (0.05, 1.0)])
def test_clearly_heard_is_within_twenty_decibels(leak, right):
    wave = truth(20, silent=[(1, 10, 20)])
    assert identity_score(torch.stack([wave[0], wave[1] + leak * wave[0]]), wave, 1000).right_counts == right


def test_where_slots_are_equally_good_the_assigned_ones_are_right():
    wave = truth(20)
    slots = wave.flip(0).clone()
    slots[:, 2500:5000] = 0
    assert identity_score(slots, wave, 1000).right_windows == 1.0


def test_what_is_twenty_five_decibels_down_is_heard():
    wave = truth(20)
    wave[:, 5000:] *= 10 ** (-25 / 20)
    slots = torch.cat([wave[:, :5000], wave.flip(0)[:, 5000:]], dim=1)
    assert identity_score(slots, wave, 1000).right_windows == pytest.approx(0.5)
