"""Training: what is logged, what is refused, and what happens when something goes wrong."""

import json
import shutil

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from slotaudio.data.speech import SpeechFolder
from slotaudio.errors import UserError
from slotaudio.objectives.supervised import Supervised
from slotaudio.recipe import load_recipe
from slotaudio.registry import objectives
from slotaudio.training.module import TrainingDiverged, rate_factor
from slotaudio.training.options import TrainOptions
from slotaudio.training.speed import tune


def spoil(losses):
    return {"loss": losses["loss"] * torch.nan}


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


def test_so_are_those_of_a_copy(script, capsys, tmp_path):
    names = list(SpeechFolder("bundled:dev").speakers)[:2]
    for speaker in names:
        shutil.copytree(SpeechFolder("bundled:dev").path / speaker, tmp_path / "copy" / speaker)
    changes = [
        f"data.{part}={{name='folder', path='{path}', seconds=0.5, size=2}}"
        for part, path in (("train", tmp_path / "copy"), ("validation", "bundled:dev"))
    ]
    script.train("run", *changes, "train.steps=1")
    assert (
        f"2 speakers are in training and in validation, going by the names of their folders ({', '.join(names)})"
        in (capsys.readouterr().err)
    )


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
