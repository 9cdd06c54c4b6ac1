"""Evaluation of conversations: oracles keep everybody, deranged ones do not, models are given blocks."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from slotaudio import Spec, compose
from slotaudio.data.bundled import speech
from slotaudio.data.conversations import Conversations
from slotaudio.errors import UserError
from slotaudio.evaluation.hearing import following
from slotaudio.evaluation.long import VALUES, evaluate_long, follow
from slotaudio.evaluation.rows import informed_rows, model_rows
from slotaudio.identity import identity_score
from slotaudio.matchers.fixed import Fixed
from slotaudio.representation import Embedding
from slotaudio.separation.hindsight import Hindsight, HindsightOrder

STFT = Spec("stft", framing="centred")


def talks(**options):
    return Conversations(speech("dev"), **{"seconds": 20.0, "size": 2, "fixed": True, "seed": 4, **options})


def test_oracles_keep_everybody_where_something_joins_the_windows():
    rows = informed_rows(STFT, 0.5, ["wiener"], ["blind", "adjacent", "adjacent-given"])
    results = list(evaluate_long(rows, talks()))
    by_joining = {
        joining: [result.values for result in results if result.labels["joining"] == joining]
        for joining in ("blind", "adjacent", "adjacent-given")
    }
    assert all(len(found) == 2 for found in by_joining.values())
    assert all(found["right_windows"] > 0.95 and found["swaps_per_minute"] <= 6 for found in by_joining["blind"])
    assert all(found["swaps_per_minute"] > 15 for found in by_joining["adjacent-given"])
    for found in by_joining["adjacent"]:
        assert found["right_joins"] > 0.8
    assert set(VALUES) <= set(results[0].values)
    assert results[0].labels["speakers"].count(" ") == 1


def test_models_are_followed_in_blocks_of_any_size():
    torch.manual_seed(0)
    model = compose(
        frontend=STFT,
        encoder=Spec("resnet", depth=10, width=2),
        bottleneck=Spec("carry_over", bottleneck=Spec("slot_attention", slot_dim=8, presence=True), heads=2),
        decoder=Spec("spatial_broadcast", hidden=8, layers=1, patch=(8, 8), output="softplus"),
    )
    (row,) = model_rows(model)
    conversation = talks(seconds=6.0).conversation(0)
    shares: list[float] = []
    one, counted, _ = follow(row, conversation, shares.append, block=1.3)
    two, again, _ = follow(row, conversation, block=6.0)
    assert one.si_sdr == pytest.approx(two.si_sdr, abs=0.01)
    assert one.right_windows == two.right_windows
    assert counted == again
    assert 0 <= counted <= 1
    assert shares == sorted(shares)
    assert shares[-1] == 1


def test_what_is_measured_is_what_is_separated(any_length, monkeypatch):
    (row,) = model_rows(any_length)
    talk = talks(seconds=12.0)
    mixture, sources, _ = talk[0]
    cuts, orders = torch.tensor([60000, 130000]), torch.tensor([[0, 1], [1, 0], [0, 1]])
    monkeypatch.setattr(Hindsight, "decide", lambda *_: HindsightOrder(16000, cuts, orders, []))
    measured, _, _ = follow(row, talk.conversation(0))
    found = identity_score(row.separator(sources[None])(mixture, 16000).sources[:, 0], sources[:, 0], 16000)
    assert measured.si_sdr == pytest.approx(found.si_sdr, abs=0.01)
    monkeypatch.setattr(Hindsight, "decide", lambda *_: HindsightOrder(16000, cuts[:0], orders[:1], []))
    assert follow(row, talk.conversation(0))[0].si_sdr != pytest.approx(found.si_sdr, abs=0.01)


def test_without_presence_nothing_is_counted_by_it():
    (row,) = informed_rows(STFT, 0.5, ["wiener"])
    found, counted, number = follow(row, talks(seconds=12.0).conversation(0))
    assert math.isnan(counted)
    assert number
    assert found.right_counts > 0.8


@pytest.fixture(scope="module")
def knowing():
    """A row that separates by the true sources."""
    (row,) = informed_rows(STFT, 0.5, ["wiener"])
    return row


def test_a_window_is_right_that_says_how_many_speak_in_its_middle(knowing):
    conversation = talks(seconds=6.0).conversation(0)
    middles = np.arange(25) / 4  # windows of half a second every quarter, the first around the beginning
    speaking = [sum(turn.start <= at < turn.end for turn in conversation.turns) for at in middles]
    assert set(speaking) == {0, 1, 2}

    def saying(sources):
        separator, numbers = knowing.separator(sources), iter(speaking)

        def say(_, inputs, slots):
            number = torch.tensor([next(numbers) for _ in slots.vectors[0]])[None, :, None]
            return replace(slots, presence=torch.where(torch.arange(2) < number, 0.5, -0.5))

        separator.model.bottleneck.register_forward_hook(say)
        return separator

    assert follow(replace(knowing, separator=saying), conversation)[1] == 1
    speaking = [2 - number for number in speaking]
    assert follow(replace(knowing, separator=saying), conversation)[1] == speaking.count(1) / 25


def test_outputs_belong_to_speakers_as_the_rows_matcher_says(knowing):
    class Crossed(Fixed):
        def __call__(self, cost):
            return super().__call__(cost).flip(1)

    conversation = talks(seconds=6.0).conversation(0)
    found = [follow(replace(knowing, matcher=matcher), conversation)[0] for matcher in (Fixed(), Crossed())]
    assert [score.assignment for score in found] == [(0, 1), (1, 0)]


def test_progress_is_that_of_all_rows_and_conversations(knowing):
    shares: list[float] = []
    results = list(evaluate_long([knowing, knowing], talks(seconds=3.0), shares.append))
    assert len(results) == 4
    assert shares == [0.25, 0.5, 0.75, 1.0]


def test_reference_joining_would_hide_what_is_measured():
    with pytest.raises(UserError, match="no speaker could be lost"):
        list(evaluate_long(informed_rows(STFT, 0.5, ["ibm"], ["reference"]), talks()))


def test_a_slot_follows_by_being_louder_than_the_others():
    level = np.array([[-20.0, -40.0], [-20.0, -40.0], [-60.0, -120.0]], np.float32)
    vectors = np.arange(6, dtype=np.float32).reshape(3, 2, 1)
    embedding = Embedding(np.arange(3.0), vectors, 1.0, level=level)
    np.testing.assert_array_equal(following(embedding, np.array([10.0, 10.0, -10.0]))[:, 0], [0, 2, 4])
