"""Weights that are not trained stay as they are."""

import pytest
import torch
from torch import nn

from slotaudio.errors import UserError
from slotaudio.registry import encoders
from slotaudio.types import Features


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
    assert not script.same({name: learned[name] for name in moved}, script.weights("second/last.ckpt"))
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
