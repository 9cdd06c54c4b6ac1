"""Runs that are stopped, crash and are resumed: as if nothing had happened."""

import itertools
import os
import signal
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from slotaudio.errors import UserError
from slotaudio.pluginmanager import Distribution, plugin_manager
from slotaudio.pretrained import from_pretrained
from slotaudio.recipe import load_recipe
from slotaudio.training import checkpoints
from slotaudio.training.checkpoints import AtomicFiles
from slotaudio.training.folder import RunFolder
from slotaudio.training.options import TrainOptions


def terminate(losses):
    os.kill(os.getpid(), signal.SIGTERM)
    return losses


def crash(losses):
    raise ZeroDivisionError


@pytest.mark.parametrize("options", [[], ["train.ema=0.5", "train.accumulate=2"]], ids=["plain", "ema-accumulate"])
def test_a_stopped_run_continues_as_if_nothing_had_happened(script, options):
    batches = 2 if options else 1  # of a step
    before = signal.getsignal(signal.SIGTERM)
    whole = script.train("whole", *options)
    assert (whole.step, whole.stopped_by, whole.metric) == (6, None, "validation/si_sdr_i")

    stopped = script.train("parts", *options, events={4 * batches: terminate})
    assert (stopped.step, stopped.stopped_by) == (4, "SIGTERM")
    resumed = script.train("parts", *options, resume=True)
    assert (resumed.step, resumed.score, resumed.score_step) == (6, whole.score, whole.score_step)
    assert script.log("parts") == script.log("whole")
    assert script.same(script.weights("parts/last.ckpt"), script.weights("whole/last.ckpt"))
    assert script.same(script.weights("parts/best.ckpt"), script.weights("whole/best.ckpt"))
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_run_stopped_within_a_step_ends_it_first(script):
    options = ["train.accumulate=4", "train.checkpoint_every=100"]
    whole = script.train("whole", *options)
    stopped = script.train("parts", *options, events={4 * 2 + 2: terminate})
    assert (stopped.step, stopped.stopped_by) == (3, "SIGTERM")
    assert script.train("parts", *options, resume=True).score == whole.score
    assert script.same(script.weights("parts/last.ckpt"), script.weights("whole/last.ckpt"))


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_options_that_change_at_a_checkpoint_are_what_the_run_goes_on_with(script, optimizer):
    fixed = [f"train.optimizer={optimizer}", "train.schedule=constant", "train.warmup_steps=0"]
    script.train("run", *fixed, "train.steps=2")
    changed = ["train.learning_rate=1e-4", "train.weight_decay=0.3", "train.betas=[0.5, 0.6]"]
    script.train("run", *fixed, *changed, "train.steps=4", resume=True)
    rates = [float(figures["train/learning_rate"]) for figures in script.log("run").values()]
    assert rates == pytest.approx([1e-2, 1e-2, 1e-4, 1e-4])
    state = torch.load(script.folder / "run/last.ckpt", weights_only=True)["optimizer_states"][0]
    groups = [group for part in state.get("parts", [state]) for group in part["param_groups"]]
    assert {(group["lr"], group["weight_decay"]) for group in groups} == {(1e-4, 0.3)}
    assert [tuple(group["betas"]) for group in groups if "betas" in group] == [(0.5, 0.6)]


def test_best_checkpoints_do_not_put_off_the_one_to_resume_from(script, monkeypatch):
    minutes = itertools.count(step=5 * 60)  # every look at the clock is five minutes after the one before
    monkeypatch.setattr(checkpoints, "time", SimpleNamespace(monotonic=lambda: next(minutes)))
    saved = []
    save = AtomicFiles.save_checkpoint
    monkeypatch.setattr(
        AtomicFiles,
        "save_checkpoint",
        lambda self, content, path, **options: (saved.append(path.name), save(self, content, path, **options)),
    )
    script.train("run", "train.validate_every=1", "train.checkpoint_every=100", "train.learning_rate=1e-3")
    assert saved.count("best.ckpt") > 1
    assert saved.count("last.ckpt") >= 3


def test_a_last_model_that_a_kill_prevented_is_exported_later(script):
    done = script.train("run", "train.export=last")
    (done.model / "config.json").unlink()
    script.train("run", "train.export=last", resume=True)
    assert from_pretrained(done.model).slots == 2


def test_a_crashed_run_continues_from_its_last_checkpoint(script):
    script.train("whole")
    with pytest.raises(ZeroDivisionError):
        script.train("parts", events={6: crash})
    assert torch.load(script.folder / "parts/last.ckpt", weights_only=True)["global_step"] == 4
    script.train("parts", resume=True)
    assert script.log("parts") == script.log("whole")
    assert script.same(script.weights("parts/last.ckpt"), script.weights("whole/last.ckpt"))


def test_resuming_before_the_first_checkpoint_starts_and_after_the_last_step_stays(script):
    first = script.train("run", "train.steps=2", resume=True)
    before = script.weights("run/last.ckpt")
    again = script.train("run", "train.steps=2", resume=True)
    assert (first.step, again.step, again.score) == (2, 2, first.score)
    assert script.same(script.weights("run/last.ckpt"), before)


@pytest.mark.skipif(sys.platform != "linux", reason="asks /proc what is mapped")
def test_a_resumed_run_leaves_its_checkpoint_to_be_replaced(tmp_path):
    recipe = load_recipe("audioslots-small")
    about = RunFolder(tmp_path, recipe).extra()
    torch.save(
        {"global_step": 3, "slotaudio": about, "state_dict": {"weights": torch.zeros(5000)}}, tmp_path / "last.ckpt"
    )
    place = RunFolder(tmp_path, recipe, resume=True)
    assert place.step == 3
    mapped = [line for line in Path("/proc/self/maps").read_text().splitlines() if "last.ckpt" in line]
    assert not mapped  # a file that is has to stay, on Windows


def test_a_time_limit_stops_between_steps(script):
    done = script.train("run", "train.max_minutes=1e-9")
    assert (done.step, done.stopped_by) == (1, "time")
    assert (script.folder / "run/last.ckpt").exists()
    assert from_pretrained(done.model).slots == 2  # even without a validation there is a model


def test_checkpoints_are_never_unpickled(tmp_path):
    path = tmp_path / "evil.ckpt"
    torch.save({"x": TrainOptions()}, path)
    with pytest.raises(Exception, match=r"weights_only|WeightsUnpickler"):
        AtomicFiles().load_checkpoint(path)


def test_folders_that_cannot_be_used_are_refused_before_anything_is_computed(script):
    script.train("run", "train.steps=1")
    kept = script.weights("run/last.ckpt")
    with pytest.raises(UserError, match="holds a run already: --resume goes on with it, --force starts anew"):
        script.train("run")
    with pytest.raises(UserError, match=r"with another model:\n  encoder.width: 2 in the checkpoint, 4 now"):
        script.train("run", "encoder.width=4", resume=True)
    for change in ("train.accumulate=2", "train.optimizer=muon"):
        with pytest.raises(UserError, match=r"(accumulate|optimizer): not set in the checkpoint.*\n.*train\.init="):
            script.train("run", change, resume=True)
    with pytest.raises(UserError, match="give one of them"):
        script.train("run", resume=True, force=True)
    with pytest.raises(UserError, match="is a file; -o takes a folder"):
        script.train("tiny.toml")
    with pytest.raises(UserError, match="cannot be written"):
        script.train("tiny.toml/run")
    assert script.batch == 0
    assert script.same(script.weights("run/last.ckpt"), kept)
    (script.folder / "run/last.ckpt").write_bytes(b"PK\x03\x04 cut short")
    with pytest.raises(UserError, match=r"last.ckpt cannot be resumed from"):
        script.train("run", resume=True)
    torch.save({"slotaudio": {"format": 99, "version": "9.9"}}, script.folder / "run/last.ckpt")
    with pytest.raises(UserError, match=r"was written by slotaudio 9\.9 in format 99"):
        script.train("run", resume=True)
    assert script.train("run", "train.steps=1", force=True).step == 1


def test_changes_of_a_resumed_run_are_told(script, capsys):
    script.train("run", "train.steps=1")
    script.train("run", "train.steps=2", resume=True)
    assert "resuming with a change: train.steps: 1 in the checkpoint, 2 now" in capsys.readouterr().err


def test_a_run_names_the_packages_that_were_loaded(script, monkeypatch, capsys):
    monkeypatch.setitem(plugin_manager().distributions, "mine", Distribution("slotaudio-mine", "1.2"))
    script.train("run", "train.steps=1")
    for name in ("recipe.toml", "model/README.md"):
        assert "slotaudio-mine 1.2" in (script.folder / "run" / name).read_text()
    monkeypatch.setitem(plugin_manager().distributions, "mine", Distribution("slotaudio-mine", "1.3"))
    script.train("run", "train.steps=1", resume=True)
    assert "resuming with a change: slotaudio-mine: 1.2 in the checkpoint, 1.3 now" in capsys.readouterr().err
