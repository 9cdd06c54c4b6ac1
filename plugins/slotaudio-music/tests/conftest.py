"""Hypothesis profile, one thread, and a small MUSDB folder of synthetic stems."""

import os
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import Phase, settings

RATE = 8000
PHASES = [phase for phase in Phase if phase is not Phase.explain]
settings.register_profile(
    "music", max_examples=15, deadline=None, derandomize=bool(os.environ.get("CI")), phases=PHASES
)
settings.load_profile("music")

torch.set_num_threads(1)


def write_track(folder: Path, seed: int, seconds: float = 1.0, channels: int = 2, suffix: str = ".wav") -> None:
    """Write four stems that cannot be mistaken for each other."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * RATE)) / RATE
    stems = {
        "drums": rng.normal(size=time.size) * np.exp(-((time * 8) % 1) * 10),
        "bass": np.sin(2 * np.pi * (60 + 5 * seed) * time),
        "other": np.sin(2 * np.pi * 500 * time) * np.sin(2 * np.pi * 3 * time),
        "vocals": np.sin(2 * np.pi * (900 * time + 3 * np.sin(12 * time))),
    }
    for name, wave in stems.items():
        pan = np.linspace(0.3, 0.15, channels)
        samples = (wave[:, None] * pan / max(1, np.abs(wave).max())).astype(np.float32)
        soundfile.write(folder / f"{name}{suffix}", samples, RATE)


@pytest.fixture(scope="session")
def musdb(tmp_path_factory):
    """Three training tracks, one of them a validation track by name, and one test track."""
    root = tmp_path_factory.mktemp("musdb")
    for seed, name in enumerate(["First", "Second", "Meaxic - Take A Step"]):
        write_track(root / "train" / name, seed, suffix=".flac" if seed else ".wav")
    write_track(root / "test" / "Third", 9, seconds=1.3)
    return root
