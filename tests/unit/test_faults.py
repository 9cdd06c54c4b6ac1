"""Power cuts, full disks, damaged files: what a run makes of itself then, and of data that cannot be read."""

import errno
import multiprocessing
import os
import shutil
import signal

import pytest
import torch
from lightning.pytorch.loggers import CSVLogger

from slotaudio.data.bundled import speech
from slotaudio.data.epochs import SkippedUtterance
from slotaudio.errors import AudioFileError, DataError, SlotaudioError
from slotaudio.recipe import load_recipe
from slotaudio.separation.intake import SeparationWarning
from slotaudio.separation.outputs import Outputs
from slotaudio.training import checkpoints
from slotaudio.training.run import train

RECIPE = """
model.window = 0.125
encoder = {name = "resnet", depth = 10, width = 2}
bottleneck = {name = "transformer", slot_dim = 8, layers = 1, heads = 2, qkv_dim = 8, mlp_dim = 8}
decoder = {name = "spatial_broadcast", hidden = 8, layers = 1, patch = [8, 8]}
data.train = {name = "synthetic", size = 10}

[train]
steps = 6
batch_size = 2
warmup_steps = 1
checkpoint_every = 2
log_every = 1
ema = 0.5
"""


def killed_while_saving(folder, number):
    """Train until a checkpoint is on the disk under its temporary name, and die before it takes its place."""
    torch.set_num_threads(1)
    replace, saved = os.replace, []

    def die(source, target):
        saved.extend([target] if str(target).endswith("last.ckpt") else [])
        if len(saved) == number:
            os.kill(os.getpid(), signal.SIGKILL)
        replace(source, target)

    checkpoints.os.replace = die
    train(load_recipe(folder / "tiny.toml"), folder / "parts", resume=True)


@pytest.fixture
def tiny(tmp_path):
    (tmp_path / "tiny.toml").write_text(RECIPE)
    return tmp_path


def test_a_run_killed_while_it_saved_goes_on_as_if_nothing_had_happened(tiny):
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["slotaudio.training.run"])
    for number in (2, 2):  # dies at the checkpoint of step 4, then at that of step 6
        worker = context.Process(target=killed_while_saving, args=(tiny, number))
        worker.start()
        worker.join()
        assert worker.exitcode == -signal.SIGKILL
    assert torch.load(tiny / "parts/last.ckpt", weights_only=True)["global_step"] == 4
    train(load_recipe(tiny / "tiny.toml"), tiny / "parts", resume=True)
    train(load_recipe(tiny / "tiny.toml"), tiny / "whole")
    parts, whole = (torch.load(tiny / name / "last.ckpt", weights_only=True) for name in ("parts", "whole"))
    assert parts["global_step"] == whole["global_step"] == 6
    assert all(torch.equal(parts["state_dict"][name], weight) for name, weight in whole["state_dict"].items())
    assert losses(tiny / "parts") == losses(tiny / "whole")
    assert not list(tiny.glob("parts/*.part.*"))


def losses(folder):
    found = {}
    for path in sorted(folder.glob("logs/*/metrics.csv")):
        header, *rows = [line.split(",") for line in path.read_text().splitlines()]
        found |= {row[header.index("step")]: row[header.index("train/loss")] for row in rows}
    return found


def test_a_full_disk_keeps_the_checkpoint_before(tiny, monkeypatch, capsys):
    real = torch.save

    def full(content, file):
        real(content, file)
        if content["global_step"] > 2:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(
        SlotaudioError, match=r"checkpoint of step 6 was not saved to .*No space left .* step 2 is kept"
    ):
        train(load_recipe(tiny / "tiny.toml"), tiny / "run")
    assert "the checkpoint of step 4 was not saved" in capsys.readouterr().err
    monkeypatch.undo()
    assert torch.load(tiny / "run/last.ckpt", weights_only=True)["global_step"] == 2
    assert not list(tiny.glob("run/*.part.*"))


def test_a_disk_too_full_for_the_log_keeps_the_checkpoint_too(tiny, monkeypatch):
    save = CSVLogger.save

    def full(logger):
        if (tiny / "run/last.ckpt").exists():
            raise OSError(errno.ENOSPC, "No space left on device")
        save(logger)

    monkeypatch.setattr(CSVLogger, "save", full)
    with pytest.raises(
        SlotaudioError, match=r"cannot be written: No space left on device; the last checkpoint is kept"
    ):
        train(load_recipe(tiny / "tiny.toml"), tiny / "run")
    monkeypatch.undo()
    assert torch.load(tiny / "run/last.ckpt", weights_only=True)["global_step"] == 2
    assert train(load_recipe(tiny / "tiny.toml"), tiny / "run", resume=True).step == 6


def test_damaged_utterances_are_skipped_and_counted_or_stop_the_run(tiny, capsys):
    voices = tiny / "voices"
    shutil.copytree(speech("train"), voices)
    for path in voices.glob("*/*"):
        if path.suffix == ".flac" and path.parent.name not in ("211", "26", "4441"):
            path.write_bytes(b"fLaC and then nothing")
    changes = [f"data.train={{name='folder', path='{voices}', size=20}}", "train.steps=4"]
    with pytest.raises(DataError, match="cannot be read"):
        train(load_recipe(tiny / "tiny.toml", changes), tiny / "run")
    with pytest.warns(SkippedUtterance):
        train(load_recipe(tiny / "tiny.toml", [*changes, "data.train.on_error=skip"]), tiny / "run", resume=True)
    assert "mixtures were drawn again, since an utterance could not be read" in capsys.readouterr().err


RATE = 16000


def noise(*shape, seed=0):
    return 0.1 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_no_file_gets_its_name_before_all_are_whole(tmp_path, monkeypatch):
    targets = [tmp_path / f"{n}.wav" for n in (1, 2)]
    options = {"force": False, "widen": True, "name": "a", "choose": lambda: [0, 1]}

    def full():
        raise AudioFileError("the disk is full")

    def separate():
        with Outputs(targets, RATE, 1, "PCM_16", **options) as outputs:
            outputs.write(0.01 * noise(2, 1, 100))
            monkeypatch.setattr(outputs._writers[1], "close", full)
            outputs.commit()

    with (
        pytest.warns(SeparationWarning, match="was not separated to its end"),
        pytest.raises(AudioFileError, match="the disk is full"),
    ):
        separate()
    assert not any(target.exists() for target in targets)
