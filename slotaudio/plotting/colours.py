"""Colours: one per slot, the same in every picture, told apart by people who see red and green alike."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from matplotlib.colors import LinearSegmentedColormap, to_rgb
from torch import Tensor

SLOT_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#882255", "#4D4D4D")
"""One per slot. The first six are those of Okabe and Ito (2008), darkest first; their yellow drowns on white."""


def slot_colour(slot: int) -> str:
    """Return the colour of a slot; beyond eight they start again."""
    return SLOT_COLOURS[slot % len(SLOT_COLOURS)]


def fading(colour: str, strongest: float = 0.75) -> LinearSegmentedColormap:
    """Return a colour map from nothing to a colour, to be laid over a picture."""
    return LinearSegmentedColormap.from_list("fading", [(*to_rgb(colour), 0.0), (*to_rgb(colour), strongest)])


def deepening(colour: str, lightest: float = 0.25) -> LinearSegmentedColormap:
    """Return a colour map from a pale tint to a colour, for time or amounts."""
    pale = tuple(1 - lightest * (1 - part) for part in to_rgb(colour))
    return LinearSegmentedColormap.from_list("deepening", [pale, to_rgb(colour)])


def blend(
    shares: Float[Tensor, "slots *cells"], strength: Float[Tensor, "*cells"], colours: Sequence[str]
) -> Float[Tensor, "*cells 3"]:
    """Mix colours by their shares of each cell, on white paper: no ink where `strength` is 0.

    Args:
        shares: of each cell, 0 to 1, one in all.
        strength: how much ink, 0 to 1.
        colours: of the slots.
    """
    inks = torch.tensor([to_rgb(colour) for colour in colours])
    mixed = torch.einsum("s...,sc->...c", shares, inks)
    return 1 - strength[..., None] * (1 - mixed)
