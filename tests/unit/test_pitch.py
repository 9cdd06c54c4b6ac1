"""The pitch of voices, and mixtures ordered by it."""

import numpy as np
import pytest
import soundfile

from slotaudio.data.folder import FolderMixtures
from slotaudio.data.pitch import median_pitch
from slotaudio.errors import DataError

RATE = 16000


def voice(pitch: float, seconds: float = 1.5, seed: int = 0) -> np.ndarray:
    """Harmonics of a gliding fundamental under a falling envelope, with a little noise."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * RATE)) / RATE
    phase = 2 * np.pi * np.cumsum(pitch * (1 + 0.05 * np.sin(2 * np.pi * 2 * time))) / RATE
    wave = sum(np.sin(n * phase) / n for n in range(1, 12))
    return (0.1 * wave + 0.002 * rng.standard_normal(time.size)).astype(np.float32)


@pytest.mark.parametrize("pitch", [85.0, 120.0, 210.0, 300.0])
def test_the_pitch_of_a_voice_is_found_within_five_percent(pitch: float) -> None:
    assert median_pitch(voice(pitch), RATE) == pytest.approx(pitch, rel=0.05)
    assert median_pitch(voice(pitch)[::2].copy(), RATE // 2) == pytest.approx(pitch, rel=0.05)


def test_noise_silence_and_scraps_have_no_pitch() -> None:
    noise = np.random.default_rng(0).standard_normal(RATE).astype(np.float32)
    for wave in (noise, np.zeros(RATE, np.float32), voice(120.0)[:500]):
        assert np.isnan(median_pitch(wave, RATE))


@pytest.fixture
def folder(tmp_path):
    for seed, pitch in enumerate((90.0, 100.0, 170.0, 240.0)):
        (tmp_path / f"v{pitch:.0f}").mkdir()
        soundfile.write(tmp_path / f"v{pitch:.0f}" / "a.wav", voice(pitch, seed=seed), RATE)
    return tmp_path


def test_the_highest_voice_comes_first_and_close_pairs_never_meet(folder) -> None:
    mixtures = FolderMixtures(folder, seconds=0.5, size=40, pitch=1.2, speed=(0.9, 1.1))
    heights = [
        [int(take.speaker[1:]) * take.speed for take in mixtures.plan(index).takes] for index in range(len(mixtures))
    ]
    assert all(high >= 1.1 * low for high, low in heights)  # measured pitches are within a few percent
    assert {speaker for item in range(40) for speaker in mixtures[item][2]["speakers"]} == {
        "v90",
        "v100",
        "v170",
        "v240",
    }


def test_what_cannot_be_ordered_is_said(folder) -> None:
    with pytest.raises(DataError, match="at least 1"):
        FolderMixtures(folder, pitch=0.5)
    with pytest.raises(DataError, match="one number of speakers"):
        FolderMixtures(folder, sources=(1, 2), pitch=1.2)
    with pytest.raises(DataError, match=r"factor of 4\.0 apart"):
        FolderMixtures(folder, seconds=0.5, pitch=4.0)[0]
