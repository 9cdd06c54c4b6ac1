"""Hindsight: who changed places is brought back in memory and in files, nobody else moves, and doubts are told of."""

import os
from pathlib import Path

import pytest
import torch

from slotaudio import Separator, Spec, audio, compose
from slotaudio.audio import AudioWriter
from slotaudio.data.bundled import speech
from slotaudio.errors import AudioFileError
from slotaudio.identity import identity_score
from slotaudio.matchers.exhaustive import Exhaustive
from slotaudio.matchers.fixed import Fixed
from slotaudio.separation import turns
from slotaudio.separation.doubt import merged, told
from slotaudio.separation.extraction import extract_file
from slotaudio.separation.hindsight import Hindsight, HindsightOrder
from slotaudio.separation.intake import SeparationWarning
from slotaudio.separation.presence import PresenceMeter
from slotaudio.separation.stream import SourceStream

RATE = 16000
SWAPPED = (20, 26)


@pytest.fixture(scope="module")
def talk() -> torch.Tensor:
    """Forty seconds of each of two unlike voices; axes batch slots channels time."""
    return spoken(0, 1)


def spoken(*speakers: int) -> torch.Tensor:
    voices = []
    for folder in (sorted(speech("dev").iterdir())[number] for number in speakers):
        wave = torch.cat([audio.read(file)[0][0] for file in sorted(folder.glob("*.flac"))])
        wave = 0.05 * wave / wave.square().mean().sqrt()
        voices.append(wave.repeat(1 + 40 * RATE // len(wave))[: 40 * RATE])
    return torch.stack(voices)[None, :, None]


def swapped(talk: torch.Tensor, most: int | None = None) -> torch.Tensor:
    """Let outputs change places for a while: the first ones, or all."""
    changed = talk.clone()
    start, end = (second * RATE for second in SWAPPED)
    changed[:, :most, :, start:end] = talk[:, :most, :, start:end].flip(1)
    return changed


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


def any_length() -> Separator:
    torch.manual_seed(0)
    model = compose(
        Spec("stft", window=256, hop=128, framing="centred", features="complex"),
        Spec("band_split", dim=8, hidden=8, blocks=1),
        Spec("transformer", slot_dim=8, layers=1, heads=1, qkv_dim=8, mlp_dim=8),
        Spec("mask", hidden=8, blocks=1),
        "exhaustive",
        slots=2,
        window=None,
    )
    return Separator(model, long_window=4.0, consistent=False)


@pytest.fixture
def separating(talk, monkeypatch) -> Separator:
    """A separator that finds two voices, which change places, in whatever it is given."""

    def finished(stream: SourceStream, sources: torch.Tensor) -> torch.Tensor:
        start = stream._made
        stream._made = min(start + sources.shape[-1], stream.received)
        return swapped(talk)[..., start : stream._made]

    monkeypatch.setattr(SourceStream, "_finished", finished)
    monkeypatch.setattr(PresenceMeter, "present", lambda meter: [[0, 1]])
    return any_length()


@pytest.fixture
def recording(talk, tmp_path) -> Path:
    audio.write(tmp_path / "talk.wav", talk[0].sum(dim=0), RATE)
    return tmp_path / "talk.wav"


def read(files: list[Path]) -> torch.Tensor:
    return torch.stack([audio.read(file)[0] for file in files])


def test_memory_and_files_are_put_into_order_alike(separating, talk, recording, tmp_path):
    found = separating(recording).sources
    assert identity_score(swapped(talk)[0, :, 0], talk[0, :, 0], RATE).right_windows < 0.9
    assert identity_score(found[:, 0], talk[0, :, 0], RATE).right_windows > 0.97
    files = separating.separate_file(recording, tmp_path / "floats", subtype="FLOAT")
    torch.testing.assert_close(read(files), found, rtol=0, atol=1e-7)
    for format in ("wav", "flac"):
        files = separating.separate_file(recording, tmp_path / format, format=format)
        torch.testing.assert_close(read(files), found, rtol=0, atol=2 / 2**15)
        assert sorted((tmp_path / format).iterdir()) == files


def test_streams_are_not_put_into_order_with_hindsight(separating, recording, talk, monkeypatch):
    monkeypatch.setattr(Hindsight, "decide", lambda *_: pytest.fail("a stream has no end to look back from"))
    assert separating.open(RATE)._follower is not None
    assert torch.equal(torch.cat(list(separating.stream(recording)), dim=-1), swapped(talk)[0])


def test_files_that_cannot_be_written_anew_are_as_they_were(separating, recording, talk, tmp_path, monkeypatch):
    write = AudioWriter.write

    def full(writer: AudioWriter, wave: torch.Tensor) -> None:
        if writer.partial.name == "talk_slot2.part.part.wav" and writer.frames > 30 * RATE:
            raise AudioFileError("the disk is full")
        write(writer, wave)

    monkeypatch.setattr(AudioWriter, "write", full)
    with pytest.warns(SeparationWarning, match="voices that changed places are not brought back: the disk is full"):
        files = separating.separate_file(recording, tmp_path / "out", subtype="FLOAT")
    assert torch.equal(read(files), swapped(talk)[0])
    assert sorted((tmp_path / "out").iterdir()) == files


def test_all_files_are_in_order_where_not_all_can_be_renamed(separating, recording, tmp_path, monkeypatch):
    rename = os.replace

    def held(source: Path, target: Path) -> None:
        if Path(target).name == "talk_slot2.part.wav":
            raise PermissionError(13, "another process holds the file")
        rename(source, target)

    monkeypatch.setattr(os, "replace", held)
    files = separating.separate_file(recording, tmp_path / "out", subtype="FLOAT")
    torch.testing.assert_close(read(files), separating(recording).sources, rtol=0, atol=1e-7)
    assert sorted((tmp_path / "out").iterdir()) == files


def test_what_fails_after_the_writing_anew_keeps_files_in_order(separating, recording, tmp_path, monkeypatch):
    def full(writer: AudioWriter) -> None:
        raise AudioFileError("the disk is full")

    monkeypatch.setattr(AudioWriter, "commit", full)
    with pytest.warns(SeparationWarning, match=r"talk_slot1\.part\.wav"), pytest.raises(AudioFileError, match="full"):
        separating.separate_file(recording, tmp_path / "out", subtype="FLOAT")
    files = sorted((tmp_path / "out").iterdir())
    assert [file.name for file in files] == ["talk_slot1.part.wav", "talk_slot2.part.wav"]
    torch.testing.assert_close(read(files), separating(recording).sources, rtol=0, atol=1e-7)


def test_who_is_extracted_is_heard_and_written_in_order(separating, talk, recording, tmp_path):
    audio.write(tmp_path / "example.wav", talk[0, 1, :, : 20 * RATE], RATE)
    found = extract_file(separating, recording, tmp_path / "example.wav", tmp_path / "out" / "voice.wav")
    same = separating.extract(recording, tmp_path / "example.wav")
    assert found.slot == same.slot == 1
    assert found.similarities == pytest.approx(same.similarities, abs=1e-3)
    torch.testing.assert_close(read([found.source])[0], same.source, rtol=0, atol=2 / 2**15)
    assert sorted((tmp_path / "out").iterdir()) == [found.source]


def test_who_interrupts_the_writing_anew_keeps_the_first_files(separating, recording, talk, tmp_path, monkeypatch):
    def interrupted(order: HindsightOrder, waves: torch.Tensor, start: int = 0) -> torch.Tensor:
        if start > 10 * RATE:
            raise KeyboardInterrupt
        return waves

    monkeypatch.setattr(HindsightOrder, "applied", interrupted)
    with pytest.warns(SeparationWarning, match=r"first 40\.0 s"), pytest.raises(KeyboardInterrupt):
        separating.separate_file(recording, tmp_path / "out", subtype="FLOAT")
    files = sorted((tmp_path / "out").iterdir())
    assert [file.name for file in files] == ["talk_slot1.part.wav", "talk_slot2.part.wav"]
    assert torch.equal(read(files), swapped(talk)[0])


def test_the_order_at_a_time_is_the_one_that_is_applied_there():
    order = HindsightOrder(10, torch.tensor([10, 25]), torch.tensor([[0, 1, 2], [2, 0, 1], [0, 2, 1]]), [])
    assert order.at(torch.tensor([0.0, 0.9, 1.0, 2.4, 2.5, 9.0])).tolist() == [
        *[[0, 1, 2]] * 2,
        *[[2, 0, 1]] * 2,
        *[[0, 2, 1]] * 2,
    ]
    assert HindsightOrder.unchanged(10, 2).at(torch.tensor([3.0])).tolist() == [[0, 1]]


def doubting(*stretches: tuple[float, float]) -> object:
    return lambda self, outputs, recording=0: HindsightOrder(
        RATE, torch.zeros(0, dtype=torch.long), torch.tensor([[0, 1]]), [*stretches, (2.0, 2.1 + recording)]
    )


def test_results_and_warnings_say_where_to_listen(talk, tmp_path, monkeypatch):
    separator = any_length()
    monkeypatch.setattr(Hindsight, "decide", doubting((1.0, 2.0)))
    mixture = talk[0].sum(dim=0)[:, : 4 * RATE]
    assert separator(mixture, RATE).doubtful == [(1.0, 2.0), (2.0, 2.1)]
    found = separator(mixture.expand(2, 1, -1), RATE).doubtful
    assert found == [[(1.0, 2.0), (2.0, 2.1)], [(1.0, 2.0), (2.0, 3.1)]]
    audio.write(tmp_path / "talk.wav", mixture, RATE)
    told_of: list[HindsightOrder] = []
    with pytest.warns(SeparationWarning, match=r"talk\.wav: voices may have changed places at 0:01-0:02"):
        separator.separate_file(tmp_path / "talk.wav", tmp_path / "out", ordered=told_of.append)
    assert [order.doubtful for order in told_of] == [[(1.0, 2.0), (2.0, 2.1)]]
    monkeypatch.setattr(Hindsight, "decide", doubting())
    separator.separate_file(tmp_path / "talk.wav", tmp_path / "little")  # not worth a warning, which would fail here


@pytest.mark.parametrize("options", [{"joining": "given"}, {"ahead": 0.0}, {"sources": 1}])
def test_what_is_not_followed_is_not_put_into_order(options):
    assert Separator.from_pretrained("band-split-fast", **options).hindsight(RATE) is None
