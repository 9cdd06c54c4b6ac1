"""`slotaudio diarise`: RTTM files and the error rate."""

import numpy as np
import pytest
import soundfile
from running import run, start

from slotaudio.cli import diarise as diarise_command
from slotaudio.rttm import Turn, read_rttm


@pytest.fixture
def recording(tmp_path):
    noise = np.random.default_rng(0).standard_normal(44000) * 0.05
    noise[12000:32000] = 0
    soundfile.write(tmp_path / "my talk.wav", noise, 16000)
    return tmp_path / "my talk.wav"


def test_turns_and_their_error(tiny_model, recording, tmp_path, capsys):
    (tmp_path / "true.rttm").write_text("SPEAKER talk 1 0.0 0.75 <NA> <NA> ann <NA> <NA>\n")
    options = ["-o", tmp_path / "out", "-m", tiny_model, "--speakers", "1-2"]
    code, out, err = run("diarise", capsys, recording, *options, "--reference", tmp_path / "true.rttm")
    assert code == 0, err
    target = tmp_path / "out" / "my talk.rttm"
    assert out.startswith(f"{target}: ")
    assert "diarisation error rate" in out
    assert "collar 0.25 s" in out
    found = read_rttm(target)
    assert {turn.recording for turn in found} == {"my_talk"}
    assert all(turn.end < 0.9 or turn.start > 1.8 for turn in found)
    assert [path.name for path in target.parent.iterdir()] == ["my talk.rttm"]
    assert "exists already" in run("diarise", capsys, recording, *options)[2]
    assert run("diarise", capsys, recording, *options, "--skip-existing") == (
        0,
        "",
        "slotaudio: 0 of 1 done, 1 left alone\n",
    )


@pytest.mark.filterwarnings("ignore:.*silent:UserWarning")
def test_silence_gives_an_empty_file_and_a_warning(tiny_model, tmp_path, capsys):
    soundfile.write(tmp_path / "quiet.wav", np.zeros(16000), 16000)
    with pytest.warns(UserWarning, match="nobody speaks in"):
        code, _, _ = run("diarise", capsys, tmp_path / "quiet.wav", "-o", tmp_path, "-m", tiny_model, "-q")
    assert code == 0
    assert (tmp_path / "quiet.rttm").read_text() == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--set", "gab=1"], "give numbers for any of depth=30.0"),
        (["--set", "gap=long"], "give numbers"),
        (["--set", "gap=-1"], "give 0 or more"),
        (["--speakers", "many"], "error: 'many' does not say how many"),
        (["--sources", "many"], "error: 'many' does not say how many"),
        (["--output", "turns.rttm"], "-o turns.rttm: give a folder"),
        (["--reference", "missing.rttm"], "cannot read missing.rttm"),
        (["--collar", "-3"], "--collar -3: give 0 seconds or more"),
    ],
)
def test_impossible_options(tiny_model, recording, tmp_path, capsys, arguments, message):
    code, _, err = run("diarise", capsys, recording, "-o", tmp_path / "out", "-m", tiny_model, *arguments)
    assert code == 2
    assert message in err
    assert not (tmp_path / "out").exists()


def test_the_help_names_all_that_counts_as_a_turn(capsys):
    from slotaudio.diarisation import TurnRule

    words = run("diarise", capsys, "--help")[1].replace("│", " ").split()
    for name, field in TurnRule.__dataclass_fields__.items():
        assert any(word.strip(",") == f"{name}={field.default}" for word in words), name


def test_one_turn_of_one_speaker(tiny_model, tmp_path, capsys):
    soundfile.write(tmp_path / "a.wav", np.random.default_rng(0).standard_normal(16000) * 0.05, 16000)
    found = run("diarise", capsys, tmp_path / "a.wav", "-o", tmp_path, "-m", tiny_model, "--speakers", 1)
    assert found == (0, f"{tmp_path / 'a.rttm'}: 1 turn of 1 speaker\n", "")


def test_a_reference_without_speech_has_no_error_rate(tiny_model, recording, tmp_path, capsys):
    (tmp_path / "true.rttm").write_text("")
    options = ["-o", tmp_path / "out", "-m", tiny_model, "--reference", tmp_path / "true.rttm"]
    code, out, _ = run("diarise", capsys, recording, *options)
    assert code == 0
    assert "no diarisation error rate: the reference has no speech that counts (collar 0.25 s)" in out


def test_the_collar_counts():
    true, found = [Turn(0.0, 10.0, "ann")], [Turn(0.0, 9.9, "slot1")]
    assert diarise_command._compared(true, found, 0.25).startswith("diarisation error rate 0.0%")
    assert diarise_command._compared(true, found, 0.0).startswith("diarisation error rate 1.0%")


def test_a_recording_that_fails_stops_nobody_and_is_not_forgotten(tiny_model, recording, tmp_path, capsys):
    options = ["-o", tmp_path / "out", "-m", tiny_model, "-q"]
    code, _, err = run("diarise", capsys, tmp_path / "missing.wav", recording, *options)
    assert code == 2
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["my talk.rttm"]
    assert "missing.wav does not exist" in err


def test_two_recordings_of_one_name_are_refused(tiny_model, recording, tmp_path, capsys):
    second = tmp_path / "elsewhere" / recording.with_suffix(".flac").name
    second.parent.mkdir()
    soundfile.write(second, *soundfile.read(recording))
    code, out, err = run("diarise", capsys, recording, second, "-o", tmp_path / "out", "-m", tiny_model, "-f")
    assert (code, out) == (2, "")
    assert f"{recording} and {second} would have outputs of one name" in err


def test_of_channels_that_cancel_each_other_the_option_of_the_command_is_proposed(tiny_model, tmp_path):
    noise = np.random.default_rng(0).standard_normal((4 * 16000, 1)) * 0.05
    soundfile.write(tmp_path / "talk.wav", noise * [1, -1], 16000)
    process = start("diarise", tmp_path / "talk.wav", "-o", tmp_path / "out", "-m", tiny_model, "--speakers", "2")
    _, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    mixed, cancelled = (line for line in err.splitlines() if "channel" in line)
    assert "talk.wav has 2 channels; they are mixed down" in mixed
    assert mixed.endswith("the model takes; --channel 1 takes the first alone")
    assert cancelled.endswith("as those of opposite polarity do; --channel 1 takes the first alone")
    assert "slotaudio separate" not in err
