"""Audio files that we write: whole or not at all, exact, never clipped in silence."""

import os
import sys

import pytest
import soundfile
import torch

from slotaudio import audio
from slotaudio.errors import AudioFileError, UserError


@pytest.mark.parametrize(
    ("name", "subtype"), [("a.wav", "PCM_16"), ("a.wav", "PCM_24"), ("a.flac", "PCM_16"), ("a.flac", "PCM_24")]
)
def test_integer_samples_come_back_bit_for_bit(tmp_path, name, subtype):
    bits = 15 if subtype == "PCM_16" else 23
    whole = torch.randint(-(2**bits), 2**bits, (2, 5000), generator=torch.Generator().manual_seed(0))
    whole[:, 0], whole[:, 1] = 2**bits - 1, -(2**bits)
    with audio.AudioWriter(tmp_path / name, 16000, 2, subtype) as writer:
        writer.write(whole / 2.0**bits)
    assert torch.equal(audio.read(tmp_path / name)[0], whole / 2.0**bits)
    assert writer.limited == 0
    assert audio.info(tmp_path / name).subtype == subtype


def test_a_sample_beyond_full_scale_turns_the_file_into_floats(tmp_path):
    quiet, loud = torch.full((1, 300), 0.25), torch.full((1, 200), 1.5)
    with audio.AudioWriter(tmp_path / "a.wav", 16000) as writer:
        writer.write(quiet)
        writer.write(loud)
        writer.write(quiet)
    assert writer.widened
    assert audio.info(tmp_path / "a.wav").subtype == "FLOAT"
    assert torch.equal(audio.read(tmp_path / "a.wav")[0], torch.cat([quiet, loud, quiet], dim=1))
    assert [path.name for path in tmp_path.iterdir()] == ["a.wav"]


@pytest.mark.parametrize("name", ["a.wav", "a.flac"])
def test_where_floats_were_not_wanted_limited_samples_are_counted(tmp_path, name):
    with audio.AudioWriter(tmp_path / name, 16000, widen=False) as writer:
        writer.write(torch.tensor([[0.5, 1.0, -1.0, -1.5, 2.0]]))
    assert writer.limited == 3  # -1 fits, +1 does not
    assert audio.read(tmp_path / name)[0].abs().max() <= 1


def test_nothing_has_its_name_before_it_is_complete(tmp_path):
    writer = audio.AudioWriter(tmp_path / "a.wav", 16000)
    writer.write(torch.zeros(1, 100))
    assert not (tmp_path / "a.wav").exists()
    writer.close()
    assert not (tmp_path / "a.wav").exists()
    writer.commit()
    assert [path.name for path in tmp_path.iterdir()] == ["a.wav"]


def test_a_file_is_valid_from_its_first_moment_and_says_how_long_it_is(tmp_path):
    for subtype, size in (("PCM_16", 2), ("PCM_24", 3), ("FLOAT", 4)):
        writer = audio.AudioWriter(tmp_path / f"{subtype}.wav", 8000, subtype=subtype)
        for frames in (0, 500, 1000):
            assert soundfile.info(writer.partial).frames == frames
            riff = int.from_bytes(writer.partial.read_bytes()[4:8], "little")
            assert riff == writer.partial.stat().st_size - 8 >= size * frames
            writer.write(torch.zeros(1, 500))
        writer.discard()


def test_an_exception_leaves_the_old_file_and_nothing_else(tmp_path):
    audio.write(tmp_path / "a.wav", torch.full((1, 10), 0.5), 16000)

    def interrupted() -> None:
        with audio.AudioWriter(tmp_path / "a.wav", 16000, force=True) as writer:
            writer.write(torch.full((1, 9), 2.0))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert [path.name for path in tmp_path.iterdir()] == ["a.wav"]
    assert audio.read(tmp_path / "a.wav")[0].shape == (1, 10)


@pytest.mark.skipif(sys.platform != "linux", reason="asks /proc what is open")
@pytest.mark.parametrize("name", ["a.wav", "a.flac"])
def test_no_file_is_renamed_while_it_is_open_which_windows_refuses(tmp_path, monkeypatch, name):
    really, renamed = os.replace, []

    def replace(source, target):
        opened = {os.path.realpath(f"/proc/self/fd/{each}") for each in os.listdir("/proc/self/fd")}
        assert not opened & {str(source), str(target)}
        really(source, target)
        renamed.append(target)

    monkeypatch.setattr(os, "replace", replace)
    kept = audio.AudioWriter(tmp_path / name, 16000)
    kept.write(torch.full((1, 300), 0.25))
    assert kept.keep() == 300
    kept.cut(200)
    assert audio.info(kept.partial).frames == 200
    with audio.AudioWriter(tmp_path / name, 16000) as writer:
        writer.write(torch.full((1, 300), 0.25))
        writer.write(torch.full((1, 300), 1.5))
    assert len(renamed) == 2  # in FLAC when it is cut, in WAV when it turns into floats; and its name


def test_existing_files_need_force(tmp_path):
    audio.write(tmp_path / "a.wav", torch.zeros(1, 10), 16000)
    with pytest.raises(UserError, match="exists already"):
        audio.write(tmp_path / "a.wav", torch.zeros(1, 10), 16000)
    audio.write(tmp_path / "a.wav", torch.zeros(1, 20), 16000, force=True)
    assert audio.info(tmp_path / "a.wav").frames == 20


def test_impossible_targets(tmp_path):
    with pytest.raises(AudioFileError, match=r"wav or \.flac"):
        audio.AudioWriter(tmp_path / "a.mp3", 16000)
    with pytest.raises(AudioFileError, match="FLAC has no subtype 'FLOAT'"):
        audio.AudioWriter(tmp_path / "a.flac", 16000, subtype="FLOAT")
    with pytest.raises(AudioFileError, match="No such file or directory"):
        audio.AudioWriter(tmp_path / "missing" / "a.wav", 16000)
    with pytest.raises(AudioFileError, match="cannot write"):
        audio.AudioWriter(tmp_path / "a.flac", 700_000)
    assert list(tmp_path.glob("*.wav")) == []


@pytest.mark.skipif(sys.platform != "linux", reason="names are bytes there, and UTF-8 elsewhere")
@pytest.mark.parametrize("suffix", [".wav", ".flac"])
def test_names_need_not_be_utf8(tmp_path, suffix):
    path = tmp_path / os.fsdecode(b"caf\xe9" + suffix.encode())
    audio.write(path, torch.full((1, 300), 0.25), 16000)
    with audio.AudioWriter(path, 16000, force=True) as writer:  # which is read again when it widens, or is kept
        writer.write(torch.full((1, 200), 1.5))
    assert audio.read(path)[0].shape == (1, 200)
