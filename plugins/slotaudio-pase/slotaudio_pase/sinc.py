"""SincNet's layer: band-pass filters of which only the two edges are learned."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

LOWEST = 50.0
"""Least lower edge and least bandwidth, in hertz."""


class SincFilters(nn.Module):
    """A bank of windowed ideal band-pass filters (Ravanelli and Bengio 2018, arXiv 1808.00158, equations 4 to 8).

    With edges f1 < f2 as shares of the sample rate, ``h[n] = (2 f2 sinc(2 pi f2 n) - 2 f1 sinc(2 pi f1 n)) w[n]``
    where w is a Hamming window. As in PASE each filter is divided by twice its bandwidth, so that its middle tap is
    1; edges start on the mel scale from 30 Hz upwards.

    Args:
        filters: number of bands.
        width: taps of each filter, odd.
        sample_rate: in hertz.
    """

    taps: Tensor
    window: Tensor

    def __init__(self, filters: int = 64, width: int = 251, sample_rate: int = 16000) -> None:
        super().__init__()
        self.sample_rate = sample_rate
        highest = sample_rate / 2 - 2 * LOWEST
        mels = torch.linspace(_mel(30.0), _mel(highest), filters + 1, dtype=torch.float64)
        edges = 700 * (10 ** (mels / 2595) - 1)
        self.low = nn.Parameter(edges[:-1].float())
        self.band = nn.Parameter(edges.diff().float())
        self.register_buffer("taps", torch.arange(width) - float(width // 2), persistent=False)
        self.register_buffer("window", torch.hamming_window(width, periodic=False), persistent=False)

    def edges(self) -> tuple[Float[Tensor, " filters"], Float[Tensor, " filters"]]:
        """Return the lower and upper edges in hertz."""
        low = LOWEST + self.low.abs()
        return low, (low + LOWEST + self.band.abs()).clamp(max=self.sample_rate / 2)

    def forward(self) -> Float[Tensor, "filters 1 width"]:
        """Return the filters, as the weight of a convolution."""
        low, high = (edge[:, None] / self.sample_rate for edge in self.edges())
        ideal = 2 * high * torch.sinc(2 * high * self.taps) - 2 * low * torch.sinc(2 * low * self.taps)
        return (ideal * self.window / (2 * (high - low)))[:, None]


def _mel(frequency: float) -> float:
    return float(2595 * torch.log10(torch.tensor(1 + frequency / 700, dtype=torch.float64)))
