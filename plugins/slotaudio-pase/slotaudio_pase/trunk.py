"""What PASE and PASE+ share: the Sinc layer and seven convolutions, from samples to one vector per 10 ms."""

from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn

from slotaudio import UserError
from slotaudio.errors import IncompatibleStages
from slotaudio_pase.sinc import SincFilters

WIDTHS = (20, 11, 11, 11, 11, 11, 11)
STRIDES = (10, 2, 1, 2, 1, 2, 2)
MAPS = (1, 1, 2, 2, 4, 4, 8, 8)
"""Feature maps of the Sinc layer and of the seven blocks, in multiples of the Sinc layer's 64."""

HOP = 160
"""Samples from frame to frame: the product of the strides."""

REACH = 2370
"""Samples that a frame sees: 148 ms at 16 kHz."""

SHORTEST = 480
"""Samples of the shortest wave: the reflected margins of the last blocks must fit into it."""


class Trunk(nn.Module):
    """Sinc layer and convolutional blocks (PASE, Pascual et al. 2019, arXiv 1904.03416, section 2.1).

    Args:
        width: maps of the Sinc layer; the blocks have 1, 2, 2, 4, 4, 8, 8 times as many.
        sample_rate: in hertz, for the Sinc layer.
    """

    def __init__(self, width: int, sample_rate: int) -> None:
        super().__init__()
        maps = [multiple * width for multiple in MAPS]
        self.maps = tuple(maps)
        self.filters = SincFilters(width, sample_rate=sample_rate)
        self.rest = Rest(width)
        self.blocks = nn.ModuleList(
            Block(before, after, kernel, stride)
            for (before, after), kernel, stride in zip(pairwise(maps), WIDTHS, STRIDES, strict=True)
        )

    def forward(self, features: Float[Tensor, "batch 1 1 time"]) -> list[Float[Tensor, "batch _ _"]]:
        """Return the maps of every layer, the finest first.

        Raises:
            UserError: a wave shorter than `SHORTEST`.
        """
        if features.shape[-1] < SHORTEST:
            raise UserError(f"pase: a wave of {features.shape[-1]} samples is too short; give at least {SHORTEST}")
        weight = self.filters()
        margin = weight.shape[-1] // 2
        wave = reflected(features[:, 0], margin, margin)
        layers = [self.rest(nn.functional.conv1d(wave, weight.to(wave)))]
        for block in self.blocks:
            layers.append(block(layers[-1]))
        return layers


class Rest(nn.Sequential):
    """What follows each convolution: BatchNorm and a PReLU with one slope per map."""

    def __init__(self, maps: int) -> None:
        super().__init__(nn.BatchNorm1d(maps), nn.PReLU(maps))


class Block(nn.Module):
    """Convolution over reflected margins, then `Rest`; n frames become ``n // stride`` (10: rounded up)."""

    def __init__(self, before: int, after: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.margins = (kernel // 2 - (stride > 1), kernel // 2)
        self.convolution = nn.Conv1d(before, after, kernel, stride)
        self.rest = Rest(after)

    def forward(self, maps: Float[Tensor, "batch before frames"]) -> Float[Tensor, "batch after fewer"]:
        """Return the next layer's maps."""
        return self.rest(self.convolution(reflected(maps, *self.margins)))


def reflected(maps: Float[Tensor, "batch dim frames"], before: int, after: int) -> Float[Tensor, "batch dim more"]:
    """Add reflected margins, as torch's padding does, which however goes back to float32 where the rest is bfloat16."""
    first, last = maps[..., 1 : before + 1].flip(-1), maps[..., -after - 1 : -1].flip(-1)
    return torch.cat([first, maps, last], dim=-1)


def check_wave(name: str, channels: int) -> None:
    """Check that there is one wave to read.

    Raises:
        IncompatibleStages: there are several channels.
    """
    if channels != 1:
        raise IncompatibleStages(
            f"encoder {name!r} reads one wave; the frontend takes {channels} channels. Choose one with channels = 1"
        )


def times(frames: int, device: torch.device) -> Float[Tensor, "frames 1"]:
    """Return where the frames lie in time, from -1 to 1."""
    if frames == 1:
        return torch.zeros(1, 1, device=device)
    return torch.linspace(-1, 1, frames, device=device)[:, None]
