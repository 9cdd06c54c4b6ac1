"""The PASE+ encoder: PASE with a quasi-recurrent layer and dense skip connections."""

import math

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from slotaudio.types import Features
from slotaudio_pase.qrnn import QRNN
from slotaudio_pase.trunk import HOP, STRIDES, Trunk, check_wave, times

STRETCHES = tuple(HOP // math.prod(STRIDES[:depth]) for depth in range(len(STRIDES)))
"""Frames of every layer but the last that lie in one frame of the last."""


class PasePlus(nn.Module):
    """Encode a wave into robust speech features (PASE+, Ravanelli et al. 2020, arXiv 2001.09239, section 2.2).

    The layers of PASE, then a `QRNN` and a 1x1 convolution. Every layer but the last is also pooled to the frame rate,
    projected (1x1, no bias) and added to the result, which a BatchNorm without weights evens out. The QRNN reads
    the past, so that tokens see all that came before. 7.8 M parameters.

    Args:
        dim: width of the tokens.
        hidden: maps of the QRNN.
        width: maps of the Sinc layer, of which those of the blocks are multiples; 64 in the paper.
        sample_rate, channels: threaded from the frontend, which may be any: the encoder reads the wave itself.

    Raises:
        IncompatibleStages: the wave has several channels.
    """

    reads = "wave"

    def __init__(
        self,
        dim: int = 256,
        hidden: int = 512,
        width: int = 64,
        sample_rate: int = 16000,
        channels: int = 1,
    ) -> None:
        super().__init__()
        check_wave("pase_plus", channels)
        self.out_dim = dim
        self.trunk = Trunk(width, sample_rate)
        self.memory = QRNN(self.trunk.maps[-1], hidden)
        self.head = nn.Conv1d(hidden, dim, 1)
        self.skips = nn.ModuleList(nn.Conv1d(maps, dim, 1, bias=False) for maps in self.trunk.maps[:-1])
        self.norm = nn.BatchNorm1d(dim, affine=False)

    def forward(self, features: Float[Tensor, "batch maps freq frames"]) -> Features:
        """Return a token per 160 samples, all in one step.

        Raises:
            UserError: the wave is too short.
        """
        *layers, last = self.trunk(features)
        total = self.head(self.memory(last))
        for skip, layer, stretch in zip(self.skips, layers, STRETCHES, strict=True):
            total = total + skip(pooled(layer, stretch, total.shape[-1]))  # a mean and a 1x1 convolution commute
        tokens = rearrange(self.norm(total), "batch dim tokens -> batch 1 tokens dim")
        return Features(tokens, times(tokens.shape[2], tokens.device))


def pooled(maps: Float[Tensor, "batch dim frames"], stretch: int, frames: int) -> Float[Tensor, "batch dim fewer"]:
    """Return the means over stretches of so many frames; the last one may be shorter."""
    return torch.nn.functional.avg_pool1d(maps, stretch, ceil_mode=True)[..., :frames]
