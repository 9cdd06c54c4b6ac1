"""Power cuts, full disks, damaged files: what a run makes of itself then, and of data that cannot be read."""

import errno
import multiprocessing
import os
import shutil
import signal

import pytest
import torch
from lightning.pytorch.loggers import CSVLogger

from slotaudio import audio
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


class FullAtClose:
    """A file that learns only when it is closed that the disk was full, as on a network."""

    def __init__(self, file):
        self.file, self.fileno = file, file.fileno

    def close(self):
        if not self.file.closed:
            self.file.close()
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("format", ["wav", "flac"])
def test_no_file_gets_its_name_before_all_are_whole(tmp_path, format):
    targets = [tmp_path / f"{n}.{format}" for n in (1, 2)]
    for target in targets:
        target.write_bytes(b"older")
    options = {"force": True, "widen": True, "name": "a", "choose": lambda: [0, 1]}
    wave = 0.01 * noise(2, 1, 5000)

    def separate():
        with Outputs(targets, RATE, 1, "PCM_16", **options) as outputs:
            outputs.write(wave)
            outputs._writers[1]._bytes = FullAtClose(outputs._writers[1]._bytes)
            outputs.commit()

    with (
        pytest.warns(SeparationWarning, match="was not separated to its end; its first 0.3 s are in"),
        pytest.raises(AudioFileError, match=f"cannot write .*2.{format}: No space left on device"),
    ):
        separate()
    assert [target.read_bytes() for target in targets] == [b"older", b"older"]
    partials = [tmp_path / f"{n}.part.{format}" for n in (1, 2)]
    assert sorted(tmp_path.iterdir()) == sorted([*targets, *partials])
    found = torch.stack([audio.read(partial)[0] for partial in partials])
    torch.testing.assert_close(found, wave, rtol=0, atol=2**-15)


def test_all_files_get_their_names_or_none(tmp_path):
    targets = [tmp_path / f"{n}.wav" for n in (1, 2, 3)]
    options = {"force": True, "widen": True, "name": "a", "choose": lambda: [0, 1, 2]}

    def separate():
        with Outputs(targets, RATE, 1, "PCM_16", **options) as outputs:
            outputs.write(0.01 * noise(3, 1, 5000))
            targets[1].mkdir()
            outputs.commit()

    with (
        pytest.warns(SeparationWarning, match=r"are in .*1\.part\.wav"),
        pytest.raises(AudioFileError, match=r"2\.wav"),
    ):
        separate()
    assert sorted(tmp_path.iterdir()) == sorted([targets[1], *(tmp_path / f"{n}.part.wav" for n in (1, 2, 3))])
    assert all(audio.info(tmp_path / f"{n}.part.wav").frames == 5000 for n in (1, 2, 3))


@pytest.mark.parametrize("ends", ["written", "closed"])
def test_what_a_full_disk_took_of_flac_files_stays(tmp_path, ends):
    resource = pytest.importorskip("resource")  # not on Windows
    targets, limits = [tmp_path / f"{n}.flac" for n in (1, 2)], resource.getrlimit(resource.RLIMIT_FSIZE)
    wave = 0.01 * noise(2, 1, 100_500)
    wave[0] = 0.0  # the file of silence has room
    options = {"force": False, "widen": True, "name": "a", "choose": lambda: [0, 1]}

    def separate():
        with Outputs(targets, RATE, 1, "PCM_16", **options) as outputs:
            for piece in wave.split(1000, dim=-1):
                outputs.write(piece)
                if piece.shape[-1] < 1000 or (ends == "written" and outputs._writers[1].frames == 70_000):
                    size = outputs._writers[1].partial.stat().st_size
                    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 100, limits[1]))
            outputs.commit()

    try:
        with (
            pytest.warns(SeparationWarning, match="was not separated to its end") as told,
            pytest.raises(AudioFileError, match=r"cannot write .*2.flac: the disk took only a part of it"),
        ):
            separate()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    partials = [tmp_path / f"{n}.part.flac" for n in (1, 2)]
    assert sorted(tmp_path.iterdir()) == partials
    found = torch.stack([audio.read(partial)[0] for partial in partials])
    length = found.shape[-1]
    assert length > (60_000 if ends == "written" else 96_000)
    assert f"its first {length / RATE:.1f} s are in" in str(told[0].message)
    torch.testing.assert_close(found, wave[..., :length], rtol=0, atol=2**-15)
