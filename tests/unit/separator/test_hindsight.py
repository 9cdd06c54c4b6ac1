"""Hindsight: who changed places is brought back, nobody else moves, and doubts are found."""

import pytest
import torch
from two_voices import RATE, SWAPPED, spoken, swapped

from slotaudio.matchers.exhaustive import Exhaustive
from slotaudio.matchers.fixed import Fixed
from slotaudio.separation import turns
from slotaudio.separation.doubt import merged, told
from slotaudio.separation.hindsight import Hindsight, HindsightOrder


def decided(
    outputs: torch.Tensor, block: int = RATE, kept: tuple[int, ...] = (0, 1), matcher: object = None
) -> HindsightOrder:
    hindsight = Hindsight(matcher or Exhaustive(), RATE)
    for piece in outputs.split(block, dim=-1):
        hindsight.push(piece)
    hindsight.finish()
    return hindsight.decide(kept)


def test_who_changes_places_is_brought_back_and_nobody_else_moves(talk):
    changed = swapped(talk)
    order = decided(changed)
    found = order.applied(changed[0])
    at = [
        cut / RATE
        for cut, one, two in zip(order.cuts, order.orders, order.orders[1:], strict=False)
        if (one != two).any()
    ]
    assert at == pytest.approx(SWAPPED, abs=0.5)
    wrong = (found != talk[0]).any(dim=1).any(dim=0).nonzero()[:, 0] / RATE
    assert all(min(abs(float(second) - end) for end in SWAPPED) < 0.5 for second in wrong)
    assert sum(end - start for start, end in order.doubtful) < 2  # of the order that was found
    assert torch.allclose(found.sum(dim=0), changed[0].sum(dim=0), atol=1e-6)


def test_who_stays_is_given_back_bit_for_bit(talk):
    order = decided(talk)
    assert not order.changes
    assert order.doubtful == []
    assert torch.equal(order.applied(talk[0]), talk[0])


def test_blocks_of_any_length_are_heard_and_put_into_order_alike(talk):
    changed = swapped(talk)
    one, two = decided(changed, block=12345), decided(changed, block=changed.shape[-1])
    assert torch.equal(one.orders, two.orders)
    assert torch.equal(one.cuts, two.cuts)
    assert one.doubtful == two.doubtful
    pieces, start = [], 0
    for piece in changed[0].split(54321, dim=-1):
        pieces.append(one.applied(piece, start))
        start += piece.shape[-1]
    torch.testing.assert_close(torch.cat(pieces, dim=-1), one.applied(changed[0]), rtol=0, atol=1e-7)


@pytest.mark.parametrize("seconds", [4.3, 5.7])
def test_a_segment_is_described_by_what_lies_between_its_cuts(seconds):
    hindsight = Hindsight(Exhaustive(), RATE)
    noise = 0.1 * torch.randn(1, 1, 1, round(seconds * RATE), generator=torch.Generator().manual_seed(0))
    for piece in torch.cat([noise, 0 * noise], dim=1).split(7000, dim=-1):
        hindsight.push(piece)
    hindsight.finish()
    heard = torch.cat([*hindsight._said, hindsight._since[:, :, None]], dim=2)[0, 0, :, 0]  # frames of each segment
    cuts = torch.cat(hindsight._cuts, dim=1)[0] / hindsight.hop
    assert len(cuts) == int(2 * seconds)  # one every half second
    ends = torch.tensor([noise.shape[-1] // hindsight.hop])
    assert heard.tolist() == torch.cat([cuts, ends]).diff(prepend=torch.ones(1)).tolist()


def test_what_is_as_soft_as_noise_teaches_nothing():
    hindsight = Hindsight(Exhaustive(), RATE)
    noise = 0.1 * torch.randn(1, 1, 1, 4 * RATE, generator=torch.Generator().manual_seed(0))
    noise[..., 2 * RATE :] *= 10 ** (-(turns.AUDIBLE + 5) / 20)
    hindsight.push(torch.cat([noise, 0 * noise], dim=1))
    hindsight.finish()
    heard = torch.cat([*hindsight._said, hindsight._since[:, :, None]], dim=2)[0, 0, :, 0].sum()
    assert heard * hindsight.hop / RATE == pytest.approx(2, abs=0.1)


def test_places_are_changed_in_the_middle_of_a_silence():
    hindsight = Hindsight(Exhaustive(), RATE)
    waves = torch.ones(1, 2, 1, 3 * RATE)
    middle = 40 * hindsight.hop
    waves[..., middle - 2 * hindsight.hop : middle + 2 * hindsight.hop] = 0
    hindsight.push(waves)
    assert middle in hindsight._cuts[0]


def test_outputs_that_change_places_are_those_that_hold_a_source(talk):
    outputs = torch.cat([0 * talk[:, :1], swapped(talk)], dim=1)
    order = decided(outputs, kept=(1, 2))
    assert order.changes
    assert torch.equal(order.orders, torch.cat([0 * order.orders[:, :1], 1 + decided(swapped(talk)).orders], dim=1))


@pytest.mark.parametrize("permutation", [[0, 2, 1], [2, 0, 1]])
def test_permuting_the_outputs_permutes_what_is_found(permutation):
    sources = spoken(0, 1, 4)
    outputs = sources.clone()
    part = slice(20 * RATE, 26 * RATE)
    outputs[..., part] = sources[:, [1, 2, 0], :, part]
    one = decided(outputs, kept=(0, 1, 2))
    assert one.changes
    permuted = outputs[:, permutation]
    other = decided(permuted, kept=(0, 1, 2))
    torch.testing.assert_close(other.applied(permuted[0]), one.applied(outputs[0])[permutation], rtol=0, atol=1e-6)


def test_recordings_of_a_batch_and_silent_outputs_are_apart(talk):
    changed = torch.cat([talk, 0 * talk[:, :1]], dim=1)
    hindsight = Hindsight(Exhaustive(), RATE)
    hindsight.push(torch.cat([changed, torch.cat([swapped(talk), 0 * talk[:, :1]], dim=1)]))
    hindsight.finish()
    assert not hindsight.decide([0, 1], 0).changes
    order = hindsight.decide([0, 1], 1)
    assert order.changes
    assert (order.orders[:, 2] == 2).all()


def test_where_there_is_no_order_nobody_moves(talk):
    changed = swapped(talk)
    silent = torch.cat([changed[:, :1], 0 * changed[:, 1:]], dim=1)
    for order in (
        decided(changed, kept=(0,)),
        decided(changed, matcher=Fixed()),
        decided(silent),
        decided(changed[..., 20 * RATE : 22 * RATE]),
        decided(changed[..., :RATE]),
        decided(swapped(spoken(*range(6)), 2), kept=tuple(range(6))),
    ):
        assert not order.changes
        assert order.orders.shape[1] in (2, 6)


def test_where_both_outputs_hold_both_voices_it_is_doubtful(talk):
    outputs = talk.clone()
    part = slice(20 * RATE, 26 * RATE)
    outputs[..., part] = (
        0.5 * (talk + talk.flip(1))[..., part] + torch.tensor([0.01, -0.01])[:, None, None] * talk[..., part]
    )
    found = decided(outputs).doubtful
    assert all(18 < start < end < 28 for start, end in found)
    assert sum(end - start for start, end in found) > 1


def test_doubt_may_last_from_the_beginning_to_the_end(talk, monkeypatch):
    monkeypatch.setattr(Hindsight, "_weighed", lambda self, said, *_: torch.full((len(said), 2), 0.5))
    assert decided(talk).doubtful == [(0.0, 40.0)]


def test_hours_and_many_places_are_told_in_a_line():
    assert told([(192.2, 200.9), (3671.0, 3672.0)]) == (
        "voices may have changed places at 3:12-3:21, 1:01:11-1:01:12: listen there"
    )
    many = [(10.0 * n, 10.0 * n + (5 if n == 3 else 1)) for n in range(20)]
    assert "at 20 places, 24 s together, the longest of which are 0:00-0:01, " in told(many)
    assert "0:30-0:35" in told(many)


def test_all_places_are_told_as_long_as_they_are_few():
    dozen = [(10.0 * n, 10.0 * n + 1) for n in range(12)]
    assert told(dozen).count(",") == 11
    assert "places," not in told(dozen)


def test_doubtful_segments_that_are_near_are_one_stretch():
    assert merged([(1.0, 1.5), (1.5, 2.0), (3.9, 4.4), (6.5, 7.0)]) == [(1.0, 4.4), (6.5, 7.0)]
