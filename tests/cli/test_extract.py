"""`slotaudio extract`: what is written and said."""

import numpy as np
import pytest
import soundfile
from running import run


def noise(path, seconds, seed=0):
    soundfile.write(path, np.random.default_rng(seed).standard_normal(round(seconds * 16000)) * 0.05, 16000)
    return path


def test_one_voice_is_written(tiny_model, tmp_path, capsys):
    talk, example = noise(tmp_path / "talk.wav", 2), noise(tmp_path / "me.wav", 2, 1)
    goal = tmp_path / "out" / "voice.flac"
    code, out, err = run("extract", capsys, talk, "-e", example, "-o", goal, "-m", tiny_model, "--least", "0")
    assert code == 0, err
    assert out.startswith(f"{goal}: slot")
    assert "the voice of" in out
    assert soundfile.info(goal).frames == 32000
    assert [path.name for path in goal.parent.iterdir()] == ["voice.flac"]
    assert "exists already" in run("extract", capsys, talk, "-e", example, "-o", goal, "-m", tiny_model)[2]
    assert "would be overwritten" in run("extract", capsys, talk, "-e", example, "-o", talk, "-m", tiny_model, "-f")[2]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--least", "2"], "between 0 and 1"),
        (["-o", "voice.mp3"], "ends in .wav or .flac"),
        (["-e", "missing.wav"], "missing.wav does not exist"),
        (["-e", "short.wav"], "needs 1 s at least"),
    ],
)
def test_refusals(tiny_model, tmp_path, capsys, monkeypatch, options, message):
    monkeypatch.chdir(tmp_path)
    noise("talk.wav", 1)
    noise("short.wav", 0.5)
    code, _, err = run("extract", capsys, "talk.wav", "-e", "talk.wav", "-o", "voice.wav", "-m", tiny_model, *options)
    assert code == 2
    assert message in err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["short.wav", "talk.wav"]
