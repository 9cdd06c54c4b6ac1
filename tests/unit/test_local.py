"""The objective `local`: stretches are matched by themselves, silence is measured."""

import numpy as np
import pytest
import torch

from slotaudio.errors import UserError
from slotaudio.matchers.hungarian import Hungarian
from slotaudio.objectives.local import Local
from slotaudio.types import Batch


def noise(*shape, seed=0):
    return 0.1 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


class Gives:
    """A model that gives these waves, ``batch slots channels time``."""

    sample_rate, matcher, window_samples = 1000, Hungarian(), None

    def __init__(self, waves):
        self.waves = waves

    def __call__(self, windows):
        return None

    def sources(self, prediction, batch):
        return self.waves[:, None]


def test_stretches_are_matched_by_themselves():
    sources = noise(1, 2, 1, 1000)
    estimates = torch.cat([sources[..., :500], sources.flip(1)[..., 500:]], dim=-1)
    batch = Batch(sources.sum(1), sources)
    short, whole = (Local(stretch)(Gives(estimates), batch)["loss"] for stretch in (0.1, 0.0))
    assert short == pytest.approx(-30, abs=0.1)
    assert whole > -5
    rough = sources + noise(1, 2, 1, 1000, seed=1)
    estimates = torch.cat([rough[..., :500], rough.flip(1)[..., 500:]], dim=-1)
    short, whole = Local(0.5)(Gives(estimates), batch)["loss"], Local(0.0)(Gives(rough), batch)["loss"]
    assert short == pytest.approx(float(whole), abs=1e-4)  # what is right is scored over the clip


def test_a_silent_source_is_scored_against_the_mixture():
    sources = torch.cat([noise(1, 1, 1, 1000), torch.zeros(1, 1, 1, 1000)], dim=1)
    estimates = torch.cat([sources[:, :1], 0.1 * sources[:, :1]], dim=1)
    loss = Local(0.0)(Gives(estimates), Batch(sources.sum(1), sources))["loss"]
    assert float(loss) == pytest.approx((-30 + 10 * np.log10(0.01 + 1e-3)) / 2, abs=1e-3)


def test_a_negative_stretch_is_refused():
    with pytest.raises(UserError, match=r"-0\.1 s is negative; 0 stands for the whole clip"):
        Local(-0.1)
