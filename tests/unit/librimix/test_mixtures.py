"""`LibriMix`: equal to the official generator; crops, noise, lists."""

import numpy as np
import pytest
import soundfile
import torch
from small_librimix import PART, generated, listed

from slotaudio.compose import build
from slotaudio.data.librimix import LibriMix
from slotaudio.data.librimix_arithmetic import pcm16
from slotaudio.data.librimix_metadata import read_metadata
from slotaudio.data.mixing import PEAK


@pytest.mark.parametrize(("rate", "mode", "sources"), [(16000, "max", 2), (8000, "min", 2), (8000, "max", 3)])
def test_equal_to_the_generator_to_the_last_bit(corpus, tmp_path, rate, mode, sources):
    table = corpus / f"metadata/Libri{sources}Mix/libri{sources}mix_{PART}.csv"
    generated(tmp_path, corpus / "LibriSpeech", corpus / "wham", table, rate, mode, sources)
    for kind in ("mix_clean", "mix_both", "mix_single"):
        options = {"rate": rate, "length": mode, "kind": kind, "sources": sources, "noise": corpus / "wham"}
        options["noise_source"] = kind == "mix_both"
        made, read = listed(corpus, **options), LibriMix(tmp_path, "train-100", **options)
        crops, read_crops = (
            listed(corpus, **options, seconds=0.31),
            LibriMix(tmp_path, "train-100", **options, seconds=0.31),
        )
        assert (made.mixing, read.mixing) == ("listed", "official")
        assert len(made) == len(read)
        for index in range(len(made)):
            for one, other in ((made[index], read[index]), (crops[index], read_crops[index])):
                assert torch.equal(one[0], other[0])
                assert torch.equal(one[1], other[1])
                assert one[2]["speakers"] == other[2]["speakers"]
            file = tmp_path / f"wav{rate // 1000}k" / mode / "train-100" / kind / f"{made[index][2]['id']}.wav"
            assert np.array_equal(made[index][0][0].numpy() * 32768, soundfile.read(file, dtype="int16")[0])


def test_rounding_is_that_of_soundfile(tmp_path):
    ramp = np.arange(-33000, 33000) / 32768
    wave = np.concatenate([ramp, ramp + 1e-9, ramp - 1e-9, np.random.default_rng(0).normal(size=9999)])
    for kind in (np.float32, np.float64):
        soundfile.write(tmp_path / "wave.wav", wave.astype(kind), 16000)
        assert np.array_equal(soundfile.read(tmp_path / "wave.wav", dtype="int16")[0], pcm16(wave.astype(kind)))


def test_clean_mixtures_need_no_noise_and_know_who_speaks(corpus):
    (corpus / "LibriSpeech/SPEAKERS.TXT").write_text(
        ";ID |SEX\n19 | F | train-clean-100 | 25.19 | X\n26 | M | x | 1 | Y\n"
    )
    mixture, sources, metadata = listed(corpus)[0]
    assert metadata["speakers"] == ("19", "26")
    assert metadata["genders"] == ("F", "M")
    assert (mixture - sources.sum(0)).abs().max() <= 2 / 32768
    named = build(
        "dataset", {"name": "librimix", "path": str(corpus), "subset": "train-100", "size": 2, "seconds": 3.0}
    )
    assert (named.mixing, len(named), named[1][0].shape) == ("dynamic", 2, (1, 48000))


def test_flat_folders_will_do(corpus, tmp_path):
    for path in (corpus / "LibriSpeech").rglob("*.flac"):
        speaker = tmp_path / f"librispeech-{path.name.partition('-')[0]}"
        speaker.mkdir(exist_ok=True)
        (speaker / path.name).symlink_to(path)
    assert torch.equal(LibriMix(tmp_path, "train-100", metadata=corpus / "metadata")[1][0], listed(corpus)[1][0])


def test_crops_follow_seed_epoch_and_index_and_fixed_ones_begin_with_the_mixture(corpus):
    crops, whole = listed(corpus, seconds=0.25), listed(corpus)
    first = crops[0][0]
    crops.set_epoch(1)
    assert not torch.equal(first, crops[0][0])
    fixed = listed(corpus, seconds=0.25, fixed=True, cache=True, size=2)
    fixed.set_epoch(3)
    assert len(fixed) == 2
    assert torch.equal(fixed[1][0], whole[1][0][:, :4000])
    padded = listed(corpus, seconds=5.0)[1][0]
    assert torch.equal(padded[:, : whole[1][0].shape[1]], whole[1][0])
    assert padded[:, whole[1][0].shape[1] :].abs().max() == 0


def test_dynamic_mixtures_go_on_beyond_the_list_with_noise(corpus):
    options = {"mixing": "dynamic", "seconds": 0.5, "kind": "mix_both", "noise": corpus / "wham", "size": 12}
    for rate in (16000, 8000):
        drawn = listed(corpus, rate=rate, noise_source=True, **options)
        items = list(drawn)
        drawn.set_epoch(1)
        assert not torch.equal(items[0][0], drawn[0][0])
        for mixture, sources, metadata in items:
            assert torch.equal(mixture, sources.sum(0))
            assert sources.shape == (3, 1, rate // 2)
            assert mixture.abs().max() <= PEAK + 1e-6
            assert len(metadata["speakers"]) == 3
    pairs = {metadata["speakers"][:2] for _, _, metadata in items}
    assert len(pairs) > 3
    assert listed(corpus, **options)[0][1].shape[0] == 2


def test_lists_that_went_through_a_spreadsheet_are_read(corpus, tmp_path):
    table = corpus / f"metadata/Libri2Mix/libri2mix_{PART}.csv"
    lines = table.read_text().splitlines()
    (tmp_path / "list.csv").write_bytes("\r\n".join(["\ufeff" + lines[0], *lines[1:], "", ""]).encode())
    assert read_metadata(tmp_path / "list.csv", 2) == read_metadata(table, 2)
