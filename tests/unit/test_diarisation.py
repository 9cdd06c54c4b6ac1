"""Who speaks when: turns from outputs, and how wrong they are."""

import inspect
from itertools import permutations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from slotaudio import Separator, Spec, UserError, compose
from slotaudio.data.bundled import speech
from slotaudio.data.conversations import Conversations
from slotaudio.data.folder import FolderMixtures
from slotaudio.diarisation import TurnRule, _Levels, by_level, diarise, turns, turns_by_level
from slotaudio.evaluation.diarisation import diarisation_error
from slotaudio.evaluation.rows import informed_rows
from slotaudio.rttm import Turn
from slotaudio.separation.oracle import oracle

RULE = TurnRule()
some_turns = st.lists(
    st.builds(
        lambda start, length, name: Turn(start / 10, length / 10, name),
        st.integers(0, 60),
        st.integers(1, 30),
        st.sampled_from("abc"),
    ),
    min_size=1,
    max_size=6,
)


def sampled_rate(reference, found, skip=lambda time: False):
    """The rate by looking every 10 ms and trying every mapping."""
    times = [t for t in np.arange(0.005, 10, 0.01) if not skip(t)]

    def who(these, time):
        return {turn.speaker for turn in these if turn.start <= time < turn.end}

    true, named = [who(reference, t) for t in times], [who(found, t) for t in times]
    best = max(
        sum(len({mapping.get(name) for name in names} & speakers) for speakers, names in zip(true, named, strict=True))
        for mapping in (dict(zip(order, "abc", strict=True)) for order in permutations("abc"))
    )
    total = sum(map(len, true))
    return (sum(max(len(a), len(b)) for a, b in zip(true, named, strict=True)) - best) / total if total else None


@given(some_turns, some_turns)
def test_error_rate_is_what_sampling_and_trying_gives(reference, found):
    assert diarisation_error(reference, found).rate == pytest.approx(sampled_rate(reference, found), abs=1e-6)

    def near(time):
        return any(abs(time - edge) < 0.2 for turn in reference for edge in (turn.start, turn.end))

    with_collar = diarisation_error(reference, found, collar=0.2)
    expected = sampled_rate(reference, found, near)
    if expected is not None:
        assert with_collar.rate == pytest.approx(expected, abs=1e-6)


def test_parts_of_the_error():
    reference = [Turn(0.0, 10.0, "ann"), Turn(8.0, 7.0, "bob")]
    found = [Turn(0.0, 9.0, "slot2"), Turn(9.0, 4.0, "slot1"), Turn(20.0, 1.0, "slot1")]
    error = diarisation_error(reference, found)
    assert error.speakers == {"slot2": "ann", "slot1": "bob"}
    assert (error.total, error.missed, error.false_alarm, error.confusion) == pytest.approx((17, 4, 1, 0))
    assert diarisation_error(reference, found, skip_overlap=True).missed == pytest.approx(2)
    assert diarisation_error(reference, [Turn(t.start, t.duration, "x") for t in reference]).confusion == 5
    beside = [Turn(0.0, 15.0, "slot1"), Turn(20.0, 1.0, "slot2")]
    assert diarisation_error(reference, beside).speakers == {"slot1": "ann"}  # slot2 stands for nobody
    assert diarisation_error(reference, reference).rate == 0
    assert diarisation_error(reference, []).rate == 1
    assert np.isnan(diarisation_error([], found).rate)
    assert np.isnan(diarisation_error([], []).rate)
    with pytest.raises(UserError, match="one recording at a time"):
        diarisation_error([*reference, Turn(0.0, 1.0, "cy", "another")], found)
    with pytest.raises(UserError, match="one recording at a time"):
        diarisation_error(reference, [*found, Turn(0.0, 1.0, "slot1", "another")])
    with pytest.raises(UserError, match="collar"):
        diarisation_error(reference, found, collar=-1.0)


def levels(*decibels):
    return 10 ** (np.repeat(np.array(decibels, float), 50, axis=0) / 10)


def test_levels_tell_speech_from_noise_and_leakage():
    power = levels((-20, -70), (-70, -70), (-40, -22), (-24, -26), (-70, -70), (-30, -55))
    active = by_level(power, RULE)[25::50]
    assert active.tolist() == [[1, 0], [0, 0], [0, 1], [1, 1], [0, 0], [1, 0]]
    for gain in (1e-2, 1e2):
        assert (by_level(power * gain, RULE) == by_level(power, RULE)).all()
    assert not by_level(np.zeros((100, 2)), RULE).any()
    assert by_level(levels((-20, -60), (-21, -60)), RULE)[:, 0].all()  # nothing but speech


def test_turns_begin_softly_and_end_softly():
    """Between the level at which a turn begins and the one at which it ends, what was so far goes on."""
    levels_of_one = levels((-70, -90), (-52, -90), (-20, -90), (-52, -90), (-70, -90), (-52, -90))
    assert by_level(levels_of_one, RULE)[25::50, 0].tolist() == [0, 0, 1, 1, 0, 0]


def test_gaps_are_filled_and_short_turns_left_out():
    active = np.array([[1, 0], [0, 0], [1, 0], [0, 1], [0, 0], [0, 0], [1, 0]], bool)
    rule = TurnRule(gap=1.0, least=1.5)
    found = turns(active, np.arange(8.0), ["a", "b"], rule)
    assert found == [Turn(0.0, 3.0, "a")]
    assert turns(active[:0], np.zeros(1), ["a", "b"], rule) == []


def test_turns_are_padded_within_the_recording_and_run_together():
    active = np.array([[1, 0], [0, 0], [1, 0], [0, 1], [0, 0], [0, 0], [1, 0]], bool)
    rule = TurnRule(gap=0.5, pad=0.5)
    assert turns(active, np.arange(8.0), ["a", "b"], rule) == [
        Turn(0.0, 3.5, "a"),
        Turn(2.5, 2.0, "b"),
        Turn(5.5, 1.5, "a"),
    ]


def test_oracle_outputs_give_the_turns():
    data = Conversations(speech("dev"), seconds=15.0, size=1, fixed=True, seed=4, overlap=0.2)
    conversation = data.conversation(0)
    sources = conversation.sources()
    (row,) = informed_rows(Spec("stft", framing="centred"), 0.5, ["wiener"])
    separator = row.separator(sources[None])
    separator.sources = (1, 2)
    separator.model.decoder.rewind(separator.framing)
    done = []
    found = diarise(separator, sources.sum(0), 16000, recording="talk", progress=done.append)
    assert done[-1] == 15.0
    assert {turn.recording for turn in found} == {"talk"}
    assert {turn.speaker for turn in found} == {"slot1", "slot2"}
    assert diarisation_error(conversation.turns, found, collar=0.25).rate < 0.15
    true = turns_by_level(sources, 16000, recording="talk")
    assert diarisation_error(true, found, collar=0.25).rate < 0.05


def presence_model():
    torch.manual_seed(0)
    return compose(
        Spec("stft", framing="centred"),
        Spec("resnet", depth=10, width=2),
        Spec("slot_attention", slot_dim=8, presence=True),
        Spec("spatial_broadcast", hidden=8, layers=1, patch=(8, 8), output="softplus"),
    )


def test_presence_decides_how_many_speak_and_levels_when():
    model, wave = presence_model(), noise(1, 40000)
    wave[:, 12000:32000] = 0
    found = {}
    for logit in (9.0, -9.0):
        with torch.no_grad():
            model.bottleneck.presence[1].bias.fill_(logit)
        found[logit] = diarise(Separator(model, sources="unknown"), wave)
        told = diarise(Separator(model, sources=2), wave)
        assert {turn.speaker for turn in told} == {"slot1", "slot2"}  # who says the number is believed
    assert {turn.speaker for turn in found[9.0]} == {"slot1", "slot2"}
    assert all(turn.end < 0.9 or turn.start > 1.8 for turn in found[9.0])
    assert found[-9.0] == []
    with pytest.raises(UserError, match="no samples"):
        diarise(Separator(model), wave[:, :0])
    with pytest.raises(UserError, match="takes a Separator first, not 'band-split'"):
        inspect.unwrap(diarise)("band-split", wave)  # without the checks that only tests make


@pytest.mark.parametrize("wrong", [{"gap": -1.0}, {"leak": -3.0}, {"pad": -0.1}])
def test_rules_that_cannot_be(wrong):
    with pytest.raises(UserError):
        TurnRule(**wrong)


def test_the_last_frame_may_be_a_part():
    levels = _Levels(1000)
    levels.push(torch.ones(1, 1, 50))  # frames of 20
    np.testing.assert_allclose(levels.finish(), np.ones((3, 1)))


def noise(*shape, seed=0):
    return 0.1 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_a_speaker_has_the_name_of_its_output():
    voice = FolderMixtures(speech("dev"), seconds=4.0, sources=1, size=1, seed=2, fixed=True)[0][1][0]
    separator = Separator(
        oracle(torch.stack([0 * voice, voice])[None], Spec("stft", framing="centred")), sources="unknown"
    )
    separator.model.decoder.rewind(separator.framing)
    assert {turn.speaker for turn in diarise(separator, voice)} == {"slot2"}


def test_turns_are_rounded_to_the_millisecond():
    found = turns(np.array([[1]], bool), np.array([0.1234, 1.2346]), ["a"], TurnRule())
    assert found == [Turn(0.123, 1.111, "a")]
