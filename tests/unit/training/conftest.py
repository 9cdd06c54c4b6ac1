"""What tests of training share: a run that takes a second, in which anything may happen in any batch."""

import csv

import pytest
import torch

from slotaudio.objectives.supervised import Supervised
from slotaudio.recipe import load_recipe
from slotaudio.registry import objectives
from slotaudio.training.run import train

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

    recipe = RECIPE

    def __init__(self, folder):
        self.folder = folder
        self.events = {}
        self.batch = 0
        (folder / "tiny.toml").write_text(self.recipe)

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

    @staticmethod
    def same(first, second):
        return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


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
