"""`LibriMix`: what is missing, damaged or unfit is named, and left out when told."""

import numpy as np
import pytest
import soundfile
from small_librimix import KEYS, PART, generated, listed, write_list

from slotaudio.compose import build
from slotaudio.data.librimix import LibriMix, MissingUtterances, _check_choices
from slotaudio.errors import DataError, UserError


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
