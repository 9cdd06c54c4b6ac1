"""SDR in both readings, against numbers that can be worked out by hand."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from slotaudio_music.metrics import framewise_sdr, museval_sdr, track_sdr


@given(st.floats(-0.9, 0.9).filter(lambda error: abs(error) > 1e-3))
def test_a_gain_error_is_its_own_ratio(error):
    reference = torch.randn(4, 2, 300)
    expected = torch.full((4,), -20 * math.log10(abs(error)), dtype=torch.float64)
    for found in (track_sdr((1 + error) * reference, reference), museval_sdr((1 + error) * reference, reference, 100)):
        torch.testing.assert_close(found, expected, atol=2e-2, rtol=0)


def test_the_median_of_seconds_is_not_the_ratio_of_the_track():
    reference = torch.ones(1, 2, 300)
    estimate = reference.clone()
    estimate[..., :100] *= 1.1  # 20 dB, 40 dB and 60 dB
    estimate[..., 100:200] *= 1.01
    estimate[..., 200:] *= 1.001
    torch.testing.assert_close(framewise_sdr(estimate, reference, 100)[0].float(), torch.tensor([20.0, 40.0, 60.0]),
                               atol=1e-2, rtol=0)  # fmt: skip
    assert museval_sdr(estimate, reference, 100).item() == pytest.approx(40, abs=1e-2)
    assert track_sdr(estimate, reference).item() == pytest.approx(20 + 10 * math.log10(3), abs=0.1)


def test_silent_seconds_count_for_nobody_and_partial_ones_are_left_out():
    reference = torch.randn(2, 2, 350)
    reference[0, :, :100] = 0
    frames = framewise_sdr(0.9 * reference, reference, 100)
    assert frames.shape == (2, 3)
    assert frames[:, 0].isnan().all()
    assert frames[:, 1:].isfinite().all()
    estimate = reference + 0.1
    estimate[1, :, 100:200] = 0
    assert framewise_sdr(estimate, reference, 100).isnan().all(dim=0).tolist() == [True, True, False]
    assert museval_sdr(torch.zeros_like(reference), reference, 100).isnan().all()
    assert track_sdr(torch.zeros(1, 2, 50), torch.zeros(1, 2, 50)).item() == 0


def test_perfect_estimates_and_short_recordings_are_finite():
    reference = torch.randn(4, 2, 50)
    assert museval_sdr(reference, reference, 100).isfinite().all()
    assert track_sdr(reference, reference).isfinite().all()
