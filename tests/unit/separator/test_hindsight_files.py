"""Hindsight of recordings: memory and files are in one order, all or none of the files, and doubts are told of."""

import os
from pathlib import Path

import pytest
import torch
from two_voices import RATE, swapped

from slotaudio import Separator, audio
from slotaudio.audio import AudioWriter
from slotaudio.errors import AudioFileError
from slotaudio.identity import identity_score
from slotaudio.separation.consistency import MixtureConsistency
from slotaudio.separation.extraction import extract_file
from slotaudio.separation.hindsight import Hindsight, HindsightOrder
from slotaudio.separation.intake import SeparationWarning
from slotaudio.separation.presence import PresenceMeter


@pytest.fixture
def separating(any_length, talk, monkeypatch) -> Separator:
    """A separator that finds two voices, which change places, in whatever it is given."""

    push = MixtureConsistency.push

    def finished(consistency: MixtureConsistency, sources: torch.Tensor) -> torch.Tensor:
        start = getattr(consistency, "made", 0)
        consistency.made = start + push(consistency, sources).shape[-1]
        return swapped(talk)[..., start : consistency.made]

    monkeypatch.setattr(MixtureConsistency, "push", finished)
    monkeypatch.setattr(PresenceMeter, "present", lambda meter: [[0, 1]])
    return Separator(any_length, long_window=4.0, consistent=False)


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


def test_results_and_warnings_say_where_to_listen(any_length, talk, tmp_path, monkeypatch):
    separator = Separator(any_length, long_window=4.0, consistent=False)
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
