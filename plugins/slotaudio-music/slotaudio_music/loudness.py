"""The level that the network works at: whatever comes in is divided by it, whatever goes out multiplied."""

from jaxtyping import Float
from torch import Tensor

FLOOR = 1e-8
"""Mean square that counts as digital silence: -80 dB of full scale."""


def loudness(wave: Float[Tensor, "batch channels 1 time"]) -> Float[Tensor, "batch 1 1"]:
    """Return the root mean square of each item, over channels and time; never zero."""
    return (wave.square().mean(dim=(1, 3)) + FLOOR).sqrt()[..., None]
