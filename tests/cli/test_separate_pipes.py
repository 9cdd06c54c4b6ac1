"""Recordings that come through a pipe: they are separated, and messages call them by the name that was typed."""

import os
import subprocess

import pytest
from running import RATE, recording, start

from slotaudio import audio


@pytest.mark.skipif(os.name == "nt", reason="no named pipes")
@pytest.mark.parametrize("name", ["-", "/dev/stdin", "call"])
def test_what_comes_through_a_pipe_is_separated(tiny_model, tmp_path, name):
    path = recording(tmp_path / "talk.wav", 1.0)
    goal = tmp_path / "out"
    if name == "call":
        os.mkfifo(tmp_path / name)
        running = start("separate", tmp_path / name, "-o", goal, "-m", tiny_model)
        (tmp_path / name).write_bytes(path.read_bytes())
        out, err = running.communicate(timeout=120)
    else:
        with path.open("rb") as talk, subprocess.Popen(["cat"], stdin=talk, stdout=subprocess.PIPE) as cat:
            running = start("separate", name, "-o", goal, "-m", tiny_model, stdin=cat.stdout)
            out, err = running.communicate(timeout=120)
    assert running.returncode == 0, err
    stem = "call" if name == "call" else "stdin"
    assert out.split() == [str(goal / f"{stem}_slot{slot}.wav") for slot in (1, 2)]
    assert sum(audio.read(file)[0] for file in goal.iterdir()).shape == (1, RATE)


@pytest.mark.skipif(os.name == "nt", reason="no named pipes")
@pytest.mark.parametrize("name", ["-", "call"])
def test_messages_call_what_comes_through_a_pipe_by_its_name(tiny_model, tmp_path, name):
    stereo = recording(tmp_path / "talk.wav", channels=2).read_bytes()
    path = tmp_path / name if name == "call" else name
    called = path if name == "call" else "stdin"
    if name == "call":
        os.mkfifo(path)
    for sent, message in (
        (b"", f"slotaudio: error: {called} is empty (0 bytes)"),
        (b"letter", f"slotaudio: error: {called} cannot be read"),
        (stereo, f"slotaudio: warning: {called} has 2 channels"),
    ):
        (tmp_path / "sent").write_bytes(sent)
        with (tmp_path / "sent").open("rb") as stdin:
            running = start("separate", path, "-o", tmp_path / "out", "-m", tiny_model, stdin=stdin)
        if name == "call":
            path.write_bytes(sent)
        _, err = running.communicate(timeout=120)
        assert err.startswith(message)
