"""What passes over a part of what it is given."""

from dataclasses import replace

import torch

from defects import Defect
from defects.bottlenecks import HealthyBottleneck
from defects.decoders import HealthyDecoder
from defects.encoders import HealthyEncoder
from defects.frontends import HealthyFrontend
from defects.objectives import HealthyObjective


class DeafEncoder(HealthyEncoder):
    """Looks at the size of its input alone."""

    def forward(self, features):
        return super().forward(torch.ones_like(features))


class FirstHalfOnly(HealthyEncoder):
    """Fills up the second half of every window with silence."""

    def forward(self, features):
        half = features.shape[3] // 2
        return super().forward(torch.cat([features[..., :half], 0 * features[..., half:]], dim=3))


class FirstMapOnly(HealthyEncoder):
    """Puts the first map in the place of all."""

    def forward(self, features):
        return super().forward(features[:, :1].expand_as(features))


class FirstWindowOnly(HealthyBottleneck):
    """Finds slots in the first window and repeats them."""

    def read(self, tokens):
        return super().read(tokens[:, :1]).expand(-1, tokens.shape[1], -1, -1)


class FirstStepOnly(HealthyDecoder):
    """Decodes all of a window from the slots of its first step."""


class FirstChannelOnly(HealthyFrontend):
    """Transforms all channels, and shows the encoder the first."""

    def __init__(self, size: int = 16, channels: int = 1) -> None:
        super().__init__(size)
        self.channels = channels

    def features(self, spectrum):
        return super().features(replace(spectrum, values=spectrum.values[:, :1]))


class LearnsFromOneChannel(HealthyObjective):
    """Compares the first channel only."""

    def cost(self, estimates, sources):
        return super().cost(estimates[:, :, :1], sources[:, :, :1])


DEFECTS = (
    Defect("objective", LearnsFromOneChannel, "test_every_estimate_is_learned_from"),
    Defect("encoder", DeafEncoder, "test_every_part_of_the_input_matters"),
    Defect("encoder", FirstHalfOnly, "test_every_part_of_the_input_matters"),
    Defect("encoder", FirstMapOnly, "test_dimensions_are_threaded"),
    Defect("encoder", FirstMapOnly, "test_every_part_of_the_input_matters", {"in_channels": 2}),
    Defect("bottleneck", FirstWindowOnly, "test_every_part_of_the_input_matters"),
    Defect("decoder", FirstStepOnly, "test_every_part_of_the_input_matters", {"steps": 2}),
    Defect("frontend", FirstChannelOnly, "test_any_number_of_channels"),
)
