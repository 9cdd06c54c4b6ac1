"""A healthy encoder, and what can go wrong with it."""

import torch
from torch import nn

from defects import Defect
from slotaudio.positions import grid
from slotaudio.types import Features


class HealthyEncoder(nn.Module):
    """Two convolutions with a norm between them."""

    def __init__(self, in_channels: int, width: int = 8) -> None:
        super().__init__()
        self.out_dim = width
        self.first = nn.Conv2d(in_channels, width, 3, padding=1)
        self.norm = nn.GroupNorm(2, width)
        self.second = nn.Conv2d(width, width, 3, stride=2, padding=1)

    def forward(self, features):
        maps = self.second(self.norm(self.first(features)).relu())
        return Features(maps.flatten(2).transpose(1, 2)[:, None], grid(*maps.shape[-2:], maps.device))


class Changed(HealthyEncoder):
    """An encoder whose tokens are changed at the end."""

    def forward(self, features):
        healthy = super().forward(features)
        return Features(self.change(healthy.tokens), self.place(healthy.positions, features))

    def change(self, tokens):
        return tokens

    def place(self, positions, features):
        return positions


class BatchStatistics(HealthyEncoder):
    """Normalises over the batch, in evaluation too."""

    def __init__(self, in_channels: int, width: int = 8) -> None:
        super().__init__(in_channels, width)
        self.norm = nn.BatchNorm2d(width, track_running_stats=False)


class LoudestOfTheBatch(HealthyEncoder):
    """Divides by the loudest item of the batch."""

    def forward(self, features):
        return super().forward(features / features.abs().amax().clamp_min(1e-3))


class Detached(HealthyEncoder):
    """Cuts the gradient to whatever comes before."""

    def forward(self, features):
        return super().forward(features.detach())


class UnusedParameter(HealthyEncoder):
    """Has a layer that it never calls."""

    def __init__(self, in_channels: int, width: int = 8) -> None:
        super().__init__(in_channels, width)
        self.forgotten = nn.Linear(width, width)


class DetachedInside(HealthyEncoder):
    """Cuts the gradient between its layers."""

    def forward(self, features):
        with torch.no_grad():
            maps = self.first(features)
        maps = self.second(self.norm(maps).relu()) + 0 * features.sum()
        return Features(maps.flatten(2).transpose(1, 2)[:, None], grid(*maps.shape[-2:], maps.device))


class InPlace(HealthyEncoder):
    """Centres its input in place."""

    def forward(self, features):
        with torch.no_grad():
            features -= features.mean(dim=(1, 2, 3), keepdim=True)
        return super().forward(features)


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


class ConstantInFloat32(Changed):
    """Multiplies by a matrix that stays in float32."""

    def change(self, tokens):
        return tokens @ torch.eye(self.out_dim, device=tokens.device)


class AlwaysFloat32(Changed):
    """Returns float32 whatever goes in."""

    def change(self, tokens):
        return tokens.float()


class RoundsInside(HealthyEncoder):
    """Computes in float32 and hands out float64."""

    def forward(self, features):
        return super().forward(features.float().to(features.dtype))


class LosesBfloat16(Changed):
    """Adds and removes a large number, which bfloat16 does not survive."""

    def __init__(self, in_channels: int, width: int = 8) -> None:
        super().__init__(in_channels, width)
        self.mix = nn.Linear(width, width)

    def change(self, tokens):
        return self.mix(tokens + 300) - self.mix(torch.full_like(tokens, 300))


class RootAfterRounding(LosesBfloat16):
    """Takes the root of what bfloat16 rounds to zero."""

    def change(self, tokens):
        return (1 + 1e-4 * self.mix(tokens).square()).log().sqrt()


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


class ViewsItsInput(HealthyEncoder):
    """Takes for granted that its input is contiguous."""

    def forward(self, features):
        return super().forward(features.view(len(features), -1).view(features.shape))


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


class WrongWidth(HealthyEncoder):
    """Offers another width than it returns."""

    def __init__(self, in_channels: int, width: int = 8) -> None:
        super().__init__(in_channels, width)
        self.out_dim = 2 * width


class DividesByTheLevel(HealthyEncoder):
    """Divides by the level, which is zero for silence."""

    def forward(self, features):
        return super().forward(features / features.square().mean(dim=(1, 2, 3), keepdim=True).sqrt())


class RootOfZero(HealthyEncoder):
    """Takes a root whose gradient at zero is infinite."""

    def forward(self, features):
        return super().forward(features + features.square().sum(dim=1, keepdim=True).sqrt())


class PositionsInCells(Changed):
    """Counts cells instead of using -1 to 1."""

    def place(self, positions, features):
        return positions * 8


class PositionsFollowTheSound(Changed):
    """Shifts the positions with the loudness."""

    def place(self, positions, features):
        return positions * (1 - 0.1 * features.mean().tanh()).detach()


class NeedsFourFrames(HealthyEncoder):
    """Convolves without padding."""

    def __init__(self, in_channels: int, width: int = 8) -> None:
        super().__init__(in_channels, width)
        self.first = nn.Conv2d(in_channels, width, 4)


class OneMapOnly(HealthyEncoder):
    """Takes the number of maps and does not use it."""

    def __init__(self, in_channels: int, width: int = 8) -> None:
        super().__init__(in_channels, width)
        self.first = nn.Conv2d(1, width, 3, padding=1)


class SwallowsOptions(HealthyEncoder):
    """Takes any option at all."""

    def __init__(self, in_channels: int, width: int = 8, **options: object) -> None:
        super().__init__(in_channels, width)


class Undocumented(HealthyEncoder):
    __doc__ = None


class LooksAtValues(Changed):
    """Decides in Python by what a tensor holds: neither compiler can follow."""

    def change(self, tokens):
        return 2 * tokens if tokens.sum().item() > 0 else tokens


UNTRACEABLE = (
    Defect("encoder", LooksAtValues, "test_it_compiles_where_promised", {"compiles": True}),
    Defect("encoder", LooksAtValues, "test_it_exports_where_promised", {"exports": True}),
)
"""Checked in a process without runtime type checks, through which nothing can be traced."""

DEFECTS = (
    Defect("encoder", BatchStatistics, "test_batch_items_do_not_see_each_other"),
    Defect("encoder", LoudestOfTheBatch, "test_batch_items_do_not_see_each_other"),
    Defect("encoder", Detached, "test_gradients_reach_the_inputs"),
    Defect("encoder", UnusedParameter, "test_gradients_are_finite_and_reach_every_parameter"),
    Defect("encoder", DetachedInside, "test_gradients_are_finite_and_reach_every_parameter"),
    Defect("encoder", InPlace, "test_inputs_are_left_unchanged"),
    Defect("encoder", ConstantOnCpu, "test_it_moves_between_devices"),
    Defect("encoder", ConstantNotABuffer, "test_it_moves_between_devices"),
    Defect("encoder", LooksAtValues, "test_it_moves_between_devices"),
    Defect("encoder", ConstantInFloat32, "test_float64_in_float64_out"),
    Defect("encoder", AlwaysFloat32, "test_float64_in_float64_out"),
    Defect("encoder", RoundsInside, "test_float64_is_not_rounded"),
    Defect("encoder", LosesBfloat16, "test_bfloat16_autocast_agrees_with_float32"),
    Defect("encoder", RootAfterRounding, "test_bfloat16_autocast_trains"),
    Defect("encoder", Remembers, "test_same_inputs_same_outputs"),
    Defect("encoder", CountsItsCalls, "test_same_inputs_same_outputs"),
    Defect("encoder", ViewsItsInput, "test_memory_layout_does_not_matter"),
    Defect("encoder", AlwaysDropout, "test_same_inputs_same_outputs"),
    Defect("encoder", HiddenProjection, "test_state_dict_restores_it_exactly"),
    Defect("encoder", StateThatIsNoTensor, "test_safetensors_restore_it_exactly"),
    Defect("encoder", RepeatedBlocks, "test_no_layer_is_shared_by_accident"),
    Defect("encoder", OneNormTwice, "test_no_layer_is_shared_by_accident"),
    Defect("encoder", WrongWidth, "test_shapes_and_types_follow_the_contract"),
    Defect("encoder", DividesByTheLevel, "test_silence_is_legal"),
    Defect("encoder", RootOfZero, "test_gradients_of_silence_are_finite"),
    Defect("encoder", PositionsInCells, "test_shapes_and_types_follow_the_contract"),
    Defect("encoder", PositionsFollowTheSound, "test_positions_are_the_same_for_every_content"),
    Defect("encoder", NeedsFourFrames, "test_smallest_sizes_work"),
    Defect("encoder", OneMapOnly, "test_dimensions_are_threaded"),
    Defect("encoder", SwallowsOptions, "test_wrong_options_are_answered_with_the_signature"),
    Defect("encoder", Undocumented, "test_it_is_described"),
)
