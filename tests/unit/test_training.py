"""Training: exact resume, what is saved when, and what happens when something goes wrong."""

import csv
import itertools
import json
import os
import signal
from types import SimpleNamespace

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn

from slotaudio.errors import PretrainedError, UserError
from slotaudio.objectives.supervised import Supervised
from slotaudio.pluginmanager import Distribution, plugin_manager
from slotaudio.pretrained import from_pretrained
from slotaudio.recipe import load_recipe
from slotaudio.registry import encoders, objectives
from slotaudio.training import checkpoints
from slotaudio.training.checkpoints import AtomicFiles
from slotaudio.training.module import TrainingDiverged, rate_factor
from slotaudio.training.options import TrainOptions
from slotaudio.training.run import train
from slotaudio.training.speed import tune
from slotaudio.types import Features

RECIPE = """
objective = "scripted"
model.window = 0.125

[encoder]
name = "resnet"
depth = 10
width = 2

[bottleneck]
name = "transformer"
slot_dim = 8
layers = 1
heads = 2
qkv_dim = 8
mlp_dim = 8

[decoder]
name = "spatial_broadcast"
hidden = 8
layers = 1
patch = [8, 8]

[data.train]
name = "synthetic"
size = 10

[data.validation]
name = "synthetic"
size = 2
seconds = 0.5
seed = 5
fixed = true

[train]
steps = 6
batch_size = 2
warmup_steps = 2
learning_rate = 1e-2
validate_every = 3
checkpoint_every = 2
log_every = 1
"""


class Script:
    """What is to happen in which training batch of a session."""

    def __init__(self, folder):
        self.folder = folder
        self.events = {}
        self.batch = 0
        (folder / "tiny.toml").write_text(RECIPE)

    def train(self, name, *overrides, events=None, **options):
        self.events, self.batch = events or {}, 0
        return train(load_recipe(self.folder / "tiny.toml", overrides), self.folder / name, **options)

    def log(self, name):
        """Every figure that does not measure time, by step."""
        found = {}
        for path in sorted((self.folder / name).glob("logs/*/metrics.csv")):
            with open(path, newline="") as file:
                for row in csv.DictReader(file):
                    figures = {key: value for key, value in row.items() if value and key != "train/audio_per_second"}
                    found.setdefault(row["step"], {}).update(figures)
        return found

    def weights(self, name):
        return torch.load(self.folder / name, weights_only=True)["state_dict"]


@pytest.fixture
def script(tmp_path):
    playing = Script(tmp_path)

    @objectives.register("scripted")
    class Scripted:
        def __init__(self):
            self.supervised = Supervised()

        def __call__(self, model, batch):
            losses = self.supervised(model, batch)
            if torch.is_grad_enabled():
                playing.batch += 1
                losses = playing.events.get(playing.batch, lambda losses: losses)(losses)
            return losses

    return playing


def same(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def terminate(losses):
    os.kill(os.getpid(), signal.SIGTERM)
    return losses


def crash(losses):
    raise ZeroDivisionError


def spoil(losses):
    return {"loss": losses["loss"] * torch.nan}


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
    assert same(script.weights("parts/last.ckpt"), script.weights("whole/last.ckpt"))
    assert same(script.weights("parts/best.ckpt"), script.weights("whole/best.ckpt"))
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_run_stopped_within_a_step_ends_it_first(script):
    options = ["train.accumulate=4", "train.checkpoint_every=100"]
    whole = script.train("whole", *options)
    stopped = script.train("parts", *options, events={4 * 2 + 2: terminate})
    assert (stopped.step, stopped.stopped_by) == (3, "SIGTERM")
    assert script.train("parts", *options, resume=True).score == whole.score
    assert same(script.weights("parts/last.ckpt"), script.weights("whole/last.ckpt"))


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
    assert same(script.weights("parts/last.ckpt"), script.weights("whole/last.ckpt"))


def test_resuming_before_the_first_checkpoint_starts_and_after_the_last_step_stays(script):
    first = script.train("run", "train.steps=2", resume=True)
    before = script.weights("run/last.ckpt")
    again = script.train("run", "train.steps=2", resume=True)
    assert (first.step, again.step, again.score) == (2, 2, first.score)
    assert same(script.weights("run/last.ckpt"), before)


def test_a_time_limit_stops_between_steps(script):
    done = script.train("run", "train.max_minutes=1e-9")
    assert (done.step, done.stopped_by) == (1, "time")
    assert (script.folder / "run/last.ckpt").exists()
    assert from_pretrained(done.model).slots == 2  # even without a validation there is a model


def test_the_last_step_is_validated_and_the_best_model_exported(script):
    done = script.train("run", "train.steps=4", "train.ema=0.5")
    log = script.log("run")
    assert [step for step, figures in log.items() if "validation/si_sdr_i" in figures] == ["2", "3"]
    scores = {int(step) + 1: float(f["validation/si_sdr_i"]) for step, f in log.items() if "validation/si_sdr_i" in f}
    assert done.score_step == max(scores, key=scores.get)
    assert done.score == pytest.approx(scores[done.score_step])
    model = from_pretrained(done.model)
    best = script.weights("run/best.ckpt")  # with a moving average, that is what `state_dict` holds
    assert same({f"model.{name}": value for name, value in model.state_dict().items()}, best)
    text = (done.model / "README.md").read_text()
    assert "moving average of the weights, decay 0.5" in text
    assert f"SI-SDRi on the validation mixtures: {done.score:.2f} dB" in text
    assert 'objective = "scripted"' in text


def test_the_last_model_is_exported_if_asked_with_its_own_figure(script):
    changes = ["train.steps=6", "train.validate_every=1", "train.export=last", "train.learning_rate=0.3"]
    done = script.train("run", *changes)
    assert done.score_step < 6  # or this would be no test
    model = from_pretrained(done.model)
    last = script.weights("run/last.ckpt")
    assert same({f"model.{name}": value for name, value in model.state_dict().items()}, last)
    score = float(script.log("run")["5"]["validation/si_sdr_i"])
    assert f"SI-SDRi on the validation mixtures: {score:.2f} dB" in (done.model / "README.md").read_text()
    card = (done.model / "README.md").read_text()
    script.train("run", *changes, resume=True)  # there is nothing left to do
    assert (done.model / "README.md").read_text() == card


def test_a_loss_that_is_no_number_stops_the_run_and_names_the_batch(script):
    with pytest.raises(TrainingDiverged) as caught:
        script.train("run", events={4: spoil})
    report = script.folder / "run/diverged-step-3.json"
    assert str(caught.value).startswith(f"the loss is nan at step 3; the batch's utterances are in {report}.")
    told = json.loads(report.read_text())
    assert told["step"] == 3
    assert [item["id"].rpartition("-")[0] for item in told["batch"]] == ["synthetic-0-0"] * 2
    assert torch.load(script.folder / "run/last.ckpt", weights_only=True)["global_step"] == 2
    assert script.train("run", resume=True).step == 6


def test_a_gradient_that_is_no_number_stops_the_run(script):
    def explode(losses):
        # the derivative of the root at zero is infinite, while its value is not
        return {"loss": losses["loss"] + (losses["loss"] - losses["loss"]).sqrt()}

    with pytest.raises(TrainingDiverged, match="the gradient's norm is nan at step 1"):
        script.train("run", events={2: explode})


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
    assert same(script.weights("run/last.ckpt"), kept)
    (script.folder / "run/last.ckpt").write_bytes(b"PK\x03\x04 cut short")
    with pytest.raises(UserError, match=r"last.ckpt cannot be resumed from"):
        script.train("run", resume=True)
    torch.save({"slotaudio": {"format": 99, "version": "9.9"}}, script.folder / "run/last.ckpt")
    with pytest.raises(UserError, match=r"was written by slotaudio 9\.9 in format 99"):
        script.train("run", resume=True)
    assert script.train("run", "train.steps=1", force=True).step == 1


def test_frozen_weights_stay_as_they_are_and_the_others_learn(script):
    script.train("first")
    start = script.weights("first/last.ckpt")
    frozen = 'train.frozen=["encoder.*", "decoder.from_*"]'
    overrides = [f"train.init={script.folder / 'first/model'}", "train.weight_decay=0.1", "train.optimizer=adamw"]
    script.train("second", *overrides, frozen)
    learned = script.weights("second/last.ckpt")
    moved = {name for name, weight in learned.items() if not torch.equal(weight, start[name])}
    assert moved
    assert not [name for name in moved if name.startswith(("model.encoder", "model.decoder.from_"))]
    # what is frozen may change when a run goes on
    script.train("second", *overrides, "train.steps=8", resume=True)
    assert not same({name: learned[name] for name in moved}, script.weights("second/last.ckpt"))
    later = script.weights("second/last.ckpt")
    assert any(
        not torch.equal(weight, start[name]) for name, weight in later.items() if name.startswith("model.encoder")
    )


def test_what_is_frozen_computes_as_it_will_when_separating(script):
    modes = []

    @encoders.register("normed")
    class Normed(nn.Module):
        out_dim = 4

        def __init__(self, in_channels, freq):
            super().__init__()
            self.norm = nn.BatchNorm1d(in_channels * freq)
            self.project = nn.Linear(in_channels * freq, 4)

        def forward(self, features):
            modes.append((torch.is_grad_enabled(), self.norm.training))
            tokens = self.project(self.norm(features.flatten(1, 2)).mT)
            return Features(tokens[:, None], torch.zeros(tokens.shape[1], 2))

    script.train("run", "encoder=normed", 'train.frozen=["encoder.norm.*"]')
    assert {training for learning, training in modes if learning} == {False}
    script.train("all", "encoder=normed")
    assert True in {training for learning, training in modes if learning}


@pytest.mark.parametrize(
    ("patterns", "message"),
    [('["encodr.*"]', "train.frozen: no weight .* is named 'encodr"), ('["*"]', "leaves no weight of the model")],
)
def test_what_can_not_be_frozen_is_said_before_a_folder_is_made(script, patterns, message):
    with pytest.raises(UserError, match=message):
        script.train("run", f"train.frozen={patterns}")
    assert not (script.folder / "run").exists()


def test_an_objective_learns_nothing_before_the_first_step(script):
    """Both data sets are tried out then; what it fits on targets comes from training alone."""

    @objectives.register("counting")
    class Counting(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.supervised = Supervised()
            self.register_buffer("heard", torch.zeros(()))

        def forward(self, model, batch):
            if self.training:
                self.heard += len(batch.mixture)
            return self.supervised(model, batch)

    script.train("run", "objective=counting", "train.steps=2")
    assert script.weights("run/last.ckpt")["objective.heard"] == 2 * 2


def test_what_does_not_fit_shows_before_a_folder_is_made(script):
    with pytest.raises(UserError):
        script.train("run", "data.train.sources=3")
    with pytest.raises(UserError, match="an epoch of 10 mixtures is smaller than a batch of 64"):
        script.train("run", "train.batch_size=64")
    assert not (script.folder / "run").exists()


@pytest.mark.parametrize(("part", "told"), [("train", True), ("dev", False)])
def test_speakers_of_training_in_validation_are_told_of(script, capsys, part, told):
    mixtures = {
        place: f"{{name='librimix', path='bundled:{place}', seconds=0.5, size=2}}" for place in ("train", "dev")
    }
    changes = [f"data.train={mixtures['train']}", f"data.validation={mixtures[part]}"]
    script.train("run", *changes, "model.window=0.5", "train.steps=1")
    assert ("speakers are in training and in validation" in capsys.readouterr().err) == told


def test_changes_of_a_resumed_run_are_told(script, capsys):
    script.train("run", "train.steps=1")
    script.train("run", "train.steps=2", resume=True)
    assert "resuming with a change: train.steps: 1 in the checkpoint, 2 now" in capsys.readouterr().err


def test_pictures_and_sound_are_logged(script):
    script.train("run", "train.steps=3")
    events = EventAccumulator(str(script.folder / "run/tensorboard"))
    events.Reload()
    pictures = {"separation", "timeline", "identity", "assignment"}
    assert set(events.Tags()["images"]) == {f"validation/{name}" for name in pictures}
    sounds = {"mixture", "source 1", "source 2", "estimate 1", "estimate 2"}
    assert set(events.Tags()["audio"]) == {f"validation/{name}" for name in sounds}
    assert {"train/loss", "train/audio_per_second", "validation/si_sdr_i"} <= set(events.Tags()["scalars"])
    assert {"validation/slot_similarity", "validation/attention_overlap"} <= set(events.Tags()["scalars"])


def test_bf16_and_fp32_lose_alike(script):
    script.train("fp32", "train.steps=2")
    script.train("bf16", "train.steps=2", "train.precision=bf16")
    full, half = ([float(figures["train/loss"]) for figures in script.log(name).values()] for name in ("fp32", "bf16"))
    assert half == pytest.approx(full, rel=0.02)
    assert half != full


def test_what_makes_steps_faster_changes_nothing_but_rounding(script):
    script.train("plain", "train.steps=3")
    script.train("fast", "train.steps=3", "train.fused=true")
    plain, fast = ([float(row["train/loss"]) for row in script.log(name).values()] for name in ("plain", "fast"))
    assert fast == pytest.approx(plain, rel=1e-3)
    with pytest.raises(UserError, match="'muon' has no fused kernel"):
        script.train("muon", "train.optimizer=muon", "train.fused=true")


def test_a_run_names_the_packages_that_were_loaded(script, monkeypatch, capsys):
    monkeypatch.setitem(plugin_manager().distributions, "mine", Distribution("slotaudio-mine", "1.2"))
    script.train("run", "train.steps=1")
    for name in ("recipe.toml", "model/README.md"):
        assert "slotaudio-mine 1.2" in (script.folder / "run" / name).read_text()
    monkeypatch.setitem(plugin_manager().distributions, "mine", Distribution("slotaudio-mine", "1.3"))
    script.train("run", "train.steps=1", resume=True)
    assert "resuming with a change: slotaudio-mine: 1.2 in the checkpoint, 1.3 now" in capsys.readouterr().err


def test_a_data_set_may_be_a_bare_word(script):
    (script.folder / "tiny.toml").write_text(RECIPE.replace('[data.train]\nname = "synthetic"\nsize = 10\n', ""))
    done = script.train("run", "data.train=synthetic", "train.steps=1")
    assert "- train: name = synthetic\n" in (done.model / "README.md").read_text()


class Unsaved(torch.nn.Module):
    """An encoder that trains well, and keeps what no saved model can hold."""

    def __init__(self, freq: int, frames: object = None, apply=(torch.relu,)):
        super().__init__()
        self.out_dim, self.apply = 8, apply
        self.linear = torch.nn.Linear(freq, 8)
        self.keeps = frames == "state"

    def get_extra_state(self):
        return {"seen": 3} if self.keeps else torch.tensor(3)

    def set_extra_state(self, state):
        pass

    def forward(self, features):
        tokens = self.linear(features.mean(dim=1).transpose(1, 2))[:, None]
        return Features(tokens, torch.linspace(-1, 1, tokens.shape[2])[:, None])


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        ("2026-11-27", r"encoder 'unsaved' cannot be saved with frames = datetime.date\(2026, 11, 27\): options of"),
        ('"state"', "encoder._extra_state is of type dict"),
    ],
)
def test_what_could_not_be_exported_is_found_before_the_first_step(script, frames, message):
    encoders.register("unsaved")(Unsaved)
    recipe = RECIPE.replace('"resnet"\ndepth = 10\nwidth = 2', f'"unsaved"\nframes = {frames}')
    (script.folder / "tiny.toml").write_text(recipe)
    with pytest.raises(PretrainedError, match=message):
        script.train("run")
    assert script.batch == 0
    assert not (script.folder / "run").exists()


def test_defaults_that_are_no_json_are_left_out_of_what_is_saved(script):
    encoders.register("unsaved")(Unsaved)
    recipe = RECIPE.replace('name = "resnet"\ndepth = 10\nwidth = 2', 'name = "unsaved"')
    (script.folder / "tiny.toml").write_text(recipe)
    done = script.train("run", "train.steps=1")
    saved = json.loads((done.model / "config.json").read_text())["components"]["encoder"]
    assert saved["defaults"] == {"frames": None}
    assert from_pretrained(done.model).encoder.apply == (torch.relu,)


@pytest.mark.parametrize(
    ("schedule", "half"), [("cosine", 0.5), ("linear", 0.5), ("polynomial", 0.5**0.9), ("constant", 1)]
)
def test_learning_rates_rise_and_fall(schedule, half):
    options = TrainOptions(steps=100, warmup_steps=10, schedule=schedule)
    rates = [rate_factor(step, options) for step in range(100)]
    assert rates[0] > 0
    assert rates[9] == rates[10] == 1
    assert rates[:10] == sorted(rates[:10])
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[99] == (1 if schedule == "constant" else pytest.approx(0, abs=0.02))
    assert rate_factor(55, options) == pytest.approx(half)


def test_channels_last_lays_out_the_encoder_anew():
    recipe = load_recipe("audioslots-small")
    model = recipe.model()
    tune(model, TrainOptions(channels_last=True))
    kernels = [weight for weight in model.encoder.parameters() if weight.ndim == 4]
    assert kernels
    assert all(weight.is_contiguous(memory_format=torch.channels_last) for weight in kernels)
