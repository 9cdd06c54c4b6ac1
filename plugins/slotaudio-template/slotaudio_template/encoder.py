"""The encoder `template`."""

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from slotaudio.types import Features


class Template(nn.Module):
    """Turn every frame into one token.

    Args:
        in_channels, freq: threaded from the frontend.
        dim: width of the tokens.
    """

    def __init__(self, in_channels: int, freq: int, dim: int = 64) -> None:
        super().__init__()
        self.out_dim = dim
        self.project = nn.Linear(in_channels * freq, dim)

    def forward(self, features: Float[Tensor, "batch maps freq frames"]) -> Features:
        """Return one token per frame, all in one step."""
        tokens = self.project(rearrange(features, "batch maps freq frames -> batch 1 frames (maps freq)"))
        return Features(tokens, torch.linspace(-1, 1, tokens.shape[2], device=tokens.device)[:, None])
