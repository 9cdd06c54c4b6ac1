"""Vectors over time: the same however a recording is cut, no time twice, files that tell what is in them."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from slotaudio import Separator, Spec, UserError, compose
from slotaudio.representation import embedder, joined, read_embedding, write_embedding
from slotaudio.representation.embedding import Embedder, Embedding
from slotaudio.representation.sliding import sliding

RATE = 16000


def noise(seconds: float, rate: int = RATE, channels: int = 1) -> torch.Tensor:
    return torch.randn(channels, round(seconds * rate), generator=torch.Generator().manual_seed(3)) * 0.05


def cut(wave: torch.Tensor, *sizes: int):
    position, number = 0, 0
    while position < wave.shape[1]:
        size = sizes[number % len(sizes)]
        yield wave[:, position : position + size]
        position, number = position + size, number + 1


@pytest.fixture(scope="module")
def windowed():
    torch.manual_seed(0)
    return compose(
        frontend=Spec("stft", framing="centred"),
        encoder=Spec("resnet", depth=10, width=2),
        bottleneck=Spec("carry_over", bottleneck=Spec("slot_attention", slot_dim=8, presence=True), heads=2),
        decoder=Spec("spatial_broadcast", hidden=8, layers=1, patch=(8, 8), output="softplus"),
        slots=3,
    ).eval()


@pytest.mark.parametrize("features", ["slots", "tokens", "mfcc", "log_mel"])
def test_embedders_take_one_channel_where_they_are_asked_to(windowed, features):
    wave = noise(1.0, channels=2)
    taken = joined(list(embedder(features, windowed, channel=2)(cut(wave, 3000), RATE)))
    alone = joined(list(embedder(features, windowed)(cut(wave[1:], 3000), RATE)))
    np.testing.assert_array_equal(taken.vectors, alone.vectors)
    with pytest.raises(UserError, match="has no channel 3; choose from 1 to 2"):
        list(embedder(features, windowed, channel=3)([wave], RATE))


def test_slots_of_a_model_with_one_set_per_window(windowed):
    found = Separator(windowed).slots(noise(2.1, 8000, 2)[0], 8000)
    assert found.vectors.shape == (9, 3, 8)
    np.testing.assert_allclose(found.times, np.arange(9) * 0.25)
    assert found.window == 0.5
    assert found.presence.shape == found.level.shape == (9, 3)
    assert ((found.presence > 0) & (found.presence < 1)).all()
    assert found.attention.shape == (9, 3, len(found.positions))
    np.testing.assert_allclose(found.attention.sum(axis=1), 1, atol=1e-5)
    quiet = Separator(windowed).slots(noise(2.1, 8000)[0] * 0.1, 8000, attention=False)
    np.testing.assert_allclose(quiet.level, found.level - 20, atol=0.1)
    assert quiet.attention is quiet.positions is None


def test_silence_and_the_shortest_recording_have_slots(windowed):
    for wave in (torch.zeros(1, 20000), torch.zeros(1, 1)):
        found = Separator(windowed).slots(wave)
        assert len(found) == max(1, wave.shape[1] // 4000)
        assert np.isfinite(found.vectors).all()
        assert (found.level == -120).all()
    assert Separator(windowed, overlap=0.0).slots(noise(0.1)).times == pytest.approx([0.05])
    with pytest.raises(UserError, match="no samples"):
        Separator(windowed).slots(torch.zeros(1, 0))
    with pytest.raises(UserError, match="not a batch"):
        Separator(windowed).slots(torch.zeros(2, 1, 100))


def test_a_level_is_that_of_the_output(windowed):
    separator, wave = Separator(windowed, overlap=0.0, consistent=False), noise(3.0)
    sources = separator(wave).sources[:, 0].reshape(3, 6, 8000)
    expected = 10 * sources.square().mean(dim=2).log10().T
    np.testing.assert_allclose(separator.slots(wave).level, expected, atol=1e-3)


@settings(max_examples=5)
@given(st.lists(st.integers(300, 30000), min_size=1, max_size=3))
def test_blocks_do_not_matter(windowed, sizes):
    wave = noise(1.6)
    for features in ("slots", "tokens", "mfcc"):
        made = embedder(features, windowed)
        one = joined(list(made([wave], RATE)))
        other = joined(list(made(cut(wave, *sizes), RATE)))
        np.testing.assert_allclose(one.times, other.times, atol=1e-9)
        np.testing.assert_allclose(one.vectors, other.vectors, atol=1e-4)


def test_frames_of_long_windows_follow_each_other():
    torch.manual_seed(0)
    model = compose(
        frontend=Spec("stft", framing="centred", features="complex"),
        encoder=Spec("band_split", dim=4, hidden=4, blocks=1),
        bottleneck=Spec("slot_attention", slot_dim=4),
        decoder=Spec("mask"),
        window=None,
    ).eval()
    found = joined(list(embedder("tokens", model, window=1.0, context=0.2)(cut(noise(3.3), 7777), RATE)))
    assert found.times[0] < 0.01
    assert found.times[-1] > 3.28
    assert (np.diff(found.times) > 0.004).all()
    assert (np.diff(found.times) < 0.012).all()


def test_windows_with_context_equal_the_whole():
    def moving_mean(wave):
        padded = torch.nn.functional.pad(wave, (80, 80))
        return padded.unfold(-1, 320, 160).mean(-1)[0].T, (np.arange(wave.shape[-1] // 160) + 0.5) * 160 / wave.shape[
            -1
        ]

    wave = noise(5.0)
    whole = joined(list(sliding(moving_mean, [wave], RATE, wanted=RATE, window=10.0)))
    pieces = joined(list(sliding(moving_mean, cut(wave, 5000), RATE, wanted=RATE, window=1.0)))
    assert len(list(sliding(moving_mean, cut(wave, 5000), RATE, wanted=RATE, window=1.0))) > 3
    np.testing.assert_allclose(pieces.times, whole.times, atol=1e-9)
    np.testing.assert_array_equal(pieces.vectors, whole.vectors)


@pytest.mark.parametrize("seconds", [0.02, 1.0])
def test_spectral_features(seconds):
    for name, dim in (("mfcc", 13), ("log_mel", 23)):
        option = {"mfcc": {"coefficients": 13}, "log_mel": {"bands": 23}}[name]
        found = joined(list(embedder({"name": name, **option})([noise(seconds)], RATE)))
        assert found.vectors.shape == (round(seconds * 100), 1, dim)
        np.testing.assert_allclose(found.times, np.arange(len(found)) / 100, atol=1e-9)
        assert isinstance(embedder(name), Embedder)


def test_features_by_name(windowed):
    assert embedder("auto", windowed).__class__.__name__ == "SlotEmbedder"
    only = compose(frontend="waveform", encoder=Spec("resnet", depth=10, width=2), bottleneck=None, decoder=None)
    assert embedder("auto", only).__class__.__name__ == "TokenEmbedder"
    with pytest.raises(UserError, match="ask for the features 'tokens'"):
        embedder("slots", only)
    with pytest.raises(UserError, match=r"no embedder named 'mfc'\. Did you mean 'mfcc'\?"):
        embedder("mfc")
    with pytest.raises(UserError, match="coefs"):
        embedder({"name": "mfcc", "coefs": 3})


def test_files_hold_what_was_made(windowed, tmp_path):
    stretches = list(embedder("slots", windowed, attention=True)(cut(noise(4.0), 9000), RATE))
    assert write_embedding(tmp_path / "a.npz", stretches, {"model": "mine", "duration": 4.0}) == 16
    found, expected = read_embedding(tmp_path / "a.npz"), joined(stretches)
    for name in Embedding.__dataclass_fields__:
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
    arrays = np.load(tmp_path / "a.npz")
    assert str(arrays["model"]) == "mine"
    assert float(arrays["duration"]) == 4.0
    assert arrays["vectors"].dtype == np.float32
    with pytest.raises(UserError, match="exists already"):
        write_embedding(tmp_path / "a.npz", stretches)
    with pytest.raises(UserError, match=r"ends in \.npz"):
        write_embedding(tmp_path / "a.npy", stretches)

    def failing():
        yield stretches[0]
        raise RuntimeError("the microphone was pulled out")

    with pytest.raises(RuntimeError):
        write_embedding(tmp_path / "b.npz", failing())
    with pytest.raises(UserError, match="no samples"):
        write_embedding(tmp_path / "b.npz", [])
    assert [path.name for path in tmp_path.iterdir()] == ["a.npz"]
    (tmp_path / "c.npz").write_text("hello")
    with pytest.raises(UserError, match=r"c\.npz holds no embedding"):
        read_embedding(tmp_path / "c.npz")
