"""Channel attention: how much of each channel goes on, decided from what all of them hold."""

import torch
from einops import rearrange, repeat
from jaxtyping import Float
from torch import Tensor, nn


class ChannelAttention(nn.Module):
    """Scale every channel by a factor from 0 to 1 (Hu et al. 2018, arXiv 1709.01507, section 3).

    Args:
        dim: channels.
        reduction: the two layers meet at ``dim / reduction`` channels, at least 4.
    """

    def __init__(self, dim: int, reduction: int = 8) -> None:
        super().__init__()
        self.gate = _gate(dim, dim, reduction)

    def forward(self, maps: Float[Tensor, "batch dim frames"]) -> Float[Tensor, "batch dim frames"]:
        """Return the maps scaled."""
        return maps * self.gate(maps.mean(dim=-1))[..., None]


class SkipAttention(nn.Module):
    """Join a skip connection to each slot, with as much of each of its channels as the slot has use for.

    The skip is the mixture's and the same for all slots; what tells them apart is what the slot holds, from which,
    beside the skip, the factors are computed.

    Args:
        dim: channels of slots and skip.
        reduction: see `ChannelAttention`.
    """

    def __init__(self, dim: int, reduction: int = 8) -> None:
        super().__init__()
        self.gate = _gate(2 * dim, dim, reduction)

    def forward(
        self, maps: Float[Tensor, "rows dim frames"], skip: Float[Tensor, "batch dim frames"]
    ) -> Float[Tensor, "rows dim frames"]:
        """Return the slots' maps, whose rows are ``(batch slots)``, with the skip added."""
        slots = len(maps) // len(skip)
        means = repeat(skip.mean(dim=-1), "batch dim -> (batch slots) dim", slots=slots)
        gates = self.gate(torch.cat([maps.mean(dim=-1), means], dim=-1))
        gates = rearrange(gates, "(batch slots) dim -> batch slots dim 1", slots=slots)
        return maps + rearrange(gates * skip[:, None], "batch slots dim frames -> (batch slots) dim frames")


def _gate(in_dim: int, dim: int, reduction: int) -> nn.Sequential:
    inner = max(4, dim // reduction)
    return nn.Sequential(nn.Linear(in_dim, inner), nn.LeakyReLU(0.1), nn.Linear(inner, dim), nn.Sigmoid())
