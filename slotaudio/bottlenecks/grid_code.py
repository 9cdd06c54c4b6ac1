"""A learned code of where each token lies, added to the tokens."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from slotaudio.errors import UserError
from slotaudio.positions import octave_code

AXES = 2
"""Frequency and time; an encoder's only axis is time, and frequency is then zero."""


class GridCode(nn.Module):
    """Project the positions, and octave-spaced waves of them, to the tokens' width.

    Attention over a set of tokens cannot know which frequency or moment a token came from unless the
    token says so (Slot Attention, arXiv 2006.15055, appendix E.2). Waves instead of a table per cell make
    the code independent of the grid's size; Slot Attention and SAVi project the coordinates alone, and
    have an MLP after the sum.

    Args:
        dim: width of the tokens.
        octaves: number of waves per axis: one over the grid, two, four, ...
    """

    def __init__(self, dim: int, octaves: int = 5) -> None:
        super().__init__()
        self.octaves = octaves
        self.project = nn.Linear(AXES * (1 + 2 * octaves), dim)

    def forward(self, positions: Float[Tensor, "tokens axes"]) -> Float[Tensor, "tokens dim"]:
        """Return one code per token.

        Raises:
            UserError: more axes than frequency and time.
        """
        tokens, axes = positions.shape
        if axes > AXES:
            raise UserError(f"positions have {axes} axes; a bottleneck's code knows {AXES}: frequency and time")
        padded = torch.cat([positions.new_zeros(tokens, AXES - axes), positions], dim=1)
        return self.project(torch.cat([padded, octave_code(padded, [self.octaves] * AXES)], dim=1))
