"""A separator in asteroid's words; its axes are not ours."""

import numpy as np
import pytest
import torch

from slotaudio import Separator, Spec, UserError, compose
from slotaudio.separation.asteroid import Separatable
from slotaudio.separation.intake import SeparationWarning


@pytest.fixture(scope="module")
def separator():
    torch.manual_seed(0)
    return Separator(
        compose(
            frontend=Spec("stft", sample_rate=2000, window=64, hop=16, framing="centred"),
            encoder=Spec("resnet", depth=10, width=2),
            bottleneck=Spec("transformer", slot_dim=8, layers=1, heads=1, qkv_dim=4, mlp_dim=8),
            decoder=Spec("spatial_broadcast", hidden=8, layers=1),
            slots=3,
            window=0.128,
        )
    )


def test_two_axes_are_a_batch(separator):
    model = Separatable(separator)
    assert (model.sample_rate, model.in_channels) == (2000.0, None)
    waves = 0.1 * torch.randn(2, 700)
    sources = model.forward_wav(waves)
    assert sources.shape == (2, 3, 700)
    torch.testing.assert_close(sources, model.forward_wav(waves[:, None]))
    torch.testing.assert_close(sources[0], model.forward_wav(waves[0]))
    torch.testing.assert_close(sources.sum(1), waves)
    sources *= 2.0  # asteroid changes what it was given


def test_arrays_stay_arrays(separator):
    wave = 0.1 * np.random.default_rng(0).standard_normal((2, 700))
    sources = Separatable(separator)(wave)
    assert isinstance(sources, np.ndarray)
    assert sources.shape == (2, 3, 700)


def test_channels_are_mixed_down_as_anywhere(separator):
    waves = 0.1 * torch.randn(1, 2, 700)
    with pytest.warns(SeparationWarning, match="mixed down"):
        sources = Separatable(separator).forward_wav(waves)
    torch.testing.assert_close(sources.sum(1), waves.mean(1))


def test_sources_of_several_channels_have_no_place_there():
    model = compose(
        frontend=Spec("waveform", channels=2), encoder=Spec("resnet", depth=10, width=2), bottleneck=None, decoder=None
    )
    with pytest.raises(UserError, match="one channel; those of this model have 2"):
        Separatable(Separator(model))
