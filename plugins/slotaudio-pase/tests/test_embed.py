"""Features from code and from the command line."""

import numpy as np
import pytest
import soundfile
import torch

from slotaudio import Spec, compose
from slotaudio.cli import main
from slotaudio_pase.embedding import embedding


@pytest.fixture
def model():
    torch.manual_seed(0)
    encoder = Spec("pase", width=4, dim=6)
    return compose(frontend="waveform", encoder=encoder, bottleneck=None, decoder=None, window=None)


def wave(channels=1, samples=16000):
    return torch.rand(channels, samples, generator=torch.Generator().manual_seed(0)) - 0.5


def run(*arguments):
    with pytest.raises(SystemExit) as ended:
        main(["embed", *map(str, arguments)])
    return ended.value.code


def test_tokens_are_those_of_the_encoder(model):
    found = embedding(model.train(), wave(), 16000)
    assert model.training
    assert found.shape == (100, 6)
    assert torch.equal(found, model.eval().encode(wave()[None]).tokens[0, 0])


def test_other_rates_and_channels_are_brought_to_the_models(model):
    assert embedding(model, wave(2, 44100), 44100).shape == (100, 6)
    stereo = torch.cat([2 * wave(), 0 * wave()])
    assert torch.allclose(embedding(model, stereo, 16000), embedding(model, wave(), 16000), atol=1e-5)


def test_the_command_writes_arrays_and_replaces_none(model, tmp_path, capsys):
    model.eval().save_pretrained(tmp_path / "model")
    soundfile.write(tmp_path / "talk.wav", wave()[0].numpy(), 16000, subtype="FLOAT")
    arguments = (tmp_path / "talk.wav", "-o", tmp_path / "features", "--model", tmp_path / "model")
    assert run(*arguments) == 0
    assert "100 tokens of 6" in capsys.readouterr().out
    saved = np.load(tmp_path / "features/talk.npy")
    assert np.allclose(saved, embedding(model, wave(), 16000).numpy(), atol=1e-5)
    assert run(*arguments) == 2
    assert "--force" in capsys.readouterr().err
    assert run(*arguments, "--force") == 0


def test_two_recordings_of_one_name_are_refused(model, tmp_path, capsys):
    arguments = ("a/talk.wav", "b/talk.wav", "-o", tmp_path / "features", "--model", "none")
    assert run(*arguments) == 2
    assert "the same name" in capsys.readouterr().err
