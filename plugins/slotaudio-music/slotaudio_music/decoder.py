"""Densely connected 1-D U-Net, the way up: every slot to a wave of its own."""

import math
from collections.abc import Sequence

from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from slotaudio.errors import UserError
from slotaudio.types import Estimates, Features, Spectrum
from slotaudio_music.channel_attention import SkipAttention
from slotaudio_music.loudness import loudness


class MusicUNetDecoder(nn.Module):
    """Mirror the encoder for each slot by itself, with weights that all slots share (Wang et al. 2023).

    A level joins the encoder's skip through channel attention and goes on with transposed convolution, leaky ReLU,
    convolution and GLU (doi 10.1049/cit2.12163). Which stem a slot is stands in its vectors alone, so that
    permuting the slots permutes the waves; the price is one pass of the decoder per stem.

    Args:
        slot_dim: threaded from the bottleneck.
        channels: of the waves, threaded from the frontend.
        skip_dims, strides, kernel: threaded from `music_unet`, the encoder.
        smoothing: odd kernel of the convolutions after the transposed ones.
        norm: normalise before each non-linearity but the last.
    """

    def __init__(
        self,
        slot_dim: int,
        channels: int,
        skip_dims: Sequence[int],
        strides: Sequence[int],
        kernel: int,
        smoothing: int = 3,
        norm: bool = True,
    ) -> None:
        super().__init__()
        self.total_stride = math.prod(strides)
        self.project = nn.Conv1d(slot_dim, skip_dims[-1], 1)
        self.levels = nn.ModuleList()
        for level in reversed(range(len(strides))):
            inner = skip_dims[max(0, level - 1)]  # the last level stays as wide as it comes, down to the waves
            outer = skip_dims[level - 1] if level else channels
            self.levels.append(
                Level(skip_dims[level], inner, outer, kernel, strides[level], smoothing, norm, last=level == 0)
            )

    def forward(
        self, vectors: Float[Tensor, "batch steps slots dim"], features: Features, spectrum: Spectrum
    ) -> Estimates:
        """Return one wave per slot, as long and as loud as the mixture's.

        Raises:
            UserError: there is not one set of slots for every frame of the encoder.
        """
        steps, slots = vectors.shape[1:3]
        frames = -(-spectrum.length // self.total_stride)
        if steps != frames:
            raise UserError(
                f"the music_unet decoder needs a set of slots for each of {frames} frames; it got {steps}. Use the "
                "encoder 'music_unet'"
            )
        maps = self.project(rearrange(vectors, "batch steps slots dim -> (batch slots) dim steps"))
        for level, skip in zip(self.levels, reversed(features.skips), strict=True):
            maps = level(maps, skip)
        waves = rearrange(maps, "(batch slots) channels time -> batch slots channels time", slots=slots)
        return Estimates(waves=waves[..., : spectrum.length] * loudness(spectrum.values)[..., None])


class Level(nn.Module):
    """Skip through channel attention, transposed convolution, leaky ReLU, convolution, GLU."""

    def __init__(
        self, dim: int, inner: int, outer: int, kernel: int, stride: int, smoothing: int, norm: bool, last: bool
    ) -> None:
        super().__init__()
        self.cut = (kernel - stride) // 2
        self.stride = stride
        self.attention = SkipAttention(dim)
        self.up = nn.ConvTranspose1d(dim, inner, kernel, stride)
        self.norm_up = nn.GroupNorm(1, inner) if norm else nn.Identity()
        self.conv = nn.Conv1d(inner, 2 * outer, smoothing, padding=smoothing // 2)
        self.norm_conv = nn.GroupNorm(1, 2 * outer) if norm and not last else nn.Identity()

    def forward(
        self, maps: Float[Tensor, "rows dim frames"], skip: Float[Tensor, "batch dim frames"]
    ) -> Float[Tensor, "rows outer more"]:
        """Return maps of exactly ``frames * stride`` frames."""
        frames = maps.shape[-1] * self.stride
        maps = self.up(self.attention(maps, skip))[..., self.cut : self.cut + frames]
        maps = nn.functional.leaky_relu(self.norm_up(maps), 0.1)
        return nn.functional.glu(self.norm_conv(self.conv(maps)), dim=1)
