"""The sample of real speech that ships with the package."""

import soundfile

from slotaudio.data import bundled
from slotaudio.data.folder import FolderMixtures
from slotaudio.data.speech import find_utterances, read_genders

MOST_BYTES = 3_000_000


def test_sample_is_small_and_attributed():
    files = [path for path in bundled.SPEECH.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= MOST_BYTES
    attribution = (bundled.SPEECH / "ATTRIBUTION.md").read_text()
    assert "CC BY 4.0" in attribution
    audio = [path for path in files if path.suffix == ".flac"]
    assert len(audio) >= 16
    for path in audio:
        assert path.relative_to(bundled.SPEECH).as_posix() in attribution


def test_parts_hold_enough_speakers_and_share_none():
    genders = read_genders(bundled.SPEECH / "speakers.csv")
    train, dev = (set(find_utterances(bundled.speech(part))) for part in ("train", "dev"))
    assert len(train) >= 6
    assert len(dev) >= 4
    assert not train & dev
    for speakers in (train, dev):
        assert {genders[speaker] for speaker in speakers} == {"F", "M"}


def test_recordings_are_16_khz_mono():
    for path in bundled.SPEECH.rglob("*.flac"):
        info = soundfile.info(str(path))
        assert (info.samplerate, info.channels) == (16000, 1)


def test_demo_mixtures_render():
    demo = FolderMixtures(bundled.speech("dev"), mixtures=bundled.demo_list())
    assert len(demo) >= 1
    for mixture, sources, metadata in demo:
        assert 8 <= mixture.shape[-1] / 16000 <= 10
        assert len(set(metadata["speakers"])) == sources.shape[0] == 2
        assert set(metadata["genders"]) <= {"F", "M"}
        assert sources.abs().amax(dim=(1, 2)).min() > 0.05
        assert mixture.abs().max() <= 0.9
    assert set(demo[0][2]["genders"]) == {"F", "M"}
