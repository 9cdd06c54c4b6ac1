"""Levels over time and frequency, drawn into axes that are given."""

import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from torch import Tensor

RANGE = 70.0
"""Decibels from the loudest cell of a picture to black."""


def spectrogram(
    axes: Axes, wave: Float[Tensor, "channels time"], sample_rate: int, top: float | None = None, colours: str = "magma"
) -> float:
    """Draw the level of a wave over time and frequency; return the level of the loudest cell in decibels.

    Args:
        axes: of matplotlib.
        wave: its channels are averaged.
        sample_rate: in hertz.
        top: level of the brightest colour; that of the loudest cell by default. Give the same to several pictures to
            compare their levels.
        colours: name of a colour map.
    """
    size = 2 ** round(torch.tensor(sample_rate * 0.032).log2().item())
    mono = torch.nn.functional.pad(wave.float().mean(dim=0), (0, max(0, size - wave.shape[-1])))
    values = torch.stft(mono, size, size // 4, window=torch.hann_window(size), return_complex=True).abs()
    decibels = 20 * values.clamp_min(1e-7).log10()
    loudest = float(decibels.max())
    top = loudest if top is None else top
    axes.imshow(
        decibels.numpy(),
        origin="lower",
        aspect="auto",
        cmap=colours,
        vmin=top - RANGE,
        vmax=top,
        extent=(0, wave.shape[-1] / sample_rate, 0, sample_rate / 2000),
        interpolation="antialiased",
    )
    axes.set(xlim=(0, wave.shape[-1] / sample_rate), ylim=(0, min(8.0, sample_rate / 2000)))
    return loudest
