"""`SpeechFolder`: utterances of any format, rate and speed, in stretches."""

import numpy as np
import pytest
import soundfile
from scipy.signal import resample_poly

from slotaudio.audio.flac import promise
from slotaudio.data.speech import SpeechFolder

RATE = 16000


@pytest.mark.parametrize(("rate", "speed"), [(44100, 1.0), (8000, 1.0), (RATE, 0.93), (RATE, 1.1), (22050, 0.97)])
def test_a_stretch_at_another_rate_or_speed_is_that_of_the_whole(tmp_path, rate, speed):
    noise = 0.1 * np.random.default_rng(0).standard_normal(3 * rate)
    (tmp_path / "a-1").mkdir()
    soundfile.write(tmp_path / "a-1/noise.wav", noise, rate)
    folder = SpeechFolder(tmp_path, resample=True)
    length = folder.length("a-1/noise.wav", speed)
    whole = folder.read("a-1/noise.wav", 0, length, speed)
    for start in (0, 5, 1001, 20000, length - 800):
        part = folder.read("a-1/noise.wav", start, 800, speed)
        assert part == pytest.approx(whole[start : start + 800], abs=1e-5)


def test_speeds_are_those_of_scipys_resampling(tmp_path):
    noise = np.random.default_rng(0).integers(-3000, 3000, RATE).astype(np.int16)
    (tmp_path / "a-1").mkdir()
    soundfile.write(tmp_path / "a-1/noise.wav", noise, RATE)
    wave = SpeechFolder(tmp_path).read("a-1/noise.wav", 0, RATE // 2, 0.8)
    assert np.array_equal(wave, resample_poly(noise.astype(np.float32) / 32768, 5, 4)[: RATE // 2])


def test_float_files_and_stereo_are_read(tmp_path):
    wave = np.stack([np.full(RATE, 0.5), np.full(RATE, 0.25)], axis=1).astype(np.float32)
    (tmp_path / "a-1").mkdir()
    soundfile.write(tmp_path / "a-1/first.wav", wave, RATE, subtype="FLOAT")
    read = SpeechFolder(tmp_path).read("a-1/first.wav", 100, 50)
    assert read == pytest.approx(np.full(50, 0.375), abs=1e-4)


def test_files_whose_header_does_not_say_how_long_they_are_have_the_same_length(tmp_path):
    (tmp_path / "a-1").mkdir()
    path = tmp_path / "a-1" / "ramp.flac"
    soundfile.write(path, np.linspace(0, 0.5, RATE), RATE)
    wave = SpeechFolder(tmp_path).read("a-1/ramp.flac", 5000, 9000)
    promise(path, 0)
    folder = SpeechFolder(tmp_path)
    assert folder.length("a-1/ramp.flac") == RATE
    assert np.array_equal(folder.read("a-1/ramp.flac", 5000, 9000), wave)


@pytest.mark.parametrize(
    ("suffix", "options"), [("flac", {}), ("ogg", {}), ("opus", {"format": "OGG", "subtype": "OPUS"}), ("mp3", {})]
)
def test_every_format_is_read_in_parts(tmp_path, suffix, options):
    time = np.arange(2 * RATE) / RATE
    sweep = 0.5 * np.sin(2 * np.pi * (200 + 400 * time) * time)
    (tmp_path / "a-1").mkdir()
    soundfile.write(tmp_path / "a-1" / f"sweep.{suffix}", sweep, RATE, **options)
    folder = SpeechFolder(tmp_path)
    utterance = f"a-1/sweep.{suffix}"
    assert utterance in folder.speakers["a-1"]
    assert folder.length(utterance) == pytest.approx(2 * RATE, abs=2500)  # MP3 pads
    found, wanted = folder.read(utterance, 8000, 16000), sweep[8000:24000]
    assert found.shape == (16000,)
    best = np.abs(np.fft.irfft(np.fft.rfft(found, 32000) * np.conj(np.fft.rfft(wanted, 32000)))).max()
    assert best > 0.7 * np.sum(wanted**2)  # at whatever delay the encoder put in
