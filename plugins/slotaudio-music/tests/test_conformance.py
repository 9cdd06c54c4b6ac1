"""Every component is held to the contract of its family by slotaudio's own suite."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from conftest import write_track

from slotaudio.testing import (
    BottleneckConformance,
    DatasetConformance,
    DecoderConformance,
    EncoderConformance,
    ObjectiveConformance,
)
from slotaudio.testing.drawing import noise
from slotaudio.types import Features, Spectrum

SMALL = {"width": 4, "strides": (4, 2, 2), "kernel": 4, "depthwise": 3}


class TestEncoder(EncoderConformance):
    component = "music_unet"
    options = SMALL
    in_channels = 2
    freq = 1
    frames = (1, 70)
    compiles = True
    exports = True


class TestPlainEncoder(TestEncoder):
    options = {**SMALL, "dense": False, "norm": False}


class TestBottleneck(BottleneckConformance):
    component = "dual_path_transformer"
    options = {"slot_dim": 8, "dim": 8, "blocks": 1, "heads": 2, "hidden": 4, "segment": 3, "hop": 2}
    steps = (1, 8)
    tokens = (1, 1)
    causal = False


class TestBottleneckWithGrids(TestBottleneck):
    """Encoders with several tokens per step."""

    steps = (1, 3)
    tokens = (1, 5)


class TestDecoder(DecoderConformance):
    component = "music_unet"
    channels = 2
    freq = 1
    hop = 1
    real = True
    frames = (1, 50)
    stages = {"skip_dims": (4, 8, 16), "strides": (4, 2, 2), "kernel": 4}
    compiles = True
    exports = True

    def inputs(self, seed, **sizes):
        batch, frames = sizes["batch"], sizes["frames"]
        steps = -(-frames // 16)
        skips = tuple(
            noise(seed + n, batch, dim, steps * factor) for n, dim, factor in ((3, 4, 4), (4, 8, 2), (5, 16, 1))
        )
        features = Features(noise(seed, batch, steps, 1, 16), noise(0, 1, 1), skips)
        spectrum = Spectrum(noise(seed + 1, batch, self.channels, 1, frames), frames)
        return noise(seed + 2, batch, steps, sizes["slots"], self.slot_dim), features, spectrum


class TestObjective(ObjectiveConformance):
    """With the matcher of the model, here the Hungarian one."""

    component = "relative_mse"
    options = {"l1_weight": 0.5}


class TestLabelledObjective(ObjectiveConformance):
    component = "relative_mse"
    options = {"matcher": "fixed"}
    labelled = True
    perfect = None  # the suite's perfect model deals the sources out in any order


class TestDataset(DatasetConformance):
    component = "musdb"
    options = {"seconds": 0.25, "rate": 8000, "size": 4}

    def prepare(self, folder):
        for seed in range(3):
            write_track(folder / "train" / f"track {seed}", seed)
        return {"path": str(folder)}


class TestDatasetInOrder(TestDataset):
    options = {"seconds": 0.4, "rate": 8000, "channels": 1}
    epochs = False

    def test_another_seed_gives_other_mixtures(self):
        """Nothing is drawn: the seed does not matter."""
        first, second = self.build(seed=1), self.build(seed=2)
        assert all((first[index][0] == second[index][0]).all() for index in range(len(first)))
