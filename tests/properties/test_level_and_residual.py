"""Offsets are taken off, levels followed without looking ahead; residuals go to whoever is heard."""

from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from slotaudio.separation.level import Level
from slotaudio.separation.observation import Observation
from slotaudio.separation.offset import OffsetFilter
from slotaudio.separation.residual import ResidualSharer
from slotaudio.types import Slots

seeds = st.integers(0, 999)


def drawn(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@given(seed=seeds, length=st.integers(1, 400), slots=st.integers(1, 4), cuts=st.lists(st.integers(0, 400), max_size=4))
def test_slots_add_up_however_the_stream_is_cut(seed, length, slots, cuts):
    mixture, waves = drawn(seed, 2, 1, length), drawn(seed + 1, 2, slots, 1, length)

    def shared(edges: list[int]) -> torch.Tensor:
        sharer = ResidualSharer(16)
        pieces = [sharer.push(mixture[..., a:b], waves[..., a:b]) for a, b in pairwise(edges)]
        return torch.cat([*pieces, sharer.finish()], dim=-1)

    whole = shared([0, length])
    assert whole.shape == waves.shape
    torch.testing.assert_close(whole.sum(dim=1), mixture, rtol=0, atol=1e-5)
    torch.testing.assert_close(shared([0, *sorted(min(cut, length) for cut in cuts), length]), whole)


@given(seed=seeds, silent=st.integers(0, 2))
def test_silent_slots_stay_silent_and_complete_ones_stay_as_they_are(seed, silent):
    waves = drawn(seed, 1, 3, 1, 300)
    waves[:, silent] = 0
    sharer = ResidualSharer(16)
    shared = torch.cat([sharer.push(drawn(seed + 1, 1, 1, 300), waves), sharer.finish()], dim=-1)
    assert shared[:, silent].abs().max() < 1e-6
    sharer = ResidualSharer(16)
    kept = torch.cat([sharer.push(waves.sum(dim=1), waves), sharer.finish()], dim=-1)
    torch.testing.assert_close(kept, waves, rtol=0, atol=1e-6)


def test_what_lies_above_the_models_band_goes_to_whoever_sounds_near_it():
    time = torch.arange(4800) / 48000
    vowel, hiss = torch.sin(2 * torch.pi * 200 * time), 0.3 * torch.sin(2 * torch.pi * 7000 * time)
    above = 0.2 * torch.sin(2 * torch.pi * 12000 * time)
    waves = torch.stack([vowel, hiss])[None, :, None]
    sharer = ResidualSharer(480)
    shared = torch.cat([sharer.push(waves.sum(dim=1) + above, waves), sharer.finish()], dim=-1)
    gained = (shared - waves).square().sum(dim=-1).flatten()
    assert gained[1] > 100 * gained[0]


def without_offset(wave: torch.Tensor, *cuts: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Filter a wave of 1000 Hz, cut into blocks."""
    filter_, edges = OffsetFilter(1000), [0, *sorted(min(cut, wave.shape[-1]) for cut in cuts), wave.shape[-1]]
    pieces = [*(filter_.push(wave[..., a:b]) for a, b in pairwise(edges)), filter_.finish()]
    rest, offset = zip(*pieces, strict=True)
    return torch.cat(rest, dim=-1), torch.cat(offset, dim=-1)


@given(seed=seeds, length=st.integers(1, 1500), cuts=st.lists(st.integers(0, 1500), max_size=4))
def test_offsets_are_the_same_however_the_stream_is_cut(seed, length, cuts):
    wave = drawn(seed, 2, 1, length)
    rest, offset = without_offset(wave)
    torch.testing.assert_close(rest + offset, wave)
    assert rest.shape == wave.shape
    for cut, whole in zip(without_offset(wave, *cuts), (rest, offset), strict=True):
        torch.testing.assert_close(cut, whole, rtol=0, atol=1e-6)


@given(seed=seeds, offset=st.floats(-0.5, 0.5), length=st.integers(501, 1200))
def test_an_offset_goes_and_what_can_be_heard_stays(seed, offset, length):
    phase = float(drawn(seed, 1))
    hum = 0.1 * torch.sin(2 * torch.pi * 50 * torch.arange(length) / 1000 + phase)
    rest, _ = without_offset((hum + offset)[None, None])
    torch.testing.assert_close(rest[0, 0], hum, rtol=0, atol=2e-4)


@given(seed=seeds, exponent=st.integers(-10, 3))
def test_gains_undo_the_level(seed, exponent):
    windows = drawn(seed, 2, 9, 1, 50) * 0.1
    factor = 2.0**exponent
    torch.testing.assert_close(Level(100, 25).gains(windows * factor) * factor, Level(100, 25).gains(windows))


def test_what_can_hardly_be_heard_is_not_made_loud():
    assert (Level(100, 25).gains(torch.full((1, 3, 1, 50), 1e-9)) == 1e4).all()  # by 80 dB at most


@given(seed=seeds, seen=st.integers(1, 8))
def test_gains_do_not_look_ahead(seed, seen):
    windows = drawn(seed, 1, 9, 1, 50)
    windows[:, seen:] *= 100
    level = Level(100, 25)
    first, rest = level.gains(windows[:, :seen]), level.gains(windows[:, seen:])
    torch.testing.assert_close(Level(100, 25).gains(windows), torch.cat([first, rest], dim=1))
    torch.testing.assert_close(first, Level(100, 25).gains(windows[:, :seen] * 1.0))
    assert rest[0, 0] < first[0, -1]


def test_long_windows_have_the_level_of_their_loudest_half_second():
    window = torch.full((1, 1, 1, 800), 0.001)
    window[..., 300:350] = 0.1
    torch.testing.assert_close(Level(100, 400).gains(window), Level(100, 25).gains(window[..., 300:350]))


def test_gains_hold_through_pauses_and_silence_is_left_alone():
    speech, pause = torch.full((1, 1, 1, 50), 0.1), torch.zeros(1, 20, 1, 50)
    gains = Level(100, 25).gains(torch.cat([speech, pause, speech], dim=1))[0]
    assert gains[20] < 1.1 * gains[0]  # 5 s of silence hardly change it
    assert gains[-1] == gains[0]
    assert torch.equal(Level(100, 25).gains(pause), torch.ones(1, 20))


def test_the_level_is_forgotten_by_half_in_thirty_seconds():
    level = Level(100, 100)  # windows of a second side by side
    windows = torch.cat([torch.full((1, 1, 1, 100), 0.1), torch.full((1, 30, 1, 100), 0.001)], dim=1)
    gains = level.gains(windows)[0]
    assert gains[30] / gains[0] == pytest.approx(2**0.5, rel=1e-4)


def window(level, presence=None):
    batch, slots = level.shape
    logits = None if presence is None else presence[:, None]
    order = torch.arange(slots).expand(batch, slots)
    return Observation(
        0.0, Slots(torch.zeros(batch, 1, slots, 3), None, logits), torch.zeros(1, 2), order, level[:, None]
    )


def test_the_loudest_half_second_may_begin_at_any_quarter():
    window = torch.full((1, 1, 1, 100), 1e-4)
    window[..., 25:75] = 0.1
    assert Level(100, 50, -20.0).gains(window) == pytest.approx(1.0, rel=1e-3)


def noise(*shape, seed=0):
    return 0.1 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_shares_move_on_from_frame_to_frame_without_a_jump():
    mixture, waves = torch.ones(1, 1, 96), torch.zeros(1, 2, 1, 96)
    waves[0, 0, 0, :48], waves[0, 1, 0, 48:] = noise(48), noise(48, seed=1)
    sharer = ResidualSharer(16)
    given = torch.cat([sharer.push(mixture, waves), sharer.finish()], dim=-1) - waves
    residual = mixture - waves.sum(1)
    share = (given[0, 0, 0] / residual[0, 0])[:80]
    assert share.diff().abs().max() < 0.1


def test_who_owns_what_is_above_is_told_by_the_top_of_the_band():
    time = torch.arange(4800) / 48000
    vowel, hiss = torch.sin(2 * torch.pi * 1000 * time), 0.05 * torch.sin(2 * torch.pi * 7000 * time)
    waves = torch.stack([vowel, hiss])[None, :, None]
    above = 0.2 * torch.sin(2 * torch.pi * 12000 * time)
    sharer = ResidualSharer(480)
    shared = torch.cat([sharer.push(waves.sum(1) + above, waves), sharer.finish()], dim=-1)
    gained = (shared - waves).square().sum(-1).flatten()
    assert gained[1] > 3 * gained[0]  # the vowel is 20 times as loud


@pytest.mark.parametrize("length", [124, 100, 60, 51])
def test_the_end_of_a_window_counts_whatever_its_length(length):
    window = torch.zeros(1, 1, 1, length)
    window[..., -50:] = 0.1
    assert Level(100, 50, -20.0).gains(window) == pytest.approx(1.0, rel=1e-3)
