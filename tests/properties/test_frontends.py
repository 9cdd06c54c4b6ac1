"""Frontends: the paper's geometry, the way there and back, silence."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from slotaudio import Spec, build
from slotaudio.errors import UserError
from slotaudio.frontends.stft import STFT
from slotaudio.frontends.waveform import Waveform

seeds = st.integers(0, 2**31 - 1)


def noise(seed: int, length: int, batch: int = 2, channels: int = 1) -> torch.Tensor:
    return 0.1 * torch.randn(batch, channels, length, generator=torch.Generator().manual_seed(seed))


def below_nyquist(seed: int, length: int) -> torch.Tensor:
    """Noise without the top half of the band, where the bin that `end_pad` drops would be missed."""
    spectrum = torch.fft.rfft(noise(seed, length))
    spectrum[..., spectrum.shape[-1] // 2 :] = 0
    return torch.fft.irfft(spectrum, n=length)


def test_half_a_second_is_256_by_64():
    assert STFT()(torch.zeros(1, 1, 8000)).values.shape == (1, 1, 256, 64)
    assert STFT()(torch.zeros(1, 1, 16000)).values.shape == (1, 1, 256, 128)
    assert STFT(framing="centred")(torch.zeros(1, 1, 8000)).values.shape == (1, 1, 257, 65)


@given(seeds, st.integers(1, 3000), st.sampled_from([(512, 125), (512, 128), (256, 64), (64, 20)]))
def test_centred_framing_inverts_exactly(seed, length, sizes):
    window, hop = sizes
    frontend, wave = STFT(window=window, hop=hop, framing="centred"), noise(seed, length)
    spectrum = frontend(wave)
    torch.testing.assert_close(frontend.inverse(spectrum.values, spectrum.length), wave, atol=1e-5, rtol=0)


@given(seeds, st.integers(1200, 3000), st.sampled_from([100, 125, 128, 171, 200, 256]))
def test_end_padded_framing_inverts_away_from_the_edges(seed, length, hop):
    frontend, wave = STFT(hop=hop), below_nyquist(seed, length)
    spectrum = frontend(wave)
    back = frontend.inverse(spectrum.values, spectrum.length)
    assert back.shape == wave.shape
    inside = slice(512, length - 512)
    assert (back - wave)[..., inside].abs().max() < 3e-4 * wave.abs().max()


@given(seeds, st.integers(1, 2000))
def test_end_padded_edges_fade_and_never_explode(seed, length):
    frontend, wave = STFT(), noise(seed, length)
    spectrum = frontend(wave)
    assert frontend.inverse(spectrum.values, length).abs().max() <= 1.5 * wave.abs().max()


@given(seeds, st.sampled_from([0.3, 0.5, 1.0]), st.sampled_from(["end_pad", "centred"]))
def test_compress_and_expand_are_inverse(seed, power, framing):
    frontend = STFT(power=power, framing=framing)
    values = frontend(noise(seed, 2000)).values
    compressed = frontend.compress(values)
    torch.testing.assert_close(frontend.expand(compressed), values.abs().clamp_min(1e-8), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(frontend.compress(frontend.expand(compressed).to(values.dtype)), compressed)


def test_expand_takes_negative_values_as_silence():
    assert (STFT().expand(torch.tensor([-1.0, -1e-3, 0.0])) == 0).all()


@given(seeds, st.sampled_from(["end_pad", "centred"]), st.sampled_from([0.0, 1e-30, 1e-12]))
def test_compression_bounds_the_gradient_near_silence(seed, framing, level):
    """The power of 0.3 is infinitely steep at zero; below 1e-8 it is cut off."""
    frontend = STFT(framing=framing)
    wave = (level * noise(seed, 1000)).requires_grad_()
    frontend.compress(frontend(wave).values).sum().backward()
    assert wave.grad is not None
    assert wave.grad.abs().max() < 1e4


@given(st.sampled_from(["end_pad", "centred"]), st.sampled_from(["magnitude", "complex"]), st.integers(1, 2000))
def test_silence_stays_silence_with_a_finite_gradient(framing, kind, length):
    frontend = STFT(framing=framing, features=kind)
    wave = torch.zeros(1, 1, length, requires_grad=True)
    spectrum = frontend(wave)
    features = frontend.features(spectrum)
    assert features.shape[1] == frontend.out_channels
    assert features.shape[2] == frontend.freq
    features.sum().backward()
    assert wave.grad is not None
    assert wave.grad.isfinite().all()
    assert (frontend.inverse(spectrum.values, length) == 0).all()


@given(seeds, st.sampled_from(["end_pad", "centred"]))
def test_transform_is_linear_and_items_do_not_see_each_other(seed, framing):
    frontend, wave = STFT(framing=framing), noise(seed, 1500, batch=3)
    whole = frontend(wave).values
    torch.testing.assert_close(frontend(wave[1:2]).values, whole[1:2], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(
        frontend(wave.sum(0, keepdim=True)).values, whole.sum(0, keepdim=True), atol=1e-4, rtol=1e-4
    )


def test_transform_finds_a_tone():
    time = torch.arange(8000) / 16000
    wave = torch.sin(2 * math.pi * 1000 * time)[None, None]
    assert STFT()(wave).values.abs().mean(-1).argmax() == 1000 * 512 // 16000


@given(seeds, st.integers(1, 2), st.integers(1, 500))
def test_waveform_passes_samples_through(seed, channels, length):
    frontend, wave = Waveform(channels=channels), noise(seed, length, channels=channels)
    spectrum = frontend(wave)
    assert torch.equal(frontend.inverse(frontend.features(spectrum), spectrum.length), wave)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"framing": "centered"}, "one of 'end_pad', 'centred'"),
        ({"features": "phase"}, "one of 'magnitude', 'complex'"),
        ({"hop": 300}, "at least 600"),
        ({"hop": 0}, "hop of 0"),
        ({"power": 0.0}, "0 < power <= 1"),
    ],
)
def test_wrong_options_are_explained(options, complaint):
    with pytest.raises(UserError, match=complaint):
        build("frontend", Spec("stft", **options))


def test_complex_features_are_real_imaginary_and_magnitude():
    stft = STFT(window=64, hop=16, framing="centred", features="complex")
    spectrum = stft(noise(0, 500, 1))
    real, imaginary, magnitude = stft.features(spectrum)[0]
    assert torch.equal(magnitude, stft.compress(spectrum.values)[0, 0])
    torch.testing.assert_close(
        torch.complex(real, imaginary), torch.polar(magnitude, spectrum.values[0, 0].angle()), rtol=0, atol=1e-4
    )
