"""A band-split dual-path encoder that keeps every frame and every band."""

from collections.abc import Sequence

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from slotaudio.bands import SPEECH, band_edges
from slotaudio.dual_path import DualPathBlock
from slotaudio.positions import grid
from slotaudio.types import Features


class BandSplit(nn.Module):
    """Cut the spectrum into bands and read the grid of bands and frames along both axes in turn.

    Band-split RNN (Luo & Yu 2023, arXiv 2209.15174): each band has its own projection to `dim`, then dual-path
    blocks. Tokens are the cells of the grid, frame by frame, so nothing is lost to pooling and a `mask` decoder
    can work at full resolution. Levels do not matter: features are divided by their mean over the window.

    Args:
        in_channels, freq, sample_rate: threaded from the frontend, which should offer complex features.
        dim: width of every token.
        hidden: width of each direction of the LSTMs.
        blocks: number of dual-path blocks.
        layout: of the bands, see `slotaudio.bands.band_edges`.
    """

    def __init__(
        self,
        in_channels: int,
        freq: int,
        sample_rate: int,
        dim: int = 128,
        hidden: int = 128,
        blocks: int = 1,
        layout: Sequence[Sequence[float | int]] = SPEECH,
    ) -> None:
        super().__init__()
        self.out_dim = dim
        self.bands = band_edges(freq, sample_rate, layout)
        self.split = nn.ModuleList(nn.Linear(in_channels * (stop - start), dim) for start, stop in self.bands)
        self.blocks = nn.ModuleList(DualPathBlock(dim, hidden) for _ in range(blocks))

    def forward(self, features: Float[Tensor, "batch maps freq frames"]) -> Features:
        """Return one token per frame and band, frames varying slowest."""
        level = features.abs().mean(dim=(1, 2, 3), keepdim=True).clamp_min(1e-6)
        frames = rearrange(features / level, "batch maps freq frames -> batch frames freq maps")
        bands = [
            project(rearrange(frames[:, :, start:stop], "batch frames freq maps -> batch frames (freq maps)"))
            for project, (start, stop) in zip(self.split, self.bands, strict=True)
        ]
        cells = torch.stack(bands, dim=2)
        for block in self.blocks:
            cells = block(cells)
        positions = grid(frames.shape[1], len(self.bands), features.device).flip(1)  # (frequency, time)
        cells = cells.to(torch.promote_types(cells.dtype, torch.float32))
        tokens = rearrange(cells, "batch frames bands dim -> batch 1 (frames bands) dim")
        return Features(tokens, positions)
