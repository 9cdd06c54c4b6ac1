"""Noise and rooms around voices: levels, references, the same voices with and without, folders, bad options."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from slotaudio.data import bundled
from slotaudio.data.conversations import Conversations
from slotaudio.data.epochs import SkippedUtterance
from slotaudio.data.filters import Passbands, random_equaliser
from slotaudio.data.folder import FolderMixtures
from slotaudio.data.mixing import PEAK, active_level, level
from slotaudio.data.surroundings import Surroundings, _Files
from slotaudio.errors import DataError

RATE = 16000


def mixtures(**options):
    return FolderMixtures(bundled.speech("train"), **{"seconds": 1.0, "size": 4, **options})


@pytest.fixture
def recordings(tmp_path):
    """A noise at another rate, shorter than a mixture, and a room that answers after 100 samples with an echo."""
    rng = np.random.default_rng(0)
    (tmp_path / "noise" / "deep").mkdir(parents=True)
    soundfile.write(tmp_path / "noise" / "deep" / "hiss.flac", 0.1 * rng.normal(size=4000).clip(-3, 3), 8000)
    (tmp_path / "rooms").mkdir()
    response = np.zeros(2000)
    response[100], response[1100] = 0.5, 0.25
    soundfile.write(tmp_path / "rooms" / "echo.wav", response, RATE)
    return tmp_path


@pytest.mark.parametrize("kind", ["synthetic", "folder"])
def test_noise_is_in_the_mixture_alone_and_as_loud_as_asked(recordings, kind):
    noise = "synthetic" if kind == "synthetic" else recordings / "noise"
    noisy = mixtures(noise=noise, snr=(3.0, 12.0))
    for (mixture, sources, metadata), (_, clean, _) in zip(noisy, mixtures(), strict=True):
        assert 3 <= metadata["snr"] <= 12
        added = (mixture - sources.sum(0))[0].numpy()
        snr = active_level(sources.sum(0)[0].numpy(), RATE) - level(added)
        assert snr == pytest.approx(metadata["snr"], abs=0.05)
        assert float(mixture.abs().max()) <= PEAK + 1e-6
        scale = float(sources.norm() / clean.norm())  # all of it softer, if at all
        assert scale <= 1 + 1e-6
        torch.testing.assert_close(sources, clean * scale, rtol=1e-4, atol=1e-6)


def spoken(tmp_path, speakers):
    """A folder whose speakers each hum one pitch: who is heard can be told from the spectrum."""
    time = np.arange(2 * RATE) / RATE
    for number in range(speakers):
        (tmp_path / f"s{number}").mkdir()
        soundfile.write(tmp_path / f"s{number}" / "hum.wav", 0.1 * np.sin(2 * np.pi * pitch(number) * time), RATE)
    return tmp_path


def pitch(speaker):
    return 500 + 400 * speaker


def heard(wave):
    spectrum = np.abs(np.fft.rfft(wave))
    bins = np.fft.rfftfreq(wave.size, 1 / RATE)
    peaks = [spectrum[np.abs(bins - pitch(number)) < 20].max() for number in range(12)]
    return {number for number, peak in enumerate(peaks) if peak > 0.1 * max(peaks)}


@pytest.mark.parametrize("name", ["folder", "conversations"])
def test_babble_is_other_speakers_than_those_who_are_separated(tmp_path, name):
    options = {"noise": "babble", "snr": (0.0, 0.0), "size": 6}
    if name == "folder":
        data = FolderMixtures(spoken(tmp_path, 9), seconds=3.0, **options)  # longer than what there is of each
    else:
        data = Conversations(spoken(tmp_path, 9), seconds=3.0, **options)
    numbers = set()
    for mixture, sources, metadata in data:
        babble = heard((mixture - sources.sum(0))[0].numpy())
        assert not babble & {int(speaker[1:]) for speaker in metadata["speakers"]}
        numbers.add(len(babble))
        assert 4 <= len(babble) <= 7  # of nine, two are being separated
    assert len(numbers) > 1


def test_babble_goes_on_to_the_end_and_can_take_turns_with_other_noise(tmp_path):
    folder = spoken(tmp_path, 8)
    mixture, sources, _ = FolderMixtures(folder, seconds=7.0, size=1, noise="babble")[0]
    babble = (mixture - sources.sum(0))[0, -RATE:].numpy()
    assert level(babble) > level((mixture - sources.sum(0))[0].numpy()) - 6
    data = FolderMixtures(folder, seconds=1.0, size=12, noise=["synthetic", "babble"])
    kinds = {bool(np.median(np.abs(np.fft.rfft((mix - voices.sum(0))[0]))) < 0.1) for mix, voices, _ in data}
    assert kinds == {True, False}  # sinusoids leave most of the spectrum empty, noise does not


def test_babble_needs_more_speakers_than_a_mixture(tmp_path):
    with pytest.raises(DataError, match="babble behind 2 speakers needs at least 4; there are 3"):
        FolderMixtures(spoken(tmp_path, 3), noise="babble")


def test_unreadable_noise_is_an_error_or_skipped_as_asked(recordings):
    (recordings / "noise" / "broken.wav").write_bytes(b"no sound")
    options = {"noise": recordings / "noise", "size": 12, "seconds": 0.25}
    with pytest.raises(DataError, match=r"broken\.wav"):
        list(mixtures(**options))
    data = mixtures(**options, on_error="skip")
    with pytest.warns(SkippedUtterance, match=r"broken\.wav"):
        assert len([mixture for mixture, *_ in data]) == 12
    assert data.skipped > 0


def test_noise_is_a_stretch_from_anywhere_in_a_long_file(tmp_path):
    soundfile.write(tmp_path / "ramp.wav", np.linspace(0.1, 0.9, 2 * RATE), RATE, subtype="FLOAT")
    around, places = Surroundings(RATE, noise=tmp_path), []
    for seed in range(40):
        noise, _ = around.background(np.random.default_rng(seed), -20.0, RATE)
        assert noise.size == RATE
        assert (np.diff(noise) >= 0).all()  # neither beyond the end nor back
        places.append(noise[0] / noise[-1])
    assert min(places) < 0.25  # 0.1 / 0.5 at the beginning
    assert max(places) > 0.5  # 0.5 / 0.9 at the end


def test_in_a_room_the_references_are_the_voices_as_they_sound_there(recordings):
    around = Surroundings(RATE, rooms=recordings / "rooms", reverberant=1.0)
    voice = torch.zeros(2, 1, RATE)
    voice[0, 0, 3000] = 0.3
    mixture, sources, drawn = around.around(np.random.default_rng(0), voice)
    assert drawn == {"reverberant": True}
    torch.testing.assert_close(mixture, sources.sum(0))
    heard = sources[0, 0]
    assert int(heard.abs().argmax()) == 3000  # where it was: nothing is late
    assert float(heard[4000] / heard[3000]) == pytest.approx(0.5, abs=1e-3)
    assert float(heard.norm()) == pytest.approx(0.3, rel=1e-3)
    assert not sources[1].any()  # silence stays silent


def test_some_mixtures_are_in_a_room_and_epochs_differ():
    data = mixtures(rooms="synthetic", noise="synthetic", size=20, seconds=0.25)
    shares = [metadata["reverberant"] for *_, metadata in data]
    assert {True, False} == set(shares)
    first = data[0][0]
    assert torch.equal(data[0][0], first)
    data.set_epoch(1)
    assert not torch.equal(data[0][0], first)


def test_silence_meets_noise_without_numbers_that_are_none():
    mixture, sources, _ = Surroundings(RATE, noise="synthetic", rooms="synthetic", reverberant=1.0).around(
        np.random.default_rng(0), torch.zeros(2, 1, 4000)
    )
    assert not mixture.any()
    assert not sources.any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"snr": (5.0, 1.0)}, "the least and the most, in dB"),
        ({"reverberant": 1.5, "rooms": "synthetic"}, "give 0 to 1"),
        ({"equaliser": -3.0}, "most dB up or down"),
        ({"equaliser": float("nan")}, "most dB up or down"),
        ({"band": (300.0,)}, "give the lowest and the highest frequency in Hz, or a range of each"),
        ({"band": (3400.0, 300.0)}, "lets nothing through"),
        ({"band": ((0.0, 400.0), (300.0, 8000.0))}, "lets nothing through"),
        ({"band": ((400.0, 0.0), 3400.0)}, "give the least and the most, in Hz, from 0 to 8000"),
        ({"band": (300.0, 3400.0), "slope": (24.0, 900.0)}, "in dB per octave, from 6 to 240"),
        ({"band": (300.0, 9000.0)}, "give the least and the most, in Hz, from 0 to 8000"),
        ({"band": (300.0, 300.0)}, "lets nothing through"),
        ({"noise": "nowhere"}, "noise: there is no folder nowhere; give one, or 'synthetic' or 'babble'"),
        ({"rooms": "babble"}, "rooms: there is no folder babble; give one, or 'synthetic'\\n"),
        ({"noise": ["synthetic", "babble"]}, "needs speakers: it is possible in data sets made of a folder of them"),
    ],
)
def test_bad_options_say_what_is_possible(options, message):
    with pytest.raises(DataError, match=message):
        Surroundings(RATE, **options)


def test_files_have_one_order_on_all_systems(tmp_path, monkeypatch):
    for name in ("b.wav", "A.wav", "a-b/c.wav", "a/c.wav"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.setattr(Path, "__lt__", lambda one, other: str(one).lower() < str(other).lower())  # as on Windows
    assert _Files(tmp_path, RATE, "noise").names == ["A.wav", "a/c.wav", "a-b/c.wav", "b.wav"]


def test_a_folder_without_audio_is_named(tmp_path):
    (tmp_path / "notes.txt").write_text("no sound")
    with pytest.raises(DataError, match=r"rooms: no audio in .*looked for \.flac"):
        Surroundings(RATE, rooms=tmp_path)


def test_every_voice_has_a_microphone_of_its_own(recordings):
    for (mixture, sources, _), (_, clean, _) in zip(mixtures(equaliser=6.0), mixtures(), strict=True):
        torch.testing.assert_close(mixture, sources.sum(0))
        one, other = np.abs(np.fft.rfft(sources[:, 0].numpy())) / np.abs(np.fft.rfft(clean[:, 0].numpy()) + 1e-6)
        assert np.median(np.abs(20 * np.log10(one / other))) > 1  # it changes the colour, and each one's otherwise
    around = Surroundings(RATE, rooms=recordings / "rooms", reverberant=1.0, equaliser=6.0)
    (in_a_room,), _ = around.places(np.random.default_rng(0), 1)
    (room,), _ = Surroundings(RATE, rooms=recordings / "rooms", reverberant=1.0).places(np.random.default_rng(0), 1)
    assert in_a_room.size > room.size  # the room, then the microphone


def test_an_equaliser_stays_within_its_bounds_and_is_not_late():
    for seed in range(5):
        taps = random_equaliser(np.random.default_rng(seed), RATE, 6.0)
        decibels = 20 * np.log10(np.abs(np.fft.rfft(taps, 4096)))
        assert -6.5 < decibels.min() < 0 < decibels.max() < 6.5
        assert np.abs(taps).argmax() < 4


@pytest.mark.parametrize("data", [FolderMixtures, Conversations])
@pytest.mark.parametrize("band", [(300.0, 3400.0), (0.0, 3400.0), (300.0, 8000.0)])
def test_a_telephone_has_its_band_of_voices_and_noise(data, band):
    options = {"seconds": 3.0, "size": 2, "noise": "synthetic", "snr": (10.0, 10.0)}
    narrow, wide = (data(bundled.speech("train"), **options, **chosen) for chosen in ({"band": band}, {}))
    bins = np.fft.rfftfreq(3 * RATE, 1 / RATE)

    def power(wave, low, high):
        spectrum = np.fft.rfft(wave * np.hanning(len(wave)))
        return np.square(np.abs(spectrum[(bins >= low) & (bins <= high)])).sum()

    for (mixture, sources, metadata), (loud, voices, _) in zip(narrow, wide, strict=True):
        noise, whole_noise = mixture - sources.sum(0), loud - voices.sum(0)
        for heard, whole in [*zip(sources[:, 0], voices[:, 0], strict=True), (noise[0], whole_noise[0])]:
            gain = power(heard, 600, 1700) / power(whole, 600, 1700)
            if band[0]:
                assert power(heard, 50, 150) < 0.01 * gain * power(whole, 50, 150)
            if band[1] < RATE / 2:
                assert power(heard, 6800, 7900) < 0.01 * gain * power(whole, 6800, 7900)
            lag = np.fft.irfft(np.fft.rfft(heard) * np.fft.rfft(whole).conj()).argmax()
            assert min(lag, len(heard) - lag) < 0.002 * RATE  # nothing is late
        if data is FolderMixtures:
            snr = active_level(sources.sum(0)[0].numpy(), RATE) - level(noise[0].numpy())
            assert snr == pytest.approx(metadata["snr"], abs=0.05)  # of what is heard


def test_a_band_without_edges_changes_nothing():
    for (mixture, *_), (whole, *_) in zip(mixtures(band=(0.0, 8000.0)), mixtures(), strict=True):
        torch.testing.assert_close(mixture, whole)


@pytest.mark.parametrize("data", [FolderMixtures, Conversations])
def test_each_recording_draws_its_own_band(data):
    drawn = {"band": ([0.0, 400.0], [2800.0, 8000.0]), "slope": [24.0, 240.0]}
    options = {"seconds": 4.0, "size": 12, "noise": "synthetic", **drawn}
    bands = []
    bins = np.fft.rfftfreq(4 * RATE, 1 / RATE)
    for mixture, sources, metadata in data(bundled.speech("train"), **options):
        (low, high), slope = metadata["band"], metadata["slope"]
        assert 0 <= low <= 400
        assert 2800 <= high <= 8000
        assert 24 <= slope <= 240
        edges = np.array([low * 2 ** (-30 / slope), high * 2 ** (30 / slope)])
        for wave in [*sources[:, 0], (mixture - sources.sum(0))[0]]:
            power = np.square(np.abs(np.fft.rfft(wave.numpy() * np.hanning(len(wave)))))
            assert power[(bins < edges[0]) | (bins > edges[1])].sum() <= 0.01 * power.sum()  # some are silent
        bands.append((low, high, slope))
    assert len(set(bands)) == 12


def test_a_steep_band_ends_at_once():
    taps, drawn = Passbands((300.0, 3400.0), 240.0, RATE).draw(np.random.default_rng(0))
    assert drawn == {"band": [300.0, 3400.0], "slope": 240.0}
    decibels = 20 * np.log10(np.abs(np.fft.rfft(taps, RATE)) + 1e-9)
    assert decibels[250] < -50
    assert decibels[310] > -3
    assert decibels[3300] > -3
    assert decibels[4000] < -50
