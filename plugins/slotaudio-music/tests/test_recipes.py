"""The recipes train, are saved, and separate a recording into stems by name; listing them imports nothing heavy."""

import subprocess
import sys

import pytest
import soundfile
import torch

from slotaudio import Separator
from slotaudio.presets import presets
from slotaudio.pretrained import from_pretrained
from slotaudio.recipe import load_recipe

SMALL = {
    "music": [
        "encoder={name='music_unet', width=4, strides=[4, 2], kernel=4}",
        "bottleneck={name='dual_path_transformer', slot_dim=8, dim=8, blocks=1, heads=2, hidden=4, segment=4}",
    ],
    "music-slots": [
        "frontend.window=256",
        "frontend.hop=64",
        "model.window=0.25",
        "encoder={name='band_split', dim=4, hidden=2}",
        "bottleneck={name='transformer', slot_dim=8, layers=1, heads=2, qkv_dim=8, mlp_dim=8}",
        "decoder={name='mask', hidden=2}",
    ],
}
RUN = ["train.steps=2", "train.batch_size=2", "train.validate_every=2", "train.warmup_steps=1", "train.device=cpu"]


@pytest.mark.parametrize("name", ["music", "music-slots"])
def test_a_recipe_trains_and_separates_into_named_stems(name, musdb, tmp_path):
    from slotaudio.training.run import train

    data = [f"data.{part}.path='{musdb}'" for part in ("train", "validation")]
    data += ["data.train.size=4", "data.train.seconds=0.5", "data.validation.seconds=0.5"]
    recipe = load_recipe(name, [*SMALL[name], *data, *RUN, "frontend.sample_rate=8000"])
    done = train(recipe, tmp_path / "run")
    assert done.score is not None
    model = from_pretrained(done.model)
    assert model.names == ("drums", "bass", "other", "vocals")
    song = musdb / "test" / "Third" / "vocals.wav"
    mono = model.frontend.channels == 1
    if mono:  # as many channels as the model takes, so that nothing has to be warned of
        samples, rate = soundfile.read(song)
        song = tmp_path / "vocals.wav"
        soundfile.write(song, samples.mean(axis=1), rate)
    written = Separator(model).separate_file(song, tmp_path / "out")
    assert [path.name for path in written] == [f"vocals_{stem}.wav" for stem in model.names]
    stems = torch.stack([torch.from_numpy(soundfile.read(path, always_2d=True)[0]) for path in written])
    mixture = torch.from_numpy(soundfile.read(song, always_2d=True)[0])
    torch.testing.assert_close(stems.sum(0), mixture, atol=1e-3, rtol=0)


@pytest.mark.parametrize("name", presets("music"))
def test_the_recipe_as_it_is_composes(name):
    recipe = load_recipe(name)
    assert recipe.about
    assert recipe.model().sample_rate == 44100


def test_the_package_imports_nothing_heavy():
    code = "import sys, slotaudio_music; print([n for n in ('torch', 'numpy', 'scipy') if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
