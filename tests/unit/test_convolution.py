"""Convolution with impulse responses: as SciPy's, whatever the lengths."""

import numpy as np
import pytest
from scipy.signal import convolve as reference

from slotaudio.data.convolution import convolve


@pytest.mark.parametrize(
    ("samples", "taps"), [(16000, 512), (16000, 5000), (1001, 999), (3, 40), (1, 1), (7, 1), (9, 2)]
)
def test_blocks_add_up_to_the_whole_convolution(samples, taps):
    rng = np.random.default_rng(0)
    wave, response = (rng.standard_normal(size).astype(np.float32) for size in (samples, taps))
    whole = convolve(wave, response)
    assert whole.dtype == np.float32
    np.testing.assert_allclose(whole, reference(wave.astype(float), response), atol=1e-5 * np.sqrt(taps))


def test_no_samples_leave_silence():
    assert not convolve(np.zeros(0, np.float32), np.ones(5, np.float32)).any()
