"""What can go wrong with what any stage keeps, shares and saves, planted in an encoder."""

import random

import numpy as np
import torch
from torch import nn

from defects import Defect
from defects.encoders import Changed, HealthyEncoder
from slotaudio.positions import grid
from slotaudio.types import Features


class ConstantOnCpu(Changed):
    """Makes a constant without saying on which device."""

    def change(self, tokens):
        return tokens * torch.linspace(1, 2, self.out_dim).to(tokens.dtype)


class ConstantNotABuffer(Changed):
    """Keeps a constant that `.to` does not find."""

    def __init__(self, in_channels: int, width: int = 8) -> None:
        super().__init__(in_channels, width)
        self.scale = torch.linspace(1, 2, width)

    def change(self, tokens):
        return tokens * self.scale


class Remembers(Changed):
    """Carries a mean over from call to call."""

    memory = 0.0

    def change(self, tokens):
        self.memory = 0.9 * self.memory + 0.1 * tokens.detach().mean()
        return tokens - self.memory


class CountsItsCalls(HealthyEncoder):
    """Writes to a buffer in evaluation, too."""

    def __init__(self, in_channels: int, width: int = 8) -> None:
        super().__init__(in_channels, width)
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, features):
        self.calls += 1
        return super().forward(features)


class AlwaysDropout(Changed):
    """Drops tokens in evaluation, too."""

    def change(self, tokens):
        return nn.functional.dropout(tokens, 0.2, training=True)


class HiddenProjection(Changed):
    """Keeps random weights where no state dict sees them."""

    def __init__(self, in_channels: int, width: int = 8) -> None:
        super().__init__(in_channels, width)
        self.register_buffer("projection", torch.randn(width, width), persistent=False)

    def change(self, tokens):
        return tokens @ self.projection


class StateThatIsNoTensor(HealthyEncoder):
    """Puts a dictionary into the state dict."""

    def get_extra_state(self):
        return {"version": 2}

    def set_extra_state(self, state):
        self.version = state["version"]


class RepeatedBlocks(Changed):
    """Builds three layers by multiplying a list."""

    def __init__(self, in_channels: int, width: int = 8) -> None:
        super().__init__(in_channels, width)
        self.layers = nn.ModuleList([nn.Linear(width, width)] * 3)

    def change(self, tokens):
        for layer in self.layers:
            tokens = layer(tokens).relu()
        return tokens


class OneNormTwice(HealthyEncoder):
    """Uses one normalisation before and after the second layer."""

    def forward(self, features):
        maps = self.norm(self.second(self.norm(self.first(features)).relu()))
        return Features(maps.flatten(2).transpose(1, 2)[:, None], grid(*maps.shape[-2:], maps.device))


class RunningMean(Changed):
    """Follows the mean in training, in a plain attribute."""

    running = 0.0

    def change(self, tokens):
        if self.training:
            self.running = 0.9 * self.running + 0.1 * tokens.detach().mean()
        return tokens - self.running


class RunningMeanNotSaved(Changed):
    """Follows the mean in training, in a buffer that is not saved."""

    def __init__(self, in_channels: int, width: int = 8) -> None:
        super().__init__(in_channels, width)
        self.register_buffer("running", torch.zeros(width), persistent=False)

    def change(self, tokens):
        if self.training:
            self.running = 0.9 * self.running + 0.1 * tokens.detach().mean(dim=(0, 1, 2))
        return tokens - self.running


class CountsTheTraining(Changed):
    """Anneals by a number of Python, which no saved model holds."""

    steps = 0

    def change(self, tokens):
        self.steps += self.training
        return tokens / (1 + self.steps)


class KeepsWhatFollowsFromWeights(Changed):
    """Computes something from its weights once, for validation."""

    kept = None

    def __init__(self, in_channels: int, width: int = 8) -> None:
        super().__init__(in_channels, width)
        self.mix = nn.Linear(width, width)

    def change(self, tokens):
        if self.kept is None or self.training:
            self.kept = self.mix.weight.softmax(dim=1)
        return self.mix(tokens) @ self.kept


class KeepsTheFirstPlaces(Changed):
    """Keeps a constant of the first call, which no .to() moves and inference mode made unfit for training."""

    kept = None

    def change(self, tokens):
        if self.kept is None or len(self.kept) != tokens.shape[2]:
            self.kept = torch.linspace(1, 2, tokens.shape[2], device=tokens.device, dtype=tokens.dtype)[:, None]
        return tokens * self.kept


class LeavesItsLayersInTraining(Changed):
    """Puts a layer into training mode for one call, and leaves it there."""

    def forward(self, features):
        self.second.train()
        return super().forward(features)


class AugmentsWithNumpy(Changed):
    """Draws a gain in training from numpy's global generator."""

    def change(self, tokens):
        return tokens * float(np.random.uniform(0.9, 1.1)) if self.training else tokens  # noqa: NPY002


class SeedsTorch(HealthyEncoder):
    """Makes its own weights reproducible, and everybody's random numbers with them."""

    def __init__(self, in_channels: int, width: int = 8) -> None:
        torch.manual_seed(0)
        super().__init__(in_channels, width)


class SeedsPython(Changed):
    """Seeds Python's generator in every call."""

    def change(self, tokens):
        random.seed(0)
        return tokens


class OnlyDeterministic(HealthyEncoder):
    """Switches the whole process to deterministic algorithms."""

    def __init__(self, in_channels: int, width: int = 8) -> None:
        super().__init__(in_channels, width)
        torch.use_deterministic_algorithms(True)


DEFECTS = (
    Defect("encoder", ConstantOnCpu, "test_it_moves_between_devices"),
    Defect("encoder", ConstantNotABuffer, "test_it_moves_between_devices"),
    Defect("encoder", Remembers, "test_same_inputs_same_outputs"),
    Defect("encoder", CountsItsCalls, "test_same_inputs_same_outputs"),
    Defect("encoder", AlwaysDropout, "test_same_inputs_same_outputs"),
    Defect("encoder", HiddenProjection, "test_state_dict_restores_it_exactly"),
    Defect("encoder", StateThatIsNoTensor, "test_safetensors_restore_it_exactly"),
    Defect("encoder", RepeatedBlocks, "test_no_layer_is_shared_by_accident"),
    Defect("encoder", OneNormTwice, "test_no_layer_is_shared_by_accident"),
    Defect("encoder", RunningMean, "test_state_dict_restores_it_exactly"),
    Defect("encoder", RunningMeanNotSaved, "test_safetensors_restore_it_exactly"),
    Defect("encoder", CountsTheTraining, "test_state_dict_restores_it_exactly"),
    Defect("encoder", KeepsWhatFollowsFromWeights, "test_earlier_calls_do_not_matter"),
    Defect("encoder", KeepsTheFirstPlaces, "test_earlier_calls_do_not_matter"),
    Defect("encoder", KeepsTheFirstPlaces, "test_it_moves_between_devices"),
    Defect("encoder", LeavesItsLayersInTraining, "test_same_inputs_same_outputs"),
    Defect("encoder", AugmentsWithNumpy, "test_training_draws_from_torch_alone"),
    Defect("encoder", SeedsTorch, "test_it_leaves_what_everybody_shares_alone"),
    Defect("encoder", SeedsPython, "test_it_leaves_what_everybody_shares_alone"),
    Defect("encoder", OnlyDeterministic, "test_it_leaves_what_everybody_shares_alone"),
)
