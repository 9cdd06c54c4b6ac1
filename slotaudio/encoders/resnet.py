"""The residual network of AudioSlots, and narrower and shallower ones for CPUs."""

from itertools import pairwise

from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from slotaudio.errors import UserError
from slotaudio.positions import grid
from slotaudio.types import Features

BLOCKS = {10: (1, 1, 1, 1), 18: (2, 2, 2, 2), 34: (3, 4, 6, 3)}
"""Residual blocks per stage by depth, counted in layers."""


class ResNet(nn.Module):
    """Encode a spectrum by a residual network whose root keeps the resolution (ResNet-34 in AudioSlots).

    He et al. 2015, arXiv 1512.03385, with a root of reduced stride as in AudioSlots (arXiv 2305.05591,
    section 3), whose grid is 32 x 8. The paper says no more; a 3x3 convolution of stride 1 and no pooling, by which
    four stages of strides 1, 2, 2, 2 turn 256 x 64 cells into that grid, normalisation over groups, and
    the zero-initialised scale that ends each block, which makes every block start as its own shortcut,
    are those of the code of the authors' SAVi (arXiv 2111.12594). The shortcut has a norm of its own.

    A grid that 8 does not divide is rounded up.

    Args:
        in_channels: maps of the spectrum (threaded from the frontend).
        depth: 34, 18 or 10 layers.
        width: channels of the first stage; each stage doubles them, so that `out_dim` is eight times this.
        norm_groups: groups of each normalisation, fewer where a group would hold less than two channels.
        skips: also offer the stages' outputs to the decoder.

    Raises:
        UserError: unknown depth, or an odd width.
    """

    def __init__(
        self, in_channels: int, depth: int = 34, width: int = 64, norm_groups: int = 32, skips: bool = False
    ) -> None:
        super().__init__()
        if depth not in BLOCKS:
            raise UserError(f"resnet: depth {depth} is not known; choose one of {', '.join(map(str, BLOCKS))}")
        if width < 2 or width % 2:
            raise UserError(f"resnet: width {width} cannot be cut into groups of channels; choose an even one")
        self.out_dim = 8 * width
        self.skips = skips
        self.root = nn.Conv2d(in_channels, width, 3, padding=1, bias=False)
        self.root_norm = _norm(width, norm_groups)
        widths = [width, width, 2 * width, 4 * width, 8 * width]
        self.stages = nn.ModuleList(
            nn.Sequential(
                Block(narrow, wide, 1 if stage == 0 else 2, norm_groups),
                *(Block(wide, wide, 1, norm_groups) for _ in range(blocks - 1)),
            )
            for stage, (blocks, (narrow, wide)) in enumerate(zip(BLOCKS[depth], pairwise(widths), strict=True))
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, features: Float[Tensor, "batch maps freq frames"]) -> Features:
        """Return one token per cell of the coarse grid, all in one step."""
        maps = nn.functional.relu(self.root_norm(self.root(features)), inplace=True)
        outputs = []
        for stage in self.stages:
            maps = stage(maps)
            outputs.append(maps)
        return Features(
            tokens=rearrange(maps, "batch dim freq frames -> batch 1 (freq frames) dim"),
            positions=grid(*maps.shape[-2:]).to(self.root.weight),
            skips=tuple(outputs) if self.skips else (),
        )


class Block(nn.Module):
    """Two 3x3 convolutions beside a shortcut: ``relu(shortcut(x) + norm(conv(relu(norm(conv(x))))))``."""

    def __init__(self, in_dim: int, dim: int, stride: int, norm_groups: int) -> None:
        super().__init__()
        self.main = nn.Sequential(
            nn.Conv2d(in_dim, dim, 3, stride, padding=1, bias=False),
            _norm(dim, norm_groups),
            nn.ReLU(inplace=True),
            nn.Conv2d(dim, dim, 3, padding=1, bias=False),
            _norm(dim, norm_groups, scale=0.0),
        )
        self.shortcut = (
            nn.Identity()
            if in_dim == dim and stride == 1
            else nn.Sequential(nn.Conv2d(in_dim, dim, 1, stride, bias=False), _norm(dim, norm_groups))
        )

    def forward(self, maps: Float[Tensor, "batch in_dim freq frames"]) -> Float[Tensor, "batch dim rows columns"]:
        """Return the maps at the block's width and stride."""
        return nn.functional.relu(self.main(maps) + self.shortcut(maps), inplace=True)


def _norm(channels: int, groups: int, scale: float = 1.0) -> nn.GroupNorm:
    """Normalise groups of at least two channels: alone, a channel would lose its level."""
    fitting = max(count for count in range(1, min(groups, channels // 2) + 1) if channels % count == 0)
    norm = nn.GroupNorm(fitting, channels)
    nn.init.constant_(norm.weight, scale)
    return norm
