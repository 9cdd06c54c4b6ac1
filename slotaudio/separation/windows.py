"""Windows: cutting a recording into them, and cross-fading them back together."""

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor


def count(length: int, window: int, hop: int) -> int:
    """Return how many windows cover `length` samples; at least one."""
    return max(1, 1 + -(-(length - window) // hop))


def split(
    wave: Float[Tensor, "batch channels time"], window: int, hop: int
) -> Float[Tensor, "batch steps channels window"]:
    """Cut a wave into windows every `hop` samples, the tail padded with zeros."""
    length = wave.shape[-1]
    missing = (count(length, window, hop) - 1) * hop + window - length
    cut = torch.nn.functional.pad(wave, (0, missing)).unfold(-1, window, hop)
    return rearrange(cut, "batch channels steps window -> batch steps channels window")


def fade_in(overlap: int) -> Float[Tensor, " overlap"]:
    """Return the rising half of a triangle; beside its mirror image the sum is exactly one.

    The weights are multiples of 2^-20, so that ``1 - weight`` is exact in float32.
    """
    rising = (torch.arange(overlap, dtype=torch.float64) + 0.5) / max(1, overlap)
    return (torch.round(rising * 2**20) / 2**20).float()


class CrossFade:
    """Join windows that follow each other, pushed one by one: the overlap fades from the old to the new one.

    For an overlap of a half this is the triangular cross-fade; for more, every sample is a weighted mean
    of all windows that cover it; for less, the fade is shorter than a half.

    Args:
        window, hop: in samples, hop at most window.
    """

    def __init__(self, window: int, hop: int) -> None:
        self.hop = hop
        self.overlap = window - hop
        self._rising = fade_in(self.overlap)
        self.tail: Float[Tensor, "*axes overlap"] | None = None
        """The last window's samples that the next one will share."""

    def push(self, window: Float[Tensor, "*axes window"]) -> Float[Tensor, "*axes hop"]:
        """Add the next window and return the `hop` samples that no later one changes."""
        if self.tail is not None:
            rising = self._rising.to(window)
            shared = self.tail * (1 - rising) + window[..., : self.overlap] * rising
            window = torch.cat([shared, window[..., self.overlap :]], dim=-1)
        self.tail = window[..., self.hop :]
        return window[..., : self.hop]


def overlap_add(
    windows: Float[Tensor, "batch steps *axes window"], hop: int, length: int
) -> Float[Tensor, "batch *axes time"]:
    """Cross-fade windows into a wave of `length` samples: the inverse of `split`."""
    fade = CrossFade(windows.shape[-1], hop)
    pieces = [fade.push(window) for window in windows.unbind(1)]
    assert fade.tail is not None  # `split` never makes fewer than one window
    return torch.cat([*pieces, fade.tail], dim=-1)[..., :length]
