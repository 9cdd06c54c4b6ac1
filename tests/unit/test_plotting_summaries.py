"""Summaries of recordings of any length stay small and say what the whole recording says."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from slotaudio.plotting import Digest, PowerMap, SlotHistory
from slotaudio.separation.observation import Observation
from slotaudio.types import Slots


@given(count=st.integers(1, 70), most=st.sampled_from([2, 4, 8]))
def test_a_digest_is_short_and_averages_neighbours(count, most):
    digest, given_ = Digest(most), torch.arange(count, dtype=torch.float64)
    for value in given_:
        digest.push(value)
    expected = torch.stack([part.mean() for part in given_.split(digest.each)])
    torch.testing.assert_close(digest.values(), expected)
    assert len(expected) <= most
    assert digest.seen == count
    assert count < most or len(expected) >= most // 2  # no shorter than it must be


@given(cuts=st.lists(st.integers(1, 3000), min_size=1, max_size=5))
@settings(max_examples=20)
def test_power_does_not_depend_on_the_blocks(cuts):
    wave = torch.randn(2, sum(cuts), generator=torch.Generator().manual_seed(0))
    whole, pieces = PowerMap(8000), PowerMap(8000)
    whole.push(wave)
    for piece in wave.split(cuts, dim=1):
        pieces.push(piece)
    torch.testing.assert_close(pieces.power(), whole.power())
    assert pieces.seconds == sum(cuts) / 8000


def test_an_hour_is_no_wider_than_a_minute_and_a_tone_stays_in_its_row():
    power = PowerMap(8000, columns=64, rows=50)
    tone = torch.sin(torch.arange(8000) * 2 * torch.pi * 1000 / 8000)[None]
    for _ in range(60):
        power.push(tone)
    cells = power.power()
    assert cells.shape[0] == 50
    assert 32 <= cells.shape[1] <= 64
    assert (cells.argmax(dim=0) == 12).all()  # 1 kHz of 4
    assert abs(power.span - 60) < 2
    assert abs(power.column_times[-1] - 60) < 2


def seen(start: float, order: list[int], presence: float | None = None, level: float | None = None) -> Observation:
    slots = len(order)
    return Observation(
        start,
        Slots(
            torch.full((1, 2, slots, 3), start),
            presence=None if presence is None else torch.full((1, 2, slots), presence),
        ),
        torch.zeros(1, 2),
        torch.tensor([order]),
        None if level is None else torch.full((1, 2, slots), level),
    )


def test_a_history_knows_when_and_which_slot():
    history = SlotHistory(most=4)
    for number in range(5):  # more than it keeps: pairs are averaged
        history(seen(number * 0.5 - 0.25, [0, 1] if number < 4 else [1, 0], presence=0.0))
    torch.testing.assert_close(history.vectors[:, 0, 0], torch.tensor([0.0, 1.0, 1.75]))
    torch.testing.assert_close(history.times(0.5), torch.tensor([0.25, 1.25, 2.0]))
    torch.testing.assert_close(history.shares, torch.tensor([[0.8, 0.2], [0.2, 0.8]]))
    torch.testing.assert_close(history.presence, torch.full((3, 2), 0.5))
    torch.testing.assert_close(history.heard, history.presence)


def test_without_presence_the_level_tells_how_much_is_heard():
    history = SlotHistory()
    assert history.heard is None
    for start, level in ((0.0, -20.0), (0.5, -40.0), (1.0, -120.0)):
        history(seen(start, [0], level=level))
    assert history.presence is None
    torch.testing.assert_close(history.heard[:, 0], torch.tensor([1.0, 0.5, 0.0]))
