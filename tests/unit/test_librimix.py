"""`LibriMix`: equal to the official generator, whose arithmetic is stated here once more; lists, gaps, rates, noise."""

import csv

import numpy as np
import pytest
import soundfile
import torch
from scipy.signal import resample_poly

from slotaudio.compose import build
from slotaudio.data.librimix import LibriMix, MissingUtterances, _check_choices
from slotaudio.data.librimix_arithmetic import pcm16
from slotaudio.data.librimix_metadata import read_metadata
from slotaudio.data.mixing import PEAK
from slotaudio.errors import DataError, UserError

KEYS = ["19-198-0001", "26-495-0007", "19-198-0002", "26-496-0000", "27-123-0000", "27-123-0001"]
PART = "train-clean-100"


def generated(out, librispeech, noises, table, rate, mode, sources=2):
    """Write what `create_librimix_from_metadata.py` writes: whole utterances, one operation after the other."""
    folder = out / f"wav{rate // 1000}k" / mode / "train-100"
    ids = []
    for row in csv.DictReader(table.read_text().splitlines()):
        waves, gains = [], []
        for n in range(1, sources + 1):
            waves.append(soundfile.read(librispeech / row[f"source_{n}_path"], dtype="float32")[0])
            gains.append(float(row[f"source_{n}_gain"]))
        longest = max(map(len, waves))
        noise, _ = soundfile.read(noises / row["noise_path"], dtype="float32", stop=longest)
        noise = noise[:, 0] if noise.ndim > 1 else noise
        window = np.hanning(16001)
        rise, fall = window[:8001], window[8000::-1]
        extended = noise
        while len(extended) < longest:
            middle = np.multiply(extended[len(extended) - 8001 :], fall) + np.multiply(noise[:8001], rise)
            extended = np.concatenate((extended[: len(extended) - 8001], middle, noise[8001:]))
        waves.append(extended[:longest])
        gains.append(float(row["noise_gain"]))
        waves = [resample_poly(wave * gain, rate, 16000) for wave, gain in zip(waves, gains, strict=True)]
        if mode == "min":
            waves = [wave[: min(map(len, waves))] for wave in waves]
        else:
            waves = [np.pad(wave, (0, max(map(len, waves)) - len(wave))) for wave in waves]
        both, single = np.zeros_like(waves[0]), np.zeros_like(waves[0])
        for wave in waves[:-1]:
            both += wave
        clean = both.copy()
        both += waves[-1]
        for wave in (waves[0], waves[-1]):
            single += wave
        named = {"mix_clean": clean, "mix_both": both, "mix_single": single, "noise": waves[-1]}
        named |= {f"s{n}": wave for n, wave in enumerate(waves[:-1], start=1)}
        for name, wave in named.items():
            (folder / name).mkdir(parents=True, exist_ok=True)
            soundfile.write(folder / name / f"{row['mixture_ID']}.wav", wave, rate)
        ids.append(row["mixture_ID"])
    (folder.parent / "metadata").mkdir(exist_ok=True)
    for kind in ("mix_clean", "mix_both", "mix_single"):
        listed = folder.parent / "metadata" / f"mixture_train-100_{kind}.csv"
        listed.write_text("mixture_ID,mixture_path\n" + "".join(f"{name},/elsewhere/{name}.wav\n" for name in ids))


def write_list(path, pairs, noises=("tr/long.wav", "tr/short.wav", "tr/long.wav")):
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        each = [f"source_{n}_{what}" for n in range(1, len(pairs[0]) + 1) for what in ("path", "gain")]
        writer.writerow(["mixture_ID", *each, "noise_path", "noise_gain"])
        for number, pair in enumerate(pairs):
            cells = []
            for place, key in enumerate(pair):
                speaker, chapter, _ = key.split("-")
                cells += [f"{PART}/{speaker}/{chapter}/{key}.flac", 0.40543237088249506 + 0.31 * place]
            writer.writerow(["_".join(pair), *cells, noises[number % len(noises)], 1.9167927521589363])
    return path


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """LibriSpeech with three speakers, WHAM's noise, a list of pairs and one of triples."""
    root = tmp_path_factory.mktemp("librimix")
    for n, key in enumerate(KEYS):
        speaker, chapter, _ = key.split("-")
        path = root / "LibriSpeech" / PART / speaker / chapter / f"{key}.flac"
        path.parent.mkdir(parents=True, exist_ok=True)
        rng = np.random.default_rng(n)
        soundfile.write(path, 0.15 * rng.normal(size=20000 + 1777 * n).clip(-3, 3), 16000)
    (root / "wham/tr").mkdir(parents=True)
    rng = np.random.default_rng(9)
    soundfile.write(root / "wham/tr/long.wav", 0.05 * rng.normal(size=(40000, 2)), 16000)
    soundfile.write(root / "wham/tr/short.wav", 0.05 * rng.normal(size=9000), 16000)
    (root / "metadata/Libri2Mix").mkdir(parents=True)
    (root / "metadata/Libri3Mix").mkdir()
    pairs = [(KEYS[0], KEYS[1]), (KEYS[4], KEYS[2]), (KEYS[3], KEYS[5])]
    write_list(root / f"metadata/Libri2Mix/libri2mix_{PART}.csv", pairs)
    write_list(root / f"metadata/Libri3Mix/libri3mix_{PART}.csv", [(KEYS[0], KEYS[1], KEYS[4])])
    return root


def listed(corpus, **options):
    return LibriMix(corpus, **{"subset": "train-100", "metadata": corpus / "metadata", **options})


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


def test_missing_utterances_are_named_counted_and_left_out_when_told(corpus, tmp_path):
    table = write_list(tmp_path / "list.csv", [(KEYS[0], KEYS[1]), (KEYS[0], "9-9-0001"), ("9-9-0002", "9-9-0001")])
    complaint = r"2 utterances \(9-9-0001, 9-9-0002\) are not in .*, so that 2 of the 3 mixtures .* cannot be made"
    with pytest.raises(DataError, match=complaint):
        listed(corpus, metadata=table)
    with pytest.warns(MissingUtterances, match=complaint):
        some = listed(corpus, metadata=table, missing="skip")
    assert [item[2]["id"] for item in some] == [f"{KEYS[0]}_{KEYS[1]}"]
    dynamic = {"metadata": table, "mixing": "dynamic", "seconds": 0.5, "size": 3}
    with pytest.raises(DataError, match=r"2 of the 4 utterances of .* \(9-9-0001, 9-9-0002\) are not in .*; missing ="):
        listed(corpus, **dynamic)
    with pytest.warns(MissingUtterances, match="2 of the 4 utterances"):
        assert len(list(listed(corpus, **dynamic, missing="skip"))) == 3
    nothing = write_list(tmp_path / "nothing.csv", [("9-9-0002", "9-9-0001")])
    with pytest.raises(DataError, match="nothing is left"):
        listed(corpus, **{**dynamic, "metadata": nothing}, missing="skip")
    gone = write_list(tmp_path / "noise.csv", [(KEYS[0], KEYS[1])], ["tr/gone.wav"])
    with pytest.raises(DataError, match=r"1 noises \(tr/gone.wav\) are not in"):
        listed(corpus, metadata=gone, kind="mix_both", noise=corpus / "wham")


def test_damaged_utterances_stop_or_are_replaced_and_counted(corpus, tmp_path):
    for path in (corpus / "LibriSpeech" / PART).rglob("*.flac"):
        (tmp_path / path.parent.parent.name).mkdir(exist_ok=True)
        (tmp_path / path.parent.parent.name / path.name).write_bytes(path.read_bytes())
    (tmp_path / "26" / f"{KEYS[1]}.flac").write_bytes(b"not audio")
    options = {"subset": "train-100", "metadata": corpus / "metadata"}
    with pytest.raises(DataError, match=KEYS[1]):
        LibriMix(tmp_path, **options)[0]
    tolerant = LibriMix(tmp_path, **options, on_error="skip")
    with pytest.warns(UserWarning, match="skipped"):
        assert tolerant[0][2]["id"] in {row.id for row in tolerant.mixtures.rows[1:]}
    assert tolerant.skipped >= 1


def test_damaged_noise_stops_or_is_replaced_and_counted(corpus, tmp_path):
    (tmp_path / "tr").mkdir()
    (tmp_path / "tr/good.wav").write_bytes((corpus / "wham/tr/long.wav").read_bytes())
    (tmp_path / "tr/bad.wav").write_bytes(b"not audio")
    options = {"mixing": "dynamic", "seconds": 0.5, "kind": "mix_both", "noise": tmp_path, "size": 12}
    with pytest.raises(DataError, match=r"bad\.wav"):
        list(listed(corpus, **options))
    tolerant = listed(corpus, **options, on_error="skip")
    with pytest.warns(UserWarning, match=r"skipped: .*bad\.wav"):
        assert len(list(tolerant)) == 12
    assert tolerant.skipped >= 1


def test_wrong_rates_are_refused(corpus, tmp_path):
    (tmp_path / "19").mkdir()
    for key in KEYS[:2]:
        soundfile.write(tmp_path / "19" / f"{key}.flac", np.zeros(100), 8000)
    table = write_list(tmp_path / "list.csv", [(KEYS[0], KEYS[1])])
    with pytest.raises(DataError, match="has 8000 samples per second, 16000 are needed"):
        LibriMix(tmp_path, metadata=table)
    folder = tmp_path / "wav16k/max/train-100"
    for part in ("mix_clean", "s1", "s2"):
        (folder / part).mkdir(parents=True)
        soundfile.write(folder / part / "a.wav", np.zeros(100), 8000)
    with pytest.raises(DataError, match=r"has 8000 samples per second; its folder says 16000"):
        LibriMix(tmp_path, "train-100")[0]


def test_incomplete_generated_folders_are_explained(corpus, tmp_path):
    table = corpus / f"metadata/Libri2Mix/libri2mix_{PART}.csv"
    generated(tmp_path / "Libri2Mix", corpus / "LibriSpeech", corpus / "wham", table, 16000, "min")
    folder = tmp_path / "Libri2Mix/wav16k/min/train-100"
    (folder / "s2" / f"{KEYS[0]}_{KEYS[1]}.wav").unlink()
    with pytest.raises(
        DataError, match=r"1 of 3 mixtures of .* lack a file in mix_clean, s1, s2: 19-198-0001_26-495-0007"
    ):
        LibriMix(tmp_path, "train-100", length="min")
    with pytest.warns(MissingUtterances):
        assert len(LibriMix(tmp_path, "train-100", length="min", missing="skip")) == 2
    for options, complaint in (
        ({"length": "max"}, "holds no max; generated were: min"),
        ({"length": "min", "rate": 8000}, "holds no wav8k; generated were: wav16k"),
        ({"length": "min", "subset": "dev"}, "holds no dev; generated were: train-100"),
    ):
        with pytest.raises(DataError, match=complaint):
            LibriMix(tmp_path, **{"subset": "train-100", **options})


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


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"sources": 4}, "of 2 and of 3"),
        ({"rate": 44100}, "8000 and 16000"),
        ({"seconds": 0.0}, "at least one sample"),
        ({"size": 0}, "size 1 or more"),
        ({"kind": "mix_both"}, "needs noise"),
        ({"kind": "mix_both", "noise": "nowhere"}, "no such folder of noise"),
        ({"mixing": "official"}, "holds no folder wav8k or wav16k"),
        ({"metadata": "nowhere"}, r"no libri2mix_train-clean-100.csv in nowhere"),
        ({"subset": "dev"}, r"no libri2mix_dev-clean.csv in .*; the lists there are libri2mix_train-clean-100.csv"),
        ({"subset": "dev", "metadata": None}, "holds no dev-clean for subset 'dev'; it holds train-clean-100"),
        ({"metadata": None, "mixing": "listed"}, "needs metadata"),
    ],
)
def test_unfit_options_are_explained(corpus, options, complaint):
    with pytest.raises(DataError, match=complaint):
        listed(corpus, **options)
    with pytest.raises(UserError, match="one of"):
        build("dataset", {"name": "librimix", "path": str(corpus), "subset": "train-other"})


def test_choices_are_explained_to_callers_from_python_too():
    with pytest.raises(DataError, match=r"subset = 'train-clean-100' is not one of 'train-360', 'train-100', 'dev'"):
        _check_choices(subset="train-clean-100")
    _check_choices(subset="dev", length="min", kind="mix_both", mixing="listed", missing="skip", on_error="raise")


def test_lists_that_went_through_a_spreadsheet_are_read(corpus, tmp_path):
    table = corpus / f"metadata/Libri2Mix/libri2mix_{PART}.csv"
    lines = table.read_text().splitlines()
    (tmp_path / "list.csv").write_bytes("\r\n".join(["\ufeff" + lines[0], *lines[1:], "", ""]).encode())
    assert read_metadata(tmp_path / "list.csv", 2) == read_metadata(table, 2)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("mixture_ID,source_1_path\n", "holds no mixture"),
        (
            "mixture_ID,source_1_path\na,b\n",
            "lacks the columns source_1_gain, source_2_path, source_2_gain; it has: mix",
        ),
        ("{two}\na,x.flac,0.5,y.flac,loud\n", r"line 2: source_2_gain is 'loud'"),
        ("{two}\na,x.flac,0.5,,0.5\n", r"line 2: source_2_path is empty"),
        ("{two},source_3_path\na,x.flac,0.5,y.flac,0.5,z.flac\n", "lists mixtures of 3 speakers, sources = 2"),
    ],
)
def test_unfit_lists_are_explained(corpus, tmp_path, text, complaint):
    two = "mixture_ID,source_1_path,source_1_gain,source_2_path,source_2_gain"
    (tmp_path / "list.csv").write_text(text.replace("{two}", two))
    with pytest.raises(DataError, match=complaint):
        listed(corpus, metadata=tmp_path / "list.csv")
