"""One block that reads a grid of bands and frames along both of its axes in turn."""

from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from slotaudio.half_precision import LayerNorm, bidirectional


class DualPathBlock(nn.Module):
    """A bidirectional LSTM over the bands of each frame, then one over the frames of each band.

    The two paths of band-split separators (Luo & Yu 2023, arXiv 2209.15174, section 2.2): what belongs together
    within a moment, then what belongs together over time. Each path is a residual branch of layer norm, LSTM
    and projection. Weights are shared over bands and frames, so the grid may have any size.

    Args:
        dim: width of every cell.
        hidden: width of each direction of the LSTMs.
    """

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.across_bands = Path(dim, hidden)
        self.across_frames = Path(dim, hidden)

    def forward(self, grid: Float[Tensor, "batch frames bands dim"]) -> Float[Tensor, "batch frames bands dim"]:
        """Return the grid with both paths' findings added."""
        frames, bands = grid.shape[1:3]
        # a sequence comes first: that is the layout in which the LSTM needs no copy
        columns = rearrange(grid, "batch frames bands dim -> bands (batch frames) dim")
        columns = self.across_bands(columns)
        rows = rearrange(columns, "bands (batch frames) dim -> frames (batch bands) dim", frames=frames)
        rows = self.across_frames(rows)
        return rearrange(rows, "frames (batch bands) dim -> batch frames bands dim", bands=bands)


class Path(nn.Module):
    """Layer norm, bidirectional LSTM and projection on a residual branch, along the first axis.

    The projection starts at zero, and so does the branch (as in Fixup, Zhang et al. 2019, arXiv 1901.09321): a new path
    changes nothing, and a trained model can be given more of them by `train.init` and `train.fresh`.
    """

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.norm = LayerNorm(dim)
        self.lstm = nn.LSTM(dim, hidden, bidirectional=True)
        self.merge = zero_linear(2 * hidden, dim)

    def forward(self, sequence: Float[Tensor, "length rows dim"]) -> Float[Tensor, "length rows dim"]:
        """Return the sequence with what the LSTM found added."""
        return sequence + self.merge(bidirectional(self.lstm, self.norm(sequence))).to(sequence.dtype)


def zero_linear(inputs: int, outputs: int) -> nn.Linear:
    """Return a linear layer that starts at zero, the end of a residual branch."""
    layer = nn.Linear(inputs, outputs)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer
