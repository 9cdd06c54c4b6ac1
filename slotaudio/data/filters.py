"""Filters that are drawn: a microphone for each voice, a band for each recording."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.signal import butter, firwin2, minimum_phase, sosfilt

from slotaudio.data.mixing import check_bounds
from slotaudio.errors import DataError


def random_equaliser(
    rng: np.random.Generator, sample_rate: int, decibels: float, taps: int = 1024
) -> Float[np.ndarray, "taps"]:
    """Draw a minimum-phase filter: octave by octave from 125 Hz on up to so many decibels louder or softer."""
    octaves = 125 * 2.0 ** np.arange(np.log2(sample_rate / 2 / 125))
    edges = np.array([0.0, *octaves[octaves < sample_rate / 2], sample_rate / 2])
    # a minimum-phase filter has the square root of the linear one's magnitude, and half its length
    response = 10 ** (rng.uniform(-decibels, decibels, edges.size) / 10)
    linear = firwin2(taps - 1, edges, response, fs=sample_rate)
    return np.asarray(minimum_phase(linear, n_fft=8 * taps), dtype=np.float32)


class Passbands:
    """Bands out of which each mixture draws one: Butterworth filters, 3 dB less at their edges.

    Args:
        band: lowest and highest frequency in Hz, or a range of each; 0 and half the sample rate are no edges.
        slope: dB per octave beyond the edges, or a range; 6 for each order of the filter.
        sample_rate: in hertz.

    Raises:
        DataError: an impossible band or slope.
    """

    def __init__(
        self, band: Sequence[float | Sequence[float]], slope: float | Sequence[float], sample_rate: int
    ) -> None:
        self.top = sample_rate / 2
        if len(band) != 2:
            raise DataError(f"band = {band!r}: give the lowest and the highest frequency in Hz, or a range of each")
        self.low, self.high = (_bounds(edge) for edge in band)
        for edge in (self.low, self.high):
            check_bounds("band", edge, f"in Hz, from 0 to {self.top:g}", 0.0, self.top)
        if self.low[1] >= self.high[0]:
            raise DataError(f"band = {band!r} lets nothing through: the lowest frequency in Hz is below the highest")
        self.slope = _bounds(slope)
        check_bounds("slope", self.slope, "in dB per octave, from 6 to 240", 6.0, 240.0)  # beyond it, echoes
        self.sample_rate = sample_rate

    def draw(self, rng: np.random.Generator) -> tuple[Float[np.ndarray, "taps"], dict[str, Any]]:
        """Return an impulse response of 0.1 s, and what was drawn: ``band`` (Hz) and ``slope`` (dB per octave)."""
        low, high, slope = _drawn(rng, self.low), _drawn(rng, self.high), _drawn(rng, self.slope)
        order = round(slope / 6)
        taps = np.zeros(round(self.sample_rate / 10))
        taps[0] = 1.0
        if low > 0:
            taps = sosfilt(butter(order, low, "highpass", fs=self.sample_rate, output="sos"), taps)
        if high < self.top:
            taps = sosfilt(butter(order, high, "lowpass", fs=self.sample_rate, output="sos"), taps)
        return taps.astype(np.float32), {"band": [low, high], "slope": 6.0 * order}


def _bounds(given: float | Sequence[float]) -> tuple[float, ...]:
    return tuple(given) if isinstance(given, Sequence) else (given, given)


def _drawn(rng: np.random.Generator, bounds: tuple[float, ...]) -> float:
    # nothing is drawn where nothing is to choose: seeds stay what they were
    return float(bounds[0] if bounds[0] == bounds[1] else rng.uniform(bounds[0], bounds[1]))
