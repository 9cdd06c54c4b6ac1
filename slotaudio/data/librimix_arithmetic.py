"""What LibriMix's generator computes, for any stretch of a mixture and to the last bit.

The official generator (github.com/JorisCos/LibriMix, ``create_librimix_from_metadata.py``) scales whole utterances
in float32, resamples them with `scipy.signal.resample_poly`, cuts or pads them to one length, adds them up and writes
everything as 16-bit WAV. Here the same operations act on the samples that a stretch depends on, and no others.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float, Int16
from scipy.signal import resample_poly

RATE = 16000
"""Samples per second of LibriSpeech and of WHAM's noise."""

_HALF_FILTER = 10
"""`resample_poly` looks at so many samples of the lower rate on either side."""

Read = Callable[[int, int], Float[np.ndarray, "time"]]
"""Samples ``start`` to ``stop`` of a recording at 16 kHz."""


def resampled_length(frames: int, rate: int) -> int:
    """Return how many samples `frames` samples at 16 kHz become."""
    return -(-frames * rate // RATE)


def stretch(read: Read, frames: int, gain: float, rate: int, start: int, stop: int) -> Float[np.ndarray, "time"]:
    """Return samples `start` to `stop` of a recording that is scaled, resampled and then padded with silence.

    Args:
        read: the recording.
        frames: its length.
        gain: factor.
        rate: samples per second at which `start` and `stop` count.
    """
    last = min(stop, resampled_length(frames, rate))
    if start >= last:
        return np.zeros(stop - start, dtype=np.float32)
    divisor = math.gcd(rate, RATE)
    up, down = rate // divisor, RATE // divisor
    context = 0 if up == down else _HALF_FILTER * max(up, down) // up + 1
    first = max(0, start * down // up - context) // down * down  # in phase with the whole
    wave = read(first, min(frames, -(-last * down // up) + context)) * gain
    if up != down:
        wave = resample_poly(wave, rate, RATE)
    wave = wave[start - first * up // down : last - first * up // down]
    return np.pad(wave, (0, stop - start - wave.size))


LEAST_NOISE = RATE // 2 + 1
"""Samples of noise that `extended` needs to begin with."""


def extended(noise: Float[np.ndarray, "time"], length: int) -> Float[np.ndarray, "longer"]:
    """Repeat noise until it is long enough, with cross-fades of half a second (in float64 from then on)."""
    rising = np.hanning(RATE + 1)[:LEAST_NOISE]
    falling = rising[::-1]
    longer = noise
    while longer.size < length:
        seam = longer[longer.size - falling.size :] * falling + noise[: rising.size] * rising
        longer = np.concatenate((longer[: longer.size - falling.size], seam, noise[rising.size :]))
    return longer[:length]


def mix(waves: Sequence[Float[np.ndarray, "time"]]) -> Float[np.ndarray, "time"]:
    """Add waves one after the other in the precision of the first."""
    mixture = np.zeros_like(waves[0])
    for wave in waves:
        mixture += wave
    return mixture


def pcm16(wave: Float[np.ndarray, "time"]) -> Int16[np.ndarray, "time"]:
    """Round to 16 bits as ``soundfile.write`` does: to 32 bits first, whose lower half is then cut off."""
    wide = np.rint(wave.astype(np.float64) * 2147483648.0).clip(-2147483648, 2147483647)
    return np.floor(wide / 65536).astype(np.int16)
