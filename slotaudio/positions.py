"""Where cells and tokens lie, and codes of it: every axis runs from -1 to 1 over the window."""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor


def grid(freq: int, frames: int, device: torch.device | None = None) -> Float[Tensor, "cells 2"]:
    """Return (frequency, time) of each cell of a `freq` x `frames` grid, frequency varying slowest.

    The ends lie at -1 and 1 whatever the grid's size, so that what was learned on one resolution
    means the same on another; an axis of a single cell lies at 0.
    """
    # by arange: linspace would fix the size in an exported program
    axes = [
        torch.arange(1 - size, size, 2, device=device) / (size - 1) if size > 1 else torch.zeros(1, device=device)
        for size in (freq, frames)
    ]
    return torch.cartesian_prod(*axes)


def octave_code(positions: Float[Tensor, "cells axes"], octaves: Sequence[int]) -> Float[Tensor, "cells code"]:
    """Return sines and cosines of octave-spaced waves (NeRF, Mildenhall et al. 2020, arXiv 2003.08934, equation 4).

    Axis `a` gets ``octaves[a]`` waves: one per axis length, two, four, ... The last should not be
    shorter than two cells of the grid.
    """
    angles = torch.cat(
        [
            positions[:, axis, None] * (math.pi * 2.0 ** torch.arange(count).to(positions))
            for axis, count in enumerate(octaves)
        ],
        dim=1,
    )
    return torch.cat([angles.sin(), angles.cos()], dim=1)


def gaussian_code(
    positions: Float[Tensor, "cells axes"], projection: Float[Tensor, "axes waves"]
) -> Float[Tensor, "cells code"]:
    """Return sines and cosines of randomly directed waves (Tancik et al. 2020, arXiv 2006.10739, equation 5)."""
    angles = math.pi * positions @ projection
    return torch.cat([angles.sin(), angles.cos()], dim=1)
