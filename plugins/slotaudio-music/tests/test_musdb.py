"""The data set: stems by name, splits, augmentation, partial reads, and what is wrong with a folder."""

import numpy as np
import pytest
import soundfile
import torch

from slotaudio import UserError, audio, build
from slotaudio.errors import DataError
from slotaudio_music.musdb import STEMS, Musdb, _of_split

RATE = 8000


def load(musdb, **options):
    return Musdb(musdb, **{"seconds": 0.25, "rate": RATE, "split": "all", **options})


def test_stretches_in_order_are_the_files(musdb):
    dataset = load(musdb, seconds=0.3, split="test")
    assert len(dataset) == 5  # 1.3 s
    items = [dataset[index] for index in range(5)]
    assert items[-1][0].shape[-1] == round(0.1 * RATE)
    assert items[1][2]["id"] == "Third-0.30"
    whole = torch.cat([sources for _, sources, _ in items], dim=-1)
    for stem, name in enumerate(STEMS):
        torch.testing.assert_close(whole[stem], audio.read(musdb / "test" / "Third" / f"{name}.wav")[0])


def test_whole_tracks(musdb):
    dataset = load(musdb, seconds=None)
    assert [dataset[index][2]["tracks"][0] for index in range(3)] == ["First", "Meaxic - Take A Step", "Second"]
    assert dataset[0][1].shape == (4, 2, RATE)
    longer = load(musdb, seconds=9.0)  # than any track, which only drawn items must not be
    assert [longer[index][1].shape[-1] for index in range(len(longer))] == [RATE] * 3


def test_splits_go_by_name(musdb):
    names = {split: [t.name for t in load(musdb, split=split).tracks] for split in ("train", "validation", "test")}
    assert names == {"train": ["First", "Second"], "validation": ["Meaxic - Take A Step"], "test": ["Third"]}


def test_drawn_items_depend_on_seed_epoch_and_index(musdb):
    dataset = load(musdb, size=3)
    first = dataset[0][0]
    dataset.set_epoch(1)
    assert not torch.equal(dataset[0][0], first)
    fixed = load(musdb, size=3, fixed=True)
    fixed.set_epoch(1)
    torch.testing.assert_close(fixed[0][0], first)


def test_remixing_mixes_tracks_and_its_absence_does_not(musdb):
    together = load(musdb, size=20, remix=0.0)
    apart = load(musdb, size=20, remix=1.0)
    assert all(
        len({*zip(m["tracks"], m["starts"], strict=True)}) == 1 for _, _, m in map(together.__getitem__, range(20))
    )
    assert any(len(set(apart[index][2]["tracks"])) > 1 for index in range(20))


def test_gains_and_swaps_are_applied(musdb):
    plain = load(musdb, size=1, remix=0.0, gains=(1.0, 1.0), swap=0.0)[0][1]
    swapped = load(musdb, size=1, remix=0.0, gains=(1.0, 1.0), swap=1.0)[0][1]
    quieter = load(musdb, size=1, remix=0.0, gains=(0.5, 0.5), swap=0.0)[0][1]
    torch.testing.assert_close(swapped, plain.flip(1))
    torch.testing.assert_close(quieter, 0.5 * plain)
    assert not torch.allclose(plain, plain.flip(1))


def test_channels_are_mixed_down_or_copied(musdb, tmp_path):
    mono = load(musdb, channels=1, split="test")[0][1]
    torch.testing.assert_close(mono, load(musdb, split="test")[0][1].mean(dim=1, keepdim=True))
    folder = tmp_path / "train" / "track"
    folder.mkdir(parents=True)
    for name in STEMS:
        soundfile.write(folder / f"{name}.wav", np.full(RATE, 0.1, dtype=np.float32), RATE)
    stereo = load(tmp_path)[0][1]
    assert stereo.shape[1] == 2
    assert torch.equal(stereo[:, 0], stereo[:, 1])
    soundfile.write(folder / "bass.wav", np.zeros((RATE, 3)), RATE)
    with pytest.raises(DataError, match=r"bass\.wav has 3 channels; 2 or 1 are needed"):
        load(tmp_path)


def test_tracks_are_as_long_as_their_shortest_stem(tmp_path):
    folder = tmp_path / "train" / "track"
    folder.mkdir(parents=True)
    for stem, name in enumerate(STEMS):
        soundfile.write(folder / f"{name}.wav", np.full((RATE + 100 * (stem - 1) ** 2, 2), 0.1), RATE)
    assert load(tmp_path, seconds=None)[0][1].shape == (4, 2, RATE)


def test_mixtures_beyond_full_scale_are_turned_down_as_a_whole(tmp_path):
    folder = tmp_path / "train" / "loud"
    folder.mkdir(parents=True)
    for name in STEMS:
        soundfile.write(folder / f"{name}.wav", np.full((RATE, 2), 0.5, dtype=np.float32), RATE)
    mixture, sources, _ = load(tmp_path)[0]
    assert mixture.max() == pytest.approx(0.999, abs=1e-4)
    assert torch.equal(mixture, sources.sum(0))


def test_only_the_stretch_is_read(musdb, monkeypatch):
    reads = []
    original = audio.read

    def spy(path, start=0, stop=None):
        reads.append((start, stop))
        return original(path, start, stop)

    monkeypatch.setattr(audio, "read", spy)
    load(musdb, size=1)[0]
    assert len(reads) == 4
    assert all(stop - start == RATE // 4 for start, stop in reads)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seconds": 0.0}, "something must be left to hear"),
        ({"seconds": None, "size": 2}, "drawn items need seconds"),
        ({"remix": 1.5}, "two probabilities"),
        ({"gains": (1.0, 0.5)}, "the least and the largest gain"),
        ({"stems": ("drums", "piano")}, "track 'First' has no stem 'piano': it holds bass.wav, drums.wav"),
        ({"rate": 44100}, "has 8000 Hz, the model 44100 Hz"),
        ({"seconds": 9.0, "size": 2}, "the longest has 8000"),
    ],
)
def test_wrong_options_say_what_is_possible(musdb, options, message):
    with pytest.raises(DataError, match=message):
        load(musdb, **options)


def test_an_unknown_split_is_refused_in_recipes_and_in_code(musdb):
    with pytest.raises(UserError, match="split = 'dev' is not one of 'train', 'validation', 'all', 'test'"):
        build("dataset", {"name": "musdb", "path": str(musdb), "split": "dev"})
    with pytest.raises(DataError, match="split = 'dev' is not known; choose 'train'"):
        _of_split(load(musdb).tracks, "dev", musdb, None, None)


def test_wrong_folders_say_what_is_expected(musdb, tmp_path):
    with pytest.raises(DataError, match=r"the layout is PATH/train/TRACK/drums\.wav, and test beside train"):
        load(tmp_path)
    (tmp_path / "train").mkdir()
    with pytest.raises(DataError, match="holds no tracks"):
        load(tmp_path)
    (tmp_path / "train" / "mine").mkdir()
    for name in STEMS:
        soundfile.write(tmp_path / "train" / "mine" / f"{name}.wav", np.zeros((100, 2)), RATE)
    with pytest.raises(DataError, match=r"none of the 1 tracks in .* belongs to split 'validation'"):
        load(tmp_path, split="validation")
    (tmp_path / "train" / "mine" / "bass.wav").write_bytes(b"no audio")
    with pytest.raises(DataError, match="track 'mine'"):
        load(tmp_path)
