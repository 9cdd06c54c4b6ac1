"""`slotaudio train` as a user meets it: what it says when something is wrong, and when it is stopped."""

import os
import shutil
import signal
import subprocess
import sys
import time

import pytest
import torch

from slotaudio.cli import main
from slotaudio.data import bundled
from slotaudio.data.folder import FolderMixtures
from slotaudio.registry import objectives

RECIPE = """
model.window = 0.125
encoder = {name = "resnet", depth = 10, width = 2}
bottleneck = {name = "transformer", slot_dim = 8, layers = 1, heads = 2, qkv_dim = 8, mlp_dim = 8}
decoder = {name = "spatial_broadcast", hidden = 8, layers = 1, patch = [8, 8]}

[data.train]
name = "folder"
path = "bundled:train"
size = 16

[train]
batch_size = 2
warmup_steps = 1
"""


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.toml").write_text(RECIPE)
    return tmp_path


def run(capsys, *arguments):
    """Run the command in this process; returns the exit code and what went to standard error."""
    with pytest.raises(SystemExit) as ended:
        main(["train", *arguments])
    return ended.value.code, capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "command", "task"),
    [([], "separate", "audio-to-audio"), (["--set", "decoder=none"], "embed", "feature-extraction")],
)
def test_what_to_try_next_is_what_the_model_can_do(tiny, capsys, changes, command, task):
    @objectives.register("quiet_tokens")
    def quiet_tokens():
        return lambda model, batch: {"loss": model.encode(batch.mixture).tokens.square().mean()}

    with pytest.raises(SystemExit) as ended:
        main(["train", "tiny.toml", "--set", "objective=quiet_tokens", "--set", "train.steps=1", *changes])
    assert not ended.value.code
    assert f"try it: slotaudio {command} RECORDING.wav --model runs/tiny/model -o " in capsys.readouterr().out
    assert f'pipeline_tag: "{task}"' in (tiny / "runs/tiny/model/README.md").read_text()


def test_a_killed_run_saves_itself_and_can_be_resumed(tiny):
    command = [sys.executable, "-m", "slotaudio", "train", "tiny.toml", "--set"]
    settings = {**os.environ, "OMP_NUM_THREADS": "1"}
    running = subprocess.Popen(
        [*command, "train.steps=100000", "--set", "train.checkpoint_every=1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=settings,
    )
    last = tiny / "runs/tiny/last.ckpt"
    deadline = time.monotonic() + 300
    while not last.exists() and running.poll() is None and time.monotonic() < deadline:
        time.sleep(0.1)
    running.send_signal(signal.SIGTERM)
    out, err = running.communicate(timeout=300)
    assert running.returncode == 130, err
    assert "SIGTERM: stopping after this step" in err
    assert "Traceback" not in err
    step = int(out.partition("stopped at step ")[2].split()[0])
    assert f"stopped at step {step} of 100000; the same command with --resume goes on from there" in out

    resumed = subprocess.run(
        [*command, f"train.steps={step + 1}", "--resume"], capture_output=True, text=True, env=settings, check=False
    )
    assert resumed.returncode == 0, resumed.stderr
    assert f"trained {step + 1} steps" in resumed.stdout
    assert "train.checkpoint_every" not in resumed.stderr  # a resumed run keeps what it was started with
    assert f"train.steps: 100000 in the checkpoint, {step + 1} now" in resumed.stderr
    assert (tiny / "runs/tiny/model/model.safetensors").exists()


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["tinny.toml"], "recipe 'tinny.toml': there is no such file"),
        (["tiny.toml", "--set", "train.step=3"], "unknown option 'step' of [train]. Did you mean 'steps'?"),
        (["tiny.toml", "--set", "encoder=resnt"], "no encoder named 'resnt'. Did you mean 'resnet'?"),
        (["tiny.toml", "--set", "encoder.dpeth=18"], "encoder 'resnet' has no option 'dpeth'. Did you mean 'depth'?"),
        (["tiny.toml", "--set", "data.train.path=no/where"], "no/where"),
        (["tiny.toml", "--set", "data.train.path=alone"], "speaker"),
        (["tiny.toml", "--set", "frontend.sample_rate=8000", "--set", "frontend.hop=100"], "16000"),
        (["tiny.toml", "--set", "data.train.sources=3"], "3"),
        (["tiny.toml", "--set", "data.train.size=0"], "an epoch of 0 mixtures is smaller than a batch of 2"),
        (["tiny.toml", "--set", "data.validation={name = 'synthetic', size = 0}"], "data.validation holds no mixtures"),
        (["tiny.toml", "-o", "tiny.toml"], "tiny.toml is a file; -o takes a folder"),
        (["tiny.toml", "-o", "tiny.toml/run"], "tiny.toml/run cannot be written"),
    ],
    ids=lambda value: value.split()[0] if isinstance(value, str) else value[-1],
)
def test_the_users_mistakes_get_one_message_and_exit_code_2(tiny, capsys, arguments, complaint):
    (tiny / "alone/speaker").mkdir(parents=True)
    (tiny / "alone/speaker/a.wav").write_bytes(b"")
    code, err = run(capsys, *arguments)
    assert code == 2
    assert err.startswith("slotaudio: error: ")
    assert complaint in err
    assert "Traceback" not in err
    assert not (tiny / "runs").exists()


def test_what_a_worker_process_finds_wrong_is_one_sentence_too(tiny, capsys):
    speech = tiny / "speech"
    shutil.copytree(bundled.speech("train"), speech)
    sound = FolderMixtures(speech, seconds=0.125, size=16, seed=3)[0][2]["utterances"]
    for path in speech.rglob("*.flac"):  # all but those that the parent process tries before it starts workers
        if path.relative_to(speech).as_posix() not in sound:
            path.write_bytes(path.read_bytes()[:100])
    workers = ["--set", "train.workers=1", "--set", "train.steps=20", "--set", "data.train.seed=3"]
    code, err = run(capsys, "tiny.toml", "--set", f"data.train.path={speech}", *workers)
    assert code == 2
    assert err.startswith("slotaudio: error: ")
    assert "Traceback" not in err
    assert ".flac" in err


def test_a_gpu_that_is_not_there(tiny, capsys, monkeypatch):
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: False)
    code, err = run(capsys, "tiny.toml", "--set", "train.device=gpu")
    assert code == 2
    assert "train.device = 'gpu', but torch finds no GPU here" in err


def test_training_without_lightning_names_the_extra(tiny, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "lightning", None)
    monkeypatch.delitem(sys.modules, "slotaudio.training.run", raising=False)
    code, err = run(capsys, "tiny.toml")
    assert code == 2
    assert err == 'slotaudio: error: training needs lightning: pip install "slotaudio[train]"\n'


def test_speakers_in_training_and_validation_are_warned_of(tiny, capsys):
    validation = '{name = "folder", path = "bundled:train", size = 1, seconds = 0.25}'
    code, err = run(capsys, "tiny.toml", "--set", "train.steps=1", "--set", f"data.validation={validation}")
    assert code == 0
    assert "warning: 8 speakers are in training and in validation" in err
