"""Distortions do what they say; the chain draws them with their probabilities, from its generator alone."""

import math

import pytest
import soundfile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from slotaudio import UserError, audio, build
from slotaudio.data.bundled import speech
from slotaudio_pase import contamination
from slotaudio_pase.contamination import Contamination
from slotaudio_pase.distortions import band_dropped, chopped, clipped, narrowed, reverberated, with_added

RATE = 16000
NEVER = dict.fromkeys(("reverberation", "overlap", "noise", "clipping", "chopping", "band_drop", "narrow_band"), 0.0)


def noise(samples=8000, seed=0):
    return torch.randn(samples, generator=torch.Generator().manual_seed(seed)) / 10


def power(wave, lowest, highest):
    """Share of the energy between two frequencies in hertz."""
    spectrum = torch.fft.rfft(wave).abs().square()
    frequency = torch.fft.rfftfreq(len(wave), 1 / RATE)
    return (spectrum[(frequency >= lowest) & (frequency <= highest)].sum() / spectrum.sum()).item()


def test_a_room_of_one_echo_is_a_delayed_copy():
    response = torch.zeros(500)
    response[100], response[300] = 1.0, 0.5  # 100 samples of delay are taken out
    wave = torch.zeros(2000)
    wave[50] = 1.0
    heard = reverberated(wave, response)
    assert heard[250] / heard[50] == pytest.approx(0.5, abs=1e-5)
    assert heard.square().sum() == pytest.approx(1.0, abs=1e-5)


@given(snr=st.sampled_from([0.0, 5.0, 20.0]))
@settings(max_examples=5, deadline=None)
def test_the_signal_to_noise_ratio_is_the_one_asked_for(snr):
    wave, other = noise(seed=1), noise(seed=2)
    mixed = with_added(wave, other, snr)
    assert mixed.square().sum() == pytest.approx(wave.square().sum().item(), rel=1e-4)
    # what is left of the mixture is noise and wave in the right proportion: solve for both
    parts = torch.linalg.lstsq(torch.stack([wave, other], dim=1), mixed[:, None]).solution[:, 0]
    found = 20 * math.log10((parts[0] * wave.norm()) / (parts[1] * other.norm()))
    assert found == pytest.approx(snr, abs=0.01)


def test_clipping_chopping_and_bands():
    wave = noise()
    cut = clipped(wave, 0.3)
    assert cut.max() == 0.3 * wave.max()
    assert cut.min() == 0.3 * wave.min()
    assert torch.equal(chopped(wave, 100, 40).eq(0).nonzero()[:, 0], torch.arange(80, 120))
    assert torch.equal(chopped(wave, 2, 10)[7:], wave[7:])
    assert power(band_dropped(wave, 1000.0, 2000.0, RATE), 1000, 2000) < 1e-6
    assert power(narrowed(wave, RATE), 4500, 8000) < 1e-3
    for changed in (band_dropped(wave, 1000.0, 2000.0, RATE), narrowed(wave, RATE)):
        assert changed.square().sum() == pytest.approx(wave.square().sum().item(), rel=1e-4)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda wave: reverberated(wave, noise(500, seed=1)),
        lambda wave: with_added(wave, noise(8001, seed=1), 5.0),
        lambda wave: clipped(wave, 0.3),
        lambda wave: band_dropped(wave, 1000.0, 2000.0, RATE),
        lambda wave: narrowed(wave, RATE),
    ],
)
def test_what_is_recorded_softly_is_spoiled_alike(spoil):
    wave, gain = noise(8001), 1e-7
    assert spoil(wave).shape == wave.shape
    torch.testing.assert_close(spoil(gain * wave) / gain, spoil(wave), rtol=1e-3, atol=1e-5)


def test_bands_are_dropped_where_it_says(monkeypatch):
    dropped = []
    monkeypatch.setattr(
        contamination, "band_dropped", lambda wave, lowest, highest, rate: dropped.append((lowest, highest)) or wave
    )
    Contamination(**{**NEVER, "band_drop": 1.0})(torch.zeros(300, 160), torch.Generator().manual_seed(0))
    low, high = (2595 * torch.log10(1 + edges / 700) for edges in torch.tensor(dropped).T)  # mel (O'Shaughnessy 1987)
    width, centre = high - low, 700 * (10 ** ((low + high) / 2 / 2595) - 1)
    assert 100 < width.min() < 110
    assert 590 < width.max() < 600
    assert 100 < centre.min() < 150
    assert 6700 < centre.max() < 7000


def test_nothing_is_changed_without_contaminations_and_everything_with_all():
    waves = torch.stack([noise(seed=seed) for seed in range(3)])
    before = waves.clone()
    assert torch.equal(Contamination(**NEVER)(waves), waves)
    for name in NEVER:
        heard = Contamination(**{**NEVER, name: 1.0})(waves, torch.Generator().manual_seed(0))
        assert heard.shape == waves.shape
        assert bool((heard != waves).any(dim=1).all()), name
        assert bool(heard.isfinite().all())
    assert torch.equal(waves, before)


def test_each_is_as_frequent_as_asked():
    waves, chance = torch.stack([noise(320)] * 400), 0.35
    heard = Contamination(**{**NEVER, "clipping": chance})(waves, torch.Generator().manual_seed(1))
    share = (heard != waves).any(dim=1).float().mean().item()
    assert share == pytest.approx(chance, abs=4 * math.sqrt(chance * (1 - chance) / 400))


def test_the_generator_decides_alone():
    chain, waves = Contamination(), torch.stack([noise(seed=1), noise(seed=2)])
    state = torch.get_rng_state()
    one, other, third = (chain(waves, torch.Generator().manual_seed(seed)) for seed in (3, 3, 4))
    assert torch.equal(one, other)
    assert not torch.equal(one, third)
    assert torch.equal(torch.get_rng_state(), state)


def test_silence_stays_silent():
    quiet = torch.zeros(2, 4000)
    assert not Contamination(**dict.fromkeys(NEVER, 1.0))(quiet).any()


def test_an_overlapping_voice_is_the_other_utterance():
    waves = torch.stack([noise(seed=1), torch.zeros(8000)])
    heard = Contamination(**{**NEVER, "overlap": 1.0})(waves, torch.Generator().manual_seed(0))
    assert torch.equal(heard[0], waves[0])  # nobody speaks over it


def test_rooms_and_noises_come_from_folders(tmp_path):
    for name in ("rooms", "noises"):
        (tmp_path / name).mkdir()
    response = torch.zeros(2000)
    response[0], response[1000] = 0.9, -0.9 / 2
    soundfile.write(tmp_path / "rooms/hall.wav", response.numpy(), RATE, subtype="FLOAT")
    soundfile.write(tmp_path / "noises/hum.flac", torch.sin(torch.arange(8000) * 0.5).numpy() / 2, 8000)
    wave = torch.zeros(1, 4000)
    wave[0, 10] = 0.5
    heard = Contamination(**{**NEVER, "reverberation": 1.0}, rooms=str(tmp_path / "rooms"))(wave)
    assert heard[0, 1010] / heard[0, 10] == pytest.approx(-0.5, abs=1e-4)
    noisy = Contamination(**{**NEVER, "noise": 1.0}, noises=str(tmp_path / "noises"))(torch.stack([noise(40000)]))
    hum = 0.5 * 8000 / (2 * math.pi)  # in hertz, whatever the file's rate
    assert power(noisy[0], hum - 20, hum + 20) > 0.05


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"noise": 1.5}, "noise = 1.5 is no probability"),
        ({"clip_factors": []}, "clip_factors is empty"),
        ({"pauses": [[0.1]]}, "each is a mean and a deviation"),
        ({"rooms": "nowhere"}, "there is no folder nowhere"),
        ({"reverb": 0.5}, "has no option 'reverb'"),
        ({"noise": "often"}, "noise = 'often' is not float"),
    ],
)
def test_impossible_options_are_refused(options, message):
    with pytest.raises(UserError, match=message):
        build("objective", {"name": "pase", "in_dim": 12, "contamination": options})


def test_real_speech_passes_through_everything():
    wave, _ = audio.read(sorted(speech("dev").rglob("*.flac"))[0], 0, 16000)
    heard = Contamination(**dict.fromkeys(NEVER, 1.0))(wave, torch.Generator().manual_seed(0))
    assert bool(heard.isfinite().all())
    assert heard.abs().max() < 2
