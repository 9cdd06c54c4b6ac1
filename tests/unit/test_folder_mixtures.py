"""`FolderMixtures`: determinism, splits, frozen lists, damaged and unfit folders."""

import csv
import ntpath
import os

import numpy as np
import pytest
import soundfile
import torch
from torch.utils.data import DataLoader

from slotaudio.compose import build
from slotaudio.data import bundled
from slotaudio.data.batches import collate
from slotaudio.data.epochs import SkippedUtterance
from slotaudio.data.folder import DRAWN, FolderMixtures
from slotaudio.data.mixing import PEAK, active_level
from slotaudio.data.plans import write_list
from slotaudio.data.recordings import UnreadableUtterance
from slotaudio.data.speakers import Meeting, split_speakers
from slotaudio.data.speech import SpeechFolder
from slotaudio.errors import DataError, UserError

RATE = 16000


@pytest.fixture
def voices(tmp_path):
    """Six speakers, `a-...` and `b-...`, of one noisy second and a nested utterance each."""
    for n, name in enumerate(["a-1", "a-2", "a-3", "b-1", "b-2", "b-3"]):
        rng = np.random.default_rng(n)
        for path in (tmp_path / name / "first.wav", tmp_path / name / "chapter" / "second.flac"):
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(path, 0.1 * rng.normal(size=RATE).clip(-3, 3), RATE)
    return tmp_path


def mixtures(path, **options):
    return FolderMixtures(path, **{"seconds": 0.5, "size": 6, **options})


def equal(first, second):
    return torch.equal(first[0], second[0]) and torch.equal(first[1], second[1]) and first[2] == second[2]


def test_item_meets_the_contract():
    for mixture, sources, metadata in mixtures(bundled.speech("train")):
        assert mixture.dtype == sources.dtype == torch.float32
        assert mixture.shape == (1, RATE // 2)
        assert sources.shape == (2, 1, RATE // 2)
        assert torch.equal(mixture, sources.sum(0))
        assert mixture.abs().max() <= PEAK + 1e-6
        assert len(set(metadata["speakers"])) == 2
        assert set(metadata["genders"]) <= {"F", "M"}


def test_built_by_name():
    dataset = build("dataset", {"name": "folder", "path": str(bundled.speech("dev")), "seconds": 0.25})
    assert dataset[0][0].shape == (1, RATE // 4)


def test_levels_are_within_the_range():
    levels = [
        active_level(source[0].numpy(), RATE)
        for _, sources, _ in mixtures(bundled.speech("train"), seconds=3.0, loudness=(-30.0, -28.0))
        for source in sources
    ]
    # measured on the crop with its surroundings, so that the crop itself may differ a little
    assert -32 < min(levels) <= max(levels) < -26


def test_seed_epoch_and_index_decide(voices):
    first, again, other = mixtures(voices), mixtures(voices), mixtures(voices, seed=1)
    assert all(equal(first[n], again[n]) for n in range(6))
    assert not equal(first[0], first[1])
    assert not equal(first[0], other[0])
    again.set_epoch(1)
    assert not equal(first[0], again[0])
    again.set_epoch(0)
    assert equal(first[0], again[0])


def test_fixed_mixtures_ignore_the_epoch(voices):
    fixed = mixtures(voices, fixed=True)
    before = fixed[2]
    fixed.set_epoch(7)
    assert equal(fixed[2], before)


def test_workers_change_nothing_and_follow_the_epoch(voices):
    def epochs(workers):
        dataset = mixtures(voices)
        batches = DataLoader(dataset, 4, collate_fn=collate, num_workers=workers, persistent_workers=workers > 0)
        collected = []
        for epoch in range(2):
            dataset.set_epoch(epoch)
            collected.append(torch.cat([batch.sources for batch in batches]))
        return collected

    alone, with_workers = epochs(0), epochs(2)
    assert torch.equal(alone[0], with_workers[0])
    assert torch.equal(alone[1], with_workers[1])
    assert not torch.equal(alone[0], alone[1])


def test_cache_gives_the_same_mixtures(voices):
    plain = list(mixtures(voices, speed=(0.9, 1.1)))
    cached = mixtures(voices, speed=(0.9, 1.1), cache=True)
    for path in voices.rglob("*.*"):
        path.unlink()  # nothing is read any more
    assert all(map(equal, plain, cached))


def test_split_shares_no_speaker_and_loses_none(voices):
    train, validation = (mixtures(voices, split=split, validation=0.4) for split in ("train", "validation"))
    assert not set(train.folder.speakers) & set(validation.folder.speakers)
    assert set(train.folder.speakers) | set(validation.folder.speakers) == {f"{g}-{n}" for g in "ab" for n in "123"}
    assert len(validation.folder.speakers) == 2


def test_split_is_stable_when_speakers_join():
    names = [f"speaker{n}" for n in range(200)]
    before = set(split_speakers(names, "validation", 0.2, 2))
    after = set(split_speakers([*names, "newcomer"], "validation", 0.2, 2))
    assert len(before) == 40
    assert len(before ^ after) <= 2


def test_speakers_by_wildcard(voices, monkeypatch):
    assert set(mixtures(voices, speakers=["a-*"]).folder.speakers) == {"a-1", "a-2", "a-3"}
    monkeypatch.setattr(os.path, "normcase", ntpath.normcase)  # Windows draws the same mixtures
    with pytest.raises(DataError, match="no speaker"):
        mixtures(voices, speakers=["A-*"])


def test_groups_meet_as_often_as_told(voices):
    names = list(SpeechFolder(voices).speakers)
    meeting = Meeting(names, 2, {"a": 0.5, "*": 0.3})
    rng = np.random.default_rng(0)
    pairs = ["".join(sorted(name[0] for name in meeting.draw(rng, 2))) for _ in range(2000)]
    assert pairs.count("aa") / 2000 == pytest.approx(0.5, abs=0.04)
    assert pairs.count("bb") / 2000 == pytest.approx(0.3, abs=0.04)
    assert pairs.count("ab") / 2000 == pytest.approx(0.2, abs=0.04)


def test_fewer_speakers_leave_silent_sources(voices):
    items = list(mixtures(voices, sources=(1, 3), size=20))
    assert {metadata["active"] for _, _, metadata in items} == {1, 2, 3}
    for mixture, sources, metadata in items:
        assert sources.shape[0] == 3
        audible = sources.abs().amax(dim=(1, 2)) > 0
        assert int(audible.sum()) == metadata["active"]
        assert [speaker != "" for speaker in metadata["speakers"]] == audible.tolist()
        assert torch.equal(mixture, sources.sum(0))


def test_lengths(voices):
    assert mixtures(voices, seconds=3.0)[0][0].shape == (1, 3 * RATE)
    assert mixtures(voices, seconds=3.0, length="min")[0][0].shape == (1, RATE)
    assert mixtures(voices, seconds=None)[0][0].shape == (1, RATE)


def test_frozen_list_renders_the_same_mixtures(voices, tmp_path):
    drawn = mixtures(voices, sources=(1, 2), seconds=1.5, speed=(0.9, 1.1))
    frozen = tmp_path / "list.csv"
    write_list(frozen, [drawn.plan(n) for n in range(6)])
    listed = FolderMixtures(voices, mixtures=frozen)
    assert len(listed) == 6
    assert {len(row) for row in csv.reader(frozen.read_text().splitlines())} == {2 + 2 * 6}
    assert all(equal(drawn[n], listed[n]) for n in range(6))


def test_a_list_heeds_nothing_of_what_decides_about_drawing(voices, tmp_path):
    write_list(tmp_path / "frozen.csv", [mixtures(voices).plan(n) for n in range(2)])
    other = {"seconds": 9.0, "sources": 3, "size": 7, "split": "train", "validation": 0.4, "speakers": ["a"]}
    other |= {"loudness": (-1.0, 0.0), "speed": (0.9, 1.1), "length": "min", "groups": {"*": 1.0}}
    assert set(other) == set(DRAWN)
    plain = FolderMixtures(voices, mixtures=tmp_path / "frozen.csv")
    listed = FolderMixtures(voices, mixtures=tmp_path / "frozen.csv", **other)
    assert len(plain) == len(listed)
    assert all(equal(plain[n], listed[n]) for n in range(2))


def test_other_rates_are_resampled_when_told(voices):
    time = np.arange(44100) / 44100
    for speaker in ("a-1", "a-2"):
        (voices / speaker / "first.wav").unlink()
        soundfile.write(voices / speaker / "chapter/second.flac", 0.5 * np.sin(2 * np.pi * 1000 * time), 44100)
    with pytest.raises(DataError, match=r"a-1/chapter/second.flac has 44100 samples per second, 16000 are needed"):
        mixtures(voices)
    dataset = mixtures(voices, speakers=["a-1", "a-2"], resample=True)
    source = dataset[0][1][0, 0]
    peak = torch.fft.rfft(source * torch.hann_window(len(source))).abs().argmax() * RATE / len(source)
    assert peak.item() == pytest.approx(1000, abs=4)


def test_quiet_crops_are_avoided(voices):
    rng = np.random.default_rng(0)
    for path in voices.rglob("*.*"):
        wave = np.zeros(4 * RATE)
        wave[: 3 * RATE] = 0.1 * rng.normal(size=3 * RATE).clip(-3, 3)
        soundfile.write(path, wave, RATE)
    powers = [sources.square().mean(dim=(1, 2)).min() for _, sources, _ in mixtures(voices, size=40)]
    # a quarter of each file is silence: without another try, two in five mixtures would miss a voice
    assert sum(power == 0 for power in powers) <= 4


def test_unreadable_utterances_stop_or_are_skipped(voices):
    for path in (voices / "a-1").rglob("*.*"):
        path.write_bytes(b"not audio")
    with pytest.raises(UnreadableUtterance, match="a-1"):
        list(mixtures(voices, size=20))
    tolerant = mixtures(voices, size=20, on_error="skip", cache=True)
    with pytest.warns(SkippedUtterance, match="a-1") as told:
        items = list(tolerant)
    assert tolerant.skipped == len(told) > 0
    assert all("a-1" not in metadata["speakers"] for _, _, metadata in items)


def test_folder_of_nothing_but_damage_does_not_hang(voices):
    for path in voices.rglob("*.*"):
        path.write_bytes(b"not audio")
    with pytest.warns(SkippedUtterance), pytest.raises(DataError, match="100 mixtures in a row"):
        mixtures(voices, on_error="skip")[0]


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"sources": 7}, "mixtures of 7 speakers need as many; there are 6"),
        ({"sources": 0}, "sources = 0"),
        ({"sources": (3, 2)}, "the least and the most"),
        ({"seconds": 0.0}, "at least one sample"),
        ({"seed": -1}, "neither may be negative"),
        ({"size": -1}, "neither may be negative"),
        ({"speakers": ["z*"]}, r"no speaker in .* matches \['z\*'\]; the first of them are: a-1"),
        ({"split": "train", "validation": 1.5}, "no share"),
        ({"split": "train", "sources": 4}, "6 speakers cannot be split"),
        ({"groups": {"c": 0.5}}, "group 'c' needs 2 speakers; there are a: 3, b: 3"),
        ({"groups": {"a": 0.7, "b": 0.5}}, "1 at most together"),
        ({"groups": {"a": 0.5, "b": 0.2, "*": 0.1}}, "there are none"),
        ({"loudness": (-20.0, -30.0)}, "loudness"),
        ({"speed": (0.1, 1.0)}, "speed"),
        ({"genders": "missing.csv"}, "cannot read the genders"),
        ({"mixtures": "missing.csv"}, "cannot read the list"),
    ],
)
def test_unfit_options_are_explained(voices, options, complaint):
    with pytest.raises(DataError, match=complaint):
        mixtures(voices, **options)


@pytest.mark.parametrize("options", [{"split": "test"}, {"length": "mean"}, {"on_error": "ignore"}])
def test_unknown_choices_are_explained_by_name(voices, options):
    with pytest.raises(UserError, match="one of"):
        build("dataset", {"name": "folder", "path": str(voices), **options})


def test_unfit_folders_are_explained(tmp_path):
    with pytest.raises(DataError, match="no such folder"):
        mixtures(tmp_path / "missing")
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="is a file"):
        mixtures(tmp_path / "file")
    with pytest.raises(DataError, match="no audio below"):
        mixtures(tmp_path)
    soundfile.write(tmp_path / "loose.wav", np.zeros(10), RATE)
    with pytest.raises(DataError, match="1 audio files but no folder per speaker"):
        mixtures(tmp_path)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("mixture_id,length\n", "holds no mixture"),
        ("mixture_id,length\nx,10\n", "lacks the column 'source_1_path'"),
        (
            "mixture_id,length,source_1_path,source_1_start\nx,10,a-1/first.wav,0\n",
            "lacks the column 'source_1_length'",
        ),
        ("{header}\nx,10,a-1/first.wav,zero,10,0,1,1\n", "no number"),
        ("{header}\nx,10,a-1/first.wav,0,10\n", "no number"),
        ("{header}\nx,10,a-1/first.wav,0,10,5,1,1\n", "a source outside of it"),
        ("{header}\nx,10,a-1/first.wav,-1,5,0,1,1\n", "a source outside of it"),
        ("{header}\nx,10,a-1/first.wav,0,5,-1,1,1\n", "a source outside of it"),
        ("{header}\nx,10,a-1/gone.wav,0,10,0,1,1\n", "1 are not in .*; the first is a-1/gone.wav"),
    ],
)
def test_unfit_lists_are_explained(voices, text, complaint):
    header = "mixture_id,length," + ",".join(
        f"source_1_{column}" for column in ("path", "start", "length", "offset", "gain", "speed")
    )
    frozen = voices / "list.csv"
    frozen.write_text(text.replace("{header}", header))
    with pytest.raises(DataError, match=complaint):
        FolderMixtures(voices, mixtures=frozen)
