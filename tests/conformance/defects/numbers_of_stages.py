"""What can go wrong with the numbers of any stage, planted in an encoder."""

import torch
from torch import nn

from defects import Defect
from defects.encoders import Changed, HealthyEncoder
from slotaudio.positions import grid
from slotaudio.types import Features


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


class ViewsItsInput(HealthyEncoder):
    """Takes for granted that its input is contiguous."""

    def forward(self, features):
        return super().forward(features.view(len(features), -1).view(features.shape))


class DividesByTheLevel(HealthyEncoder):
    """Divides by the level, which is zero for silence."""

    def forward(self, features):
        return super().forward(features / features.square().mean(dim=(1, 2, 3), keepdim=True).sqrt())


class RootOfZero(HealthyEncoder):
    """Takes a root whose gradient at zero is infinite."""

    def forward(self, features):
        return super().forward(features + features.square().sum(dim=1, keepdim=True).sqrt())


class OneBranchInFloat32(Changed):
    """Computes a part of its tokens in float32."""

    def change(self, tokens):
        return tokens + tokens.float().square().to(tokens.dtype)


class OneBranchDetached(Changed):
    """Gates its tokens by what no gradient goes through."""

    def change(self, tokens):
        return tokens * tokens.detach().sigmoid()


class Square(torch.autograd.Function):
    """A square whose slope is forgotten."""

    @staticmethod
    def forward(ctx, values):
        return values.square()

    @staticmethod
    def backward(ctx, gradient):
        return gradient


class WrongBackward(Changed):
    """Brings a backward() of its own, which is wrong."""

    def change(self, tokens):
        return tokens + 0.1 * Square.apply(tokens)


class LogarithmOfWhatIsThere(HealthyEncoder):
    """Looks out for silence as a whole, and not for silent frames."""

    def forward(self, features):
        heard = (features.abs().amax(dim=(1, 2, 3), keepdim=True) > 0).to(features)
        level = features.square().mean(dim=2, keepdim=True)
        return super().forward(features + heard * (level + 1 - heard).log())


class DividesWhereItIsNotZero(HealthyEncoder):
    """Divides by a level whose square is zero before the sound is."""

    def forward(self, features):
        level = features.square().mean(dim=(1, 2, 3), keepdim=True).sqrt()
        return super().forward(features / torch.where(features == 0, torch.ones_like(level), level))


class ExponentByHand(HealthyEncoder):
    """Writes out a softmax, without taking the largest off first."""

    def forward(self, features):
        grown = features.exp()
        return super().forward(grown / grown.sum(dim=2, keepdim=True))


class ShortcutWithoutGradients(Changed):
    """Rounds where no gradients are recorded."""

    def change(self, tokens):
        return tokens if torch.is_grad_enabled() else (256 * tokens).round() / 256


DEFECTS = (
    Defect("encoder", BatchStatistics, "test_batch_items_do_not_see_each_other"),
    Defect("encoder", LoudestOfTheBatch, "test_batch_items_do_not_see_each_other"),
    Defect("encoder", Detached, "test_gradients_reach_the_inputs"),
    Defect("encoder", UnusedParameter, "test_gradients_are_finite_and_reach_every_parameter"),
    Defect("encoder", DetachedInside, "test_gradients_are_finite_and_reach_every_parameter"),
    Defect("encoder", InPlace, "test_inputs_are_left_unchanged"),
    Defect("encoder", ConstantInFloat32, "test_float64_in_float64_out"),
    Defect("encoder", AlwaysFloat32, "test_float64_in_float64_out"),
    Defect("encoder", RoundsInside, "test_float64_is_not_rounded"),
    Defect("encoder", LosesBfloat16, "test_bfloat16_autocast_agrees_with_float32"),
    Defect("encoder", RootAfterRounding, "test_bfloat16_autocast_trains"),
    Defect("encoder", ViewsItsInput, "test_memory_layout_does_not_matter"),
    Defect("encoder", DividesByTheLevel, "test_silence_is_legal"),
    Defect("encoder", RootOfZero, "test_gradients_of_silence_are_finite"),
    Defect("encoder", OneBranchInFloat32, "test_float64_is_not_rounded"),
    Defect("encoder", OneBranchDetached, "test_gradients_are_those_of_the_function"),
    Defect("encoder", WrongBackward, "test_gradients_are_those_of_the_function"),
    Defect("encoder", LogarithmOfWhatIsThere, "test_silence_is_legal"),
    Defect("encoder", DividesWhereItIsNotZero, "test_silence_is_legal"),
    Defect("encoder", ExponentByHand, "test_loud_inputs_are_finite"),
    Defect("encoder", ShortcutWithoutGradients, "test_same_inputs_same_outputs"),
)
