"""The pitch of a voice: what tells most pairs of speakers apart, and orders them."""

import numpy as np
from jaxtyping import Float

LOWEST, HIGHEST = 70.0, 380.0
"""Hertz between which a speaking voice's fundamental is looked for."""

_WINDOW_SECONDS = 0.064  # holds four periods of the lowest voice
_VOICED = 0.5
_LOUD = 0.03
_FEW = 4


def median_pitch(wave: Float[np.ndarray, "time"], sample_rate: int) -> float:
    """Return the median fundamental frequency of the voiced frames in hertz; NaN where hardly any is voiced.

    The maximum of the normalised autocorrelation divided by the window's own (Boersma 1993). One
    number for a stretch of seconds: enough to say which of two voices is the higher one, no pitch tracker.

    Args:
        wave: one voice; a few seconds are enough.
        sample_rate: samples per second.
    """
    size = round(_WINDOW_SECONDS * sample_rate)
    if wave.size < size:
        return float("nan")
    frames = np.lib.stride_tricks.sliding_window_view(wave, size)[:: size // 2]
    frames = frames - frames.mean(axis=1, keepdims=True)
    power = np.square(frames).mean(axis=1)
    frames = frames[power > max(_LOUD * power.max(), 1e-10)]
    if not len(frames):
        return float("nan")
    window = np.hanning(size)
    correlation = _autocorrelation(frames * window)
    own = _autocorrelation(window[None])
    normal = correlation / correlation[:, :1] / np.maximum(own / own[:, :1], 1e-3)
    first, last = int(sample_rate / HIGHEST), int(sample_rate / LOWEST) + 1
    peaks = normal[:, first:last]
    voiced = peaks.max(axis=1) > _VOICED
    if voiced.sum() < _FEW:
        return float("nan")
    return float(np.median(sample_rate / (peaks[voiced].argmax(axis=1) + first)))


def _autocorrelation(frames: Float[np.ndarray, "frames size"]) -> Float[np.ndarray, "frames size"]:
    size = frames.shape[1]
    spectrum = np.abs(np.fft.rfft(frames, 2 * size)) ** 2
    return np.fft.irfft(spectrum)[:, :size]
