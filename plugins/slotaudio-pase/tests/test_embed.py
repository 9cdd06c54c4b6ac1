"""The tokens through `slotaudio embed`: those of the recording in one piece, window by window."""

import numpy as np
import pytest
import soundfile
import torch

from slotaudio import Spec, compose
from slotaudio.cli import main
from slotaudio.representation import embedder, joined


@pytest.fixture
def model():
    torch.manual_seed(0)
    encoder = Spec("pase", width=4, dim=6)
    return compose(frontend="waveform", encoder=encoder, bottleneck=None, decoder=None, window=None).eval()


def wave(channels=1, samples=16000):
    return torch.rand(channels, samples, generator=torch.Generator().manual_seed(0)) - 0.5


def test_tokens_are_those_of_the_encoder(model):
    talk = wave(samples=89600)
    found = joined(list(embedder("auto", model, window=2.0, context=0.5)(talk.split(7000, dim=1), 16000)))
    assert found.vectors.shape == (560, 1, 6)
    whole = model.encode(talk[None]).tokens[0, 0].detach()
    np.testing.assert_allclose(found.vectors[:, 0], whole.numpy(), atol=1e-4)
    np.testing.assert_allclose(found.times, (np.arange(560) + 0.5) / 100, atol=1e-4)


@pytest.mark.filterwarnings("ignore:.*mixed down:UserWarning")
def test_other_rates_and_channels_are_brought_to_the_models(model):
    def vectors(wave, rate):
        return joined(list(embedder("tokens", model)([wave], rate))).vectors

    assert vectors(wave(2, 44100), 44100).shape == (100, 1, 6)
    stereo = torch.cat([1.5 * wave(), 0.5 * wave()])
    np.testing.assert_allclose(vectors(stereo, 16000), vectors(wave(), 16000), atol=1e-5)


def test_the_command_takes_saved_models(model, tmp_path):
    model.save_pretrained(tmp_path / "model")
    soundfile.write(tmp_path / "talk.wav", wave()[0].numpy(), 16000, subtype="FLOAT")
    with pytest.raises(SystemExit) as ended:
        main(["embed", str(tmp_path / "talk.wav"), "-o", str(tmp_path / "out"), "--model", str(tmp_path / "model")])
    assert not ended.value.code
    saved = np.load(tmp_path / "out/talk.npz")
    assert saved["vectors"].shape == (100, 1, 6)
    assert str(saved["features"]) == "tokens"
