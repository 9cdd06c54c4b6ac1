"""What the contract permits, although it is unusual: these pass."""

import torch
from torch import nn

from defects.encoders import HealthyEncoder


class FrozenBackbone(HealthyEncoder):
    """A backbone that is not trained, run without gradients, and a layer on top of it that is."""

    def __init__(self, in_channels: int, width: int = 8) -> None:
        super().__init__(in_channels, width)
        self.requires_grad_(False)
        self.project = nn.Linear(width, width)

    def forward(self, features):
        with torch.no_grad():
            found = super().forward(features)
        return type(found)(self.project(found.tokens), found.positions)


class FrozenThroughout(HealthyEncoder):
    """Nothing is trained."""

    def __init__(self, in_channels: int, width: int = 8) -> None:
        super().__init__(in_channels, width)
        self.requires_grad_(False)

    @torch.no_grad()
    def forward(self, features):
        return super().forward(features)


class CountsInBuffers(HealthyEncoder):
    """Normalises by running statistics, and counts the steps of its training, by which it goes from one to another."""

    def __init__(self, in_channels: int, width: int = 8) -> None:
        super().__init__(in_channels, width)
        self.norm = nn.BatchNorm2d(width)
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    def forward(self, features):
        if self.training:
            self.steps += 1
        return super().forward(features * (1 + 1 / (1 + self.steps)))
