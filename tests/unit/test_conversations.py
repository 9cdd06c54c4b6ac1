"""Conversations: timelines keep their promises, audio follows the timeline, hours need no memory."""

from itertools import pairwise

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from slotaudio.compose import build
from slotaudio.data.bundled import speech
from slotaudio.data.conversation import Conversation, Piece, Reel, Voice
from slotaudio.data.conversations import Conversations
from slotaudio.data.epochs import SkippedUtterance
from slotaudio.data.mixing import active_level, level
from slotaudio.data.timeline import Manner, draw_timeline, overlap_of
from slotaudio.errors import DataError, UserError
from slotaudio.rttm import Turn, read_rttm

seeds = st.integers(0, 2**31 - 1)
NAMES = ["ann", "bob", "cem"]


@given(seeds, st.integers(1, 3), st.floats(0, 1), st.floats(2, 200))
def test_nobody_overlaps_himself_and_never_do_three_speak(seed, speakers, overlap, seconds):
    turns = draw_timeline(np.random.default_rng(seed), NAMES[:speakers], seconds, Manner(overlap))
    assert turns == sorted(turns)
    for name in NAMES:
        own = [turn for turn in turns if turn.speaker == name]
        assert all(after.start >= before.end - 1e-6 for before, after in pairwise(own))
    edges = sorted([(round(t.start, 3), 1) for t in turns] + [(round(t.end, 3), -1) for t in turns])
    assert max(np.cumsum([change for _, change in edges]), default=0) <= 2
    assert all(turn.start >= 0 and turn.end <= seconds + 1e-3 for turn in turns)


@pytest.mark.parametrize("speakers", [2, 3])
@pytest.mark.parametrize("overlap", [0.0, 0.1, 0.3, 0.6, 1.0])
def test_overlap_is_as_wanted(speakers, overlap):
    turns = draw_timeline(np.random.default_rng(3), NAMES[:speakers], 600.0, Manner(overlap))
    assert overlap_of(turns) == pytest.approx(overlap, abs=0.06)


def test_overlap_is_measured_over_speech_only():
    turns = [Turn(0.0, 4.0, "a"), Turn(3.0, 3.0, "b"), Turn(10.0, 2.0, "a")]
    assert overlap_of(turns) == pytest.approx(1 / 8)
    assert overlap_of([]) == 0


def test_long_pauses_come_as_often_as_wanted():
    turns = draw_timeline(np.random.default_rng(0), NAMES[:2], 3600.0, Manner(0.2, pauses=1.0, pause=(5.0, 8.0)))
    ends = np.maximum.accumulate([turn.end for turn in turns])
    silences = np.array([turn.start for turn in turns[1:]]) - ends[:-1]
    assert 40 <= (silences >= 5).sum() <= 80
    assert silences.max() < 8.01
    assert not ((silences > 0.81) & (silences < 4.99)).any()


def test_unreadable_utterances_stop_or_are_skipped_and_counted(tmp_path):
    for name in NAMES:
        (tmp_path / name).mkdir()
        soundfile.write(tmp_path / name / "1.wav", np.random.default_rng(0).standard_normal(48000) * 0.1, 16000)
    whole = Conversations(tmp_path, seconds=4.0, size=6)
    expected = [whole[index] for index in range(6)]
    (tmp_path / "ann" / "1.wav").write_bytes(b"no audio")
    with pytest.raises(DataError, match="ann"):
        [Conversations(tmp_path, seconds=4.0, size=6)[index] for index in range(6)]
    damaged = Conversations(tmp_path, seconds=4.0, size=6, on_error="skip")
    with pytest.warns(SkippedUtterance, match="ann"):
        found = [damaged[index] for index in range(6)]
    same = [torch.equal(one, other) for (_, one, _), (_, other, _) in zip(found, expected, strict=True)]
    assert damaged.skipped >= same.count(False) > 0
    # what was whole is as it was
    assert all("ann" in metadata["speakers"] for (_, _, metadata), kept in zip(expected, same, strict=True) if not kept)
    for name in NAMES:
        (tmp_path / name / "1.wav").write_bytes(b"no audio")
    nothing = Conversations(tmp_path, seconds=4.0, size=6, on_error="skip")
    with pytest.warns(SkippedUtterance), pytest.raises(DataError, match="100 conversations in a row"):
        nothing[0]
    with pytest.raises(UserError, match="on_error = 'ignore' is not one of 'raise', 'skip'"):
        build("dataset", {"name": "conversations", "path": str(tmp_path), "on_error": "ignore"})


def small(**options):
    return Conversations(speech("dev"), **{"seconds": 20.0, "size": 3, **options})


def test_items_meet_the_contract():
    mixture, sources, metadata = small(sources=[2, 3], seconds=6.0)[1]
    assert mixture.shape == (1, 96000)
    assert sources.shape == (3, 1, 96000)
    assert mixture.dtype == torch.float32
    assert torch.equal(mixture, sources.sum(0))
    assert mixture.abs().max() <= 1
    assert metadata["active"] == len(metadata["speakers"]) in (2, 3)
    assert len(set(metadata["speakers"])) == metadata["active"]


def test_seed_epoch_and_index_decide_everything():
    ours, again, other = small(), small(), small(seed=1)
    assert torch.equal(ours[1][0], again[1][0])
    assert not torch.equal(ours[1][0], ours[2][0])
    assert not torch.equal(ours[1][0], other[1][0])
    before = ours[0][0]
    ours.set_epoch(1)
    assert not torch.equal(before, ours[0][0])
    fixed = small(fixed=True)
    fixed.set_epoch(1)
    assert torch.equal(before, fixed[0][0])
    with pytest.raises(IndexError):
        ours[3]


@given(st.floats(0.3, 30.0))
@settings(max_examples=5)
def test_blocks_join_to_the_whole(seconds):
    conversation = small().conversation(0)
    blocks = list(conversation.blocks(seconds))
    assert torch.equal(torch.cat([sources for _, sources in blocks], dim=-1), conversation.sources())
    assert all(torch.equal(mixture, sources.sum(0)) for mixture, sources in blocks)


def test_each_speaker_is_heard_in_his_turns_only_and_at_one_loudness():
    conversation = small(loudness=[-30.0, -30.0], seconds=60.0).conversation(0)
    sources = conversation.sources()[:, 0]
    levels = []
    for row, speaker in enumerate(conversation.speakers):
        speaks = torch.zeros(sources.shape[1], dtype=torch.bool)
        for turn in conversation.turns:
            if turn.speaker == speaker:
                first, last = round(turn.start * 16000), round(turn.end * 16000)
                speaks[first:last] = True
                levels.append(float(10 * sources[row, first:last].square().mean().log10()))
        assert sources[row, ~speaks].abs().max() == 0
    assert -36 < min(levels) <= max(levels) < -29
    assert len(levels) > 5


@given(st.floats(0.3, 10.0))
@settings(max_examples=5)
def test_noise_and_rooms_surround_the_same_words(seconds):
    clean = small().conversation(0)
    surrounded = small(noise="synthetic", snr=[6.0, 6.0], rooms="synthetic", reverberant=1.0).conversation(0)
    assert surrounded.turns == clean.turns
    assert surrounded.pieces == clean.pieces
    assert surrounded.metadata()["snr"] == 6.0
    assert surrounded.metadata()["reverberant"]
    sources = surrounded.sources()
    noise = (surrounded.mixture(sources) - sources.sum(0))[0]
    speech = active_level(sources.sum((0, 1)).numpy(), 16000)
    assert speech - level(noise.numpy()) == pytest.approx(6.0, abs=3.0)  # the voices differ, and take turns
    assert surrounded.mixture(sources).abs().max() <= 0.9
    blocks = list(surrounded.blocks(seconds))
    assert torch.equal(torch.cat([mixture for mixture, _ in blocks], dim=-1), surrounded.mixture(sources))
    assert torch.equal(torch.cat([each for _, each in blocks], dim=-1), sources)


def test_a_room_rings_on_after_a_turn(tmp_path):
    response = np.zeros(8100)
    response[100], response[8099] = 1.0, 0.5  # an echo half a second later
    soundfile.write(tmp_path / "echo.wav", response, 16000)
    conversation = small(rooms=tmp_path, reverberant=1.0, overlap=0.0, gap=[0.6, 0.8], sources=1).conversation(0)
    sources = conversation.sources()[0, 0]
    assert len(conversation.turns) > 1
    for turn in conversation.turns[:-1]:
        end = round(turn.end * 16000)
        assert sources[end : end + 7999].abs().max() > 0
        assert sources[end + 7999 : end + 9600].abs().max() == 0


def test_a_speed_belongs_to_a_speaker_for_a_whole_conversation():
    conversations = small(speed=[0.8, 1.2], seconds=60.0)
    speeds = {voice.speed for index in range(3) for voice in conversations.conversation(index).voices.values()}
    assert len(speeds) > 3
    assert all(0.8 <= speed <= 1.2 for speed in speeds)
    conversation = conversations.conversation(0)
    for turn, pieces in zip(conversation.turns, conversation.pieces, strict=True):
        assert {piece.speed for piece in pieces} == {conversation.voices[turn.speaker].speed}
        for piece in pieces:
            assert piece.start + piece.length <= conversation.folder.length(piece.utterance, piece.speed)
    assert {voice.speed for voice in small().conversation(0).voices.values()} == {1.0}
    assert small().conversation(0).pieces == small(speed=(1.0, 1.0)).conversation(0).pieces
    assert conversation.metadata()["overlap"] == small(seconds=60.0).conversation(0).metadata()["overlap"]


def test_an_hour_is_rendered_without_holding_it():
    conversation = small(seconds=3600.0, sources=3).conversation(0)
    assert conversation.turns[-1].end > 3550
    for start in (0, 1000, 3599):
        piece = conversation.sources(start * 16000, (start + 1) * 16000)
        assert piece.shape == (3, 1, 16000)
        assert sum(wave.size for wave in conversation._rendered.values()) < 3 * 8.1 * 16000


def test_written_conversation_reads_back(tmp_path):
    conversation = small(seconds=4.0).conversation(2)
    conversation.write(tmp_path / "talk")
    mixture, rate = soundfile.read(tmp_path / "talk" / "mixture.flac", dtype="float32")
    assert rate == 16000
    assert mixture == pytest.approx(conversation.sources().sum(0)[0].numpy(), abs=2**-23)
    source, _ = soundfile.read(tmp_path / "talk" / "source_2.flac", dtype="float32")
    assert source == pytest.approx(conversation.sources()[1, 0].numpy(), abs=2**-23)
    assert read_rttm(tmp_path / "talk" / "timeline.rttm") == list(conversation.turns)
    with pytest.raises(UserError, match="exists"):
        conversation.write(tmp_path / "talk")


def test_it_is_a_component_with_disjoint_splits():
    train, validation = (
        build("dataset", {"name": "conversations", "path": speech("dev"), "split": split, "size": 1, "seconds": 3.0})
        for split in ("train", "validation")
    )
    assert not set(train.folder.speakers) & set(validation.folder.speakers)
    assert len(validation.folder.speakers) >= 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sources": 0}, "how many speakers"),
        ({"sources": [3, 2]}, "least and most"),
        ({"seconds": 0.0}, "at least one sample"),
        ({"size": -1}, "nothing is negative"),
        ({"seed": -1}, "nothing is negative"),
        ({"overlap": 1.5}, "between 0 and 1"),
        ({"overlap": [0.5, 0.2]}, "least and the most"),
        ({"turn": [0.0, 1.0]}, "turn"),
        ({"pause": [3.0]}, "pause"),
        ({"pauses": -1.0}, "0 or more"),
        ({"loudness": [-20.0, -30.0]}, "loudness"),
        ({"speed": [0.1, 1.0]}, "speed"),
        ({"snr": [5.0]}, "snr"),
        ({"noise": "nowhere"}, "no folder nowhere"),
        ({"sources": 50}, "need"),
    ],
)
def test_wrong_options_are_explained(options, message):
    with pytest.raises(DataError, match=message):
        small(**options)


def talk_of_two(noise=None, **options):
    folder = Conversations(speech("dev"), seconds=4.0, size=1).folder
    names = list(folder.speakers)[:2]
    said = [Turn(0.0, 4.0, name) for name in names]
    return Conversation(np.random.default_rng(0), folder, [Voice(name, **options) for name in names], said, 4.0, noise)


@pytest.mark.parametrize("speed", [1.0, 1.2])
def test_all_is_said_before_anything_is_said_again(speed):
    folder = Conversations(speech("dev"), size=1).folder
    speaker = next(iter(folder.speakers))
    reel = Reel(np.random.default_rng(0), folder, Voice(speaker, -30.0, speed))
    heard = {name: np.zeros(folder.length(name, speed), int) for name in folder.speakers[speaker]}
    for times in (1, 2):
        left = sum(map(len, heard.values()))
        while left:
            turn = min(left, 40_001)
            for piece in reel.take(turn):
                heard[piece.utterance][piece.start : piece.start + piece.length] += 1
            left -= turn
        assert all((count == times).all() for count in heard.values())


def test_two_at_once_do_not_pass_the_peak():
    made = talk_of_two(loudness=20.0)
    assert made.mixture(made.sources()).abs().max() <= 0.9


def test_every_piece_fades_in_and_out(monkeypatch):
    made = talk_of_two(loudness=-20.0)
    monkeypatch.setattr(made.folder, "read", lambda *_: np.ones(1000, np.float32))
    wave = made._faded(Piece("a", 0, 1000))
    assert wave[0] == wave[-1] == 0
    assert np.abs(np.diff(wave)).max() < 0.02


def test_noise_goes_back_and_forth_without_a_click():
    made = talk_of_two(np.linspace(0, 1, 1000, dtype=np.float32), loudness=-20.0)
    around = made.mixture(torch.zeros(2, 1, 5000))[0]
    assert around.diff().abs().max() < 0.01


def test_the_words_are_the_same_with_noise_and_rooms_and_without():
    plain, noisy = (
        Conversations(speech("dev"), seconds=4.0, size=1, **options).conversation(0)
        for options in ({}, {"noise": "synthetic", "rooms": "synthetic", "reverberant": 1.0})
    )
    assert plain.turns == noisy.turns
    assert plain.pieces == noisy.pieces
