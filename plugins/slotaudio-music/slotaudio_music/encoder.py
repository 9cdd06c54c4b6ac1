"""Densely connected 1-D U-Net, the way down: a wave to one token per frame, and a skip per level."""

import math
from collections.abc import Sequence

from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from slotaudio.errors import IncompatibleStages, UserError
from slotaudio.types import Features
from slotaudio_music.channel_attention import ChannelAttention
from slotaudio_music.loudness import loudness


class MusicUNetEncoder(nn.Module):
    """Halve the frames and double the channels, level by level (Wang et al. 2023, doi 10.1049/cit2.12163).

    A level is convolution, GLU, depthwise separable convolution, leaky ReLU and channel attention; the widths of
    the paper are 2-32-64-128-256-512-1024. Densely connected: a level reads, beside the level above, all levels
    further up, averaged to its rate and projected to its width.

    Each frame of the last level is a step of its own with one token, because a dual-path bottleneck goes through
    them in order. The wave is brought to a level of 0 dB first, and the decoder brings its estimates back: the
    system follows any gain.

    Left open by what could be read of the paper, hence options: kernel and strides (the defaults leave 86 frames a
    second at 44.1 kHz; six strides of 4 would leave 11), how dense connections are made, and normalisation (group
    norm with one group before each non-linearity).

    Args:
        in_channels, freq: threaded from the frontend, which must pass the wave through (`waveform`).
        width: channels of the first level; every further level doubles them.
        strides: of the levels, whose number is that of the strides.
        kernel: of the strided convolutions; at least the largest stride.
        depthwise: odd kernel of the depthwise convolutions.
        dense: connect each level with all levels above.
        norm: normalise before each non-linearity.

    Raises:
        IncompatibleStages: the frontend has frequencies.
        UserError: strides or kernels that cannot be.
    """

    def __init__(
        self,
        in_channels: int,
        freq: int = 1,
        width: int = 32,
        strides: Sequence[int] = (4, 4, 4, 2, 2, 2),
        kernel: int = 8,
        depthwise: int = 5,
        dense: bool = True,
        norm: bool = True,
    ) -> None:
        super().__init__()
        if freq != 1:
            raise IncompatibleStages(
                f"encoder 'music_unet' reads a wave; the frontend gives {freq} frequencies. Use the frontend 'waveform'"
            )
        if not strides or min(strides) < 1 or width < 1 or kernel < max(strides) or depthwise < 1 or depthwise % 2 == 0:
            raise UserError(
                f"music_unet: width {width}, strides {list(strides)}, kernel {kernel}, depthwise {depthwise}: strides "
                "from 1 up, a kernel that covers the largest, and an odd depthwise kernel are needed"
            )
        self.strides = tuple(strides)
        self.total_stride = math.prod(strides)
        self.kernel, self.depthwise = kernel, depthwise
        widths = [width * 2**level for level in range(len(strides))]
        self.out_dim = widths[-1]
        self.offers = {"skip_dims": tuple(widths), "strides": self.strides, "kernel": kernel}
        self.levels = nn.ModuleList(
            Level(in_dim, out_dim, kernel, stride, depthwise, norm)
            for in_dim, out_dim, stride in zip([in_channels, *widths], widths, strides, strict=False)
        )
        # level n reads the output of level n - 1 as it is, and those of the levels before through these
        self.across = nn.ModuleList(
            Across(widths[: max(0, level - 1)] if dense else [], widths[level - 1]) for level in range(len(strides))
        )

    def forward(self, features: Float[Tensor, "batch maps freq frames"]) -> Features:
        """Return one step of one token for every `total_stride` samples, and the levels as skips."""
        maps = rearrange(features / loudness(features)[..., None], "batch maps 1 frames -> batch maps frames")
        maps = nn.functional.pad(maps, (0, -maps.shape[-1] % self.total_stride))
        outputs: list[Tensor] = []
        for level, across in zip(self.levels, self.across, strict=True):
            maps = level(across(maps, outputs))
            outputs.append(maps)
        tokens = rearrange(maps, "batch dim steps -> batch steps 1 dim")
        # a single token per step lies nowhere in particular
        return Features(tokens, features.new_zeros(1, 1), tuple(outputs))

    @property
    def receptive_field(self) -> int:
        """Samples that one frame sees through the convolutions alone; attention and norms see the whole window."""
        field, hop = 1, 1
        for stride in self.strides:
            field += (self.kernel - 1) * hop
            hop *= stride
            field += (self.depthwise - 1) * hop
        return field


class Level(nn.Module):
    """Convolution, GLU, depthwise separable convolution, leaky ReLU, channel attention."""

    def __init__(self, in_dim: int, dim: int, kernel: int, stride: int, depthwise: int, norm: bool) -> None:
        super().__init__()
        surplus = kernel - stride
        self.padding = (surplus // 2, surplus - surplus // 2)
        self.conv = nn.Conv1d(in_dim, 2 * dim, kernel, stride)
        self.norm_conv = nn.GroupNorm(1, 2 * dim) if norm else nn.Identity()
        self.depthwise = nn.Conv1d(dim, dim, depthwise, padding=depthwise // 2, groups=dim)
        self.pointwise = nn.Conv1d(dim, dim, 1)
        self.norm_separable = nn.GroupNorm(1, dim) if norm else nn.Identity()
        self.attention = ChannelAttention(dim)

    def forward(self, maps: Float[Tensor, "batch in_dim frames"]) -> Float[Tensor, "batch dim fewer"]:
        """Return maps of exactly ``frames / stride`` frames."""
        maps = self.conv(nn.functional.pad(maps, self.padding))
        maps = nn.functional.glu(self.norm_conv(maps), dim=1)
        maps = self.norm_separable(self.pointwise(self.depthwise(maps)))
        return self.attention(nn.functional.leaky_relu(maps, 0.1))


class Across(nn.Module):
    """Dense connections: add levels further up, averaged to this one's rate and projected to its width."""

    def __init__(self, dims: Sequence[int], dim: int) -> None:
        super().__init__()
        self.projections = nn.ModuleList(nn.Conv1d(above, dim, 1) for above in dims)

    def forward(
        self, maps: Float[Tensor, "batch dim frames"], outputs: Sequence[Tensor]
    ) -> Float[Tensor, "batch dim frames"]:
        """Return the maps with the first of the levels' `outputs` added, as many as there are projections."""
        for above, project in zip(outputs, self.projections, strict=False):
            ratio = above.shape[-1] // maps.shape[-1]
            maps = maps + project(nn.functional.avg_pool1d(above, ratio))
        return maps
