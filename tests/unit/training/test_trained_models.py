"""The model that a run leaves: which one it is, and what its card says."""

import json
from unittest.mock import Mock

import lightning
import pytest
import torch

from slotaudio.errors import PretrainedError
from slotaudio.pretrained import from_pretrained
from slotaudio.registry import encoders
from slotaudio.training import checkpoints
from slotaudio.training.options import TrainOptions
from slotaudio.types import Features


def test_the_last_step_is_validated_and_the_best_model_exported(script):
    done = script.train("run", "train.steps=4", "train.ema=0.5")
    log = script.log("run")
    assert [step for step, figures in log.items() if "validation/si_sdr_i" in figures] == ["2", "3"]
    scores = {int(step) + 1: float(f["validation/si_sdr_i"]) for step, f in log.items() if "validation/si_sdr_i" in f}
    assert done.score_step == max(scores, key=scores.get)
    assert done.score == pytest.approx(scores[done.score_step])
    model = from_pretrained(done.model)
    best = script.weights("run/best.ckpt")  # with a moving average, that is what `state_dict` holds
    assert script.same({f"model.{name}": value for name, value in model.state_dict().items()}, best)
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
    assert script.same({f"model.{name}": value for name, value in model.state_dict().items()}, last)
    score = float(script.log("run")["5"]["validation/si_sdr_i"])
    assert f"SI-SDRi on the validation mixtures: {score:.2f} dB" in (done.model / "README.md").read_text()
    card = (done.model / "README.md").read_text()
    script.train("run", *changes, resume=True)  # there is nothing left to do
    assert (done.model / "README.md").read_text() == card


@pytest.mark.parametrize(
    ("validations", "best"),
    [
        ([{"validation/loss": value} for value in (2.0, 1.0, 3.0)], 2),  # the less the better
        ([{"validation/si_sdr": value} for value in (-9.0, 5.0, 4.0, 6.0, 6.0)], 4),
        ([{"validation/si_sdr_i": gain, "validation/loss": -gain} for gain in (1.0, 3.0, 2.0)], 2),
        ([{"validation/loss": -50.0}, {"validation/si_sdr_i": 1.0, "validation/loss": 0.0}], 2),  # nothing to compare
        ([{"validation/loss": 1.0}, {}], 1),
    ],
)
def test_the_best_is_told_by_the_first_figure_that_there_is(tmp_path, validations, best):
    kept, saved = checkpoints.Checkpoints(tmp_path, TrainOptions(), {}), []
    module = Mock(spec=lightning.LightningModule)
    for step, figures in enumerate(validations, start=1):
        trainer = Mock(spec=lightning.Trainer, loggers=[], global_step=step, callback_metrics=figures)
        trainer.save_checkpoint = lambda path: saved.append(kept.best_step)
        kept.on_validation_end(trainer, module)
    assert kept.best_step == saved[-1] == best
    assert kept.best_score == validations[best - 1][kept.best_metric]


def test_a_data_set_may_be_a_bare_word(script):
    (script.folder / "tiny.toml").write_text(script.recipe.replace('[data.train]\nname = "synthetic"\nsize = 10\n', ""))
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
    recipe = script.recipe.replace('"resnet"\ndepth = 10\nwidth = 2', f'"unsaved"\nframes = {frames}')
    (script.folder / "tiny.toml").write_text(recipe)
    with pytest.raises(PretrainedError, match=message):
        script.train("run")
    assert script.batch == 0
    assert not (script.folder / "run").exists()


def test_defaults_that_are_no_json_are_left_out_of_what_is_saved(script):
    encoders.register("unsaved")(Unsaved)
    recipe = script.recipe.replace('name = "resnet"\ndepth = 10\nwidth = 2', 'name = "unsaved"')
    (script.folder / "tiny.toml").write_text(recipe)
    done = script.train("run", "train.steps=1")
    saved = json.loads((done.model / "config.json").read_text())["components"]["encoder"]
    assert saved["defaults"] == {"frames": None}
    assert from_pretrained(done.model).encoder.apply == (torch.relu,)
