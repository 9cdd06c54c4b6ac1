"""Rows of an evaluation: oracle, autoencoder, model; their means; what is written."""

import csv
import math

import pytest
import torch
from torch import nn

from slotaudio import Spec, build, compose
from slotaudio.data import bundled
from slotaudio.data.folder import FolderMixtures
from slotaudio.data.synthetic import SyntheticMixtures
from slotaudio.errors import DataError, UserError
from slotaudio.evaluation.data import evaluation_data, items
from slotaudio.evaluation.labels import LABELS, mixture_labels
from slotaudio.evaluation.results import Result, evaluate, summarise, write_results, write_summary
from slotaudio.evaluation.rows import informed_rows, model_rows
from slotaudio.evaluation.table import BY, results_table
from slotaudio.model import SlotModel
from slotaudio.types import Estimates, Features, Slots

STFT = Spec("stft")


@pytest.fixture(scope="module")
def speech():
    return FolderMixtures(bundled.speech("dev"), seconds=2.0, size=2, fixed=True)


def means(rows, dataset, metric="si_snr_i"):
    results = list(evaluate(rows, items(dataset, None), dataset.sample_rate, (metric.removesuffix("_i"),)))
    return {key: value[metric].mean for key, value in summarise(results, BY).items()}


def small_model(**options):
    return compose(
        encoder=Spec("resnet", depth=18, width=4),
        bottleneck=Spec("transformer", slot_dim=8, layers=1, heads=2),
        decoder=Spec("spatial_broadcast", hidden=8, layers=1),
        **options,
    ).eval()


def test_oracle_masks_separate_real_speech(speech):
    rows = informed_rows(STFT, 0.5, ["ibm", "irm", "wiener"], ["blind", "reference"])
    rows += informed_rows(STFT, 1.0, ["wiener"], ["reference"])
    found = means(rows, speech)
    assert len(found) == 7
    assert all(value > 9 for value in found.values())
    # end-padded frames fade at the ends of each window: longer windows and overlapping ones lose less
    assert found["oracle", "wiener", 1.0, "reference"] > found["oracle", "wiener", 0.5, "reference"] + 0.2
    assert found["oracle", "wiener", 0.5, "blind"] > found["oracle", "wiener", 0.5, "reference"] + 1
    assert found["oracle", "wiener", 0.5, "blind"] > found["oracle", "irm", 0.5, "blind"]


def test_without_its_order_the_oracle_is_worthless(speech):
    rows = informed_rows(STFT, 0.5, ["wiener"], ["given"])
    assert means(rows, speech)["oracle", "wiener", 0.5, "given"] < 5


class PassThrough(nn.Module):
    """Every stage of a perfect autoencoder."""

    out_dim = slot_dim = 1

    def __init__(self, stage, frontend=None):
        super().__init__()
        self.stage, self.frontend = stage, frontend

    def initial_slots(self, batch, generator=None):
        return torch.zeros(batch, 1, 1)

    def forward(self, *inputs):
        if self.stage == "encoder":
            return Features(torch.zeros(len(inputs[0]), 1, 1, 1), torch.zeros(1, 1))
        if self.stage == "bottleneck":
            return Slots(torch.zeros(*inputs[0].tokens.shape[:2], 1, 1))
        return Estimates(magnitudes=self.frontend.compress(inputs[2].values)[:, None])


def test_rows_of_a_perfect_autoencoder_are_the_oracles(speech):
    frontend = build("frontend", STFT)
    stages = [PassThrough(stage, frontend) for stage in ("encoder", "bottleneck", "decoder")]
    perfect = SlotModel(frontend, *stages, specs={}, slots=1, window=0.5)
    arguments = (STFT, 0.5, ["ibm", "wiener"], ["blind", "reference"])
    oracle, autoencoder = means(informed_rows(*arguments), speech), means(informed_rows(*arguments, perfect), speech)
    assert {key[0] for key in autoencoder} == {"autoencoder"}
    assert list(autoencoder.values()) == pytest.approx(list(oracle.values()), abs=1e-3)


def test_unfit_autoencoders_are_refused():
    with pytest.raises(UserError, match=r"a model of one slot .* this one has 2 slots"):
        informed_rows(STFT, 0.5, ["ibm"], autoencoder=small_model())


def test_rows_of_a_model(speech):
    model = small_model(slots=3)
    found = means(model_rows(model, ["ibm", "wiener"], ["blind", "reference"]), speech)
    assert set(found) == {("model", m, 0.5, j) for m in ("ibm", "wiener") for j in ("blind", "reference")}
    assert all(-30 < value < 10 for value in found.values())
    assert [row.mask for row in model_rows(model)] == ["own"]


def test_unknown_masks_and_joinings():
    with pytest.raises(UserError, match="mask 'hard' is not known; choose one of ibm, irm, wiener"):
        informed_rows(STFT, 0.5, ["hard"])
    with pytest.raises(UserError, match="mask 'hard' is not known"):
        model_rows(small_model(), ["hard"])


def test_labels_tell_pairs_apart(speech):
    (result,) = evaluate(informed_rows(STFT, 0.5, ["ibm"]), items(speech, 1), 16000)
    labels = result.labels
    _, sources, metadata = speech[0]
    assert labels["mixture"] == metadata["id"]
    assert labels["pair"] == ("same" if len(set(metadata["genders"])) == 1 else "different")
    assert labels["active"] == len(sources)
    assert set(LABELS) <= set(labels)
    assert 0 <= labels["level_difference"] < 9
    least, most = (float(number) for number in labels["level"].removesuffix(" dB").split(" to "))
    assert least <= labels["level_difference"] <= most == least + 3
    assert labels["overlap"] in ("0 to 25 %", "25 to 50 %", "50 to 75 %", "75 to 100 %")
    assert 0 < result.values["real_time_factor"] < 10


@pytest.mark.parametrize(
    ("genders", "told", "pair"),
    [("mf", "fm", "different"), ("fm", "fm", "different"), ("mm", "mm", "same"), (("m", ""), "m", ""), ((), "", "")],
)
def test_pairs_are_told_apart_whoever_comes_first_and_where_both_are_known(genders, told, pair):
    voices = noise(2, 1, 16000)
    labels = mixture_labels(voices.sum(0), voices, {"speakers": ("a", "b"), "genders": genders}, 16000)
    assert (labels["speakers"], labels["genders"], labels["pair"]) == ("a b", told, pair)
    assert mixture_labels(voices.sum(0), voices, {"speakers": ("", "b")}, 16000)["speakers"] == "b"
    third = {"speakers": ("a", "b", "c"), "genders": ("m", "m", "")}
    assert mixture_labels(voices.sum(0), voices, third, 16000)["pair"] == ""
    assert labels["level_difference"] == mixture_labels(voices.sum(0), voices.flip(0), {}, 16000)["level_difference"]


def test_overlap_is_told_from_turns():
    voice = torch.randn(1, 16000, generator=torch.Generator().manual_seed(0))
    first, second = voice.clone(), voice.clone()
    first[:, 8000:], second[:, :8000] = 0, 0
    for sources, share, overlap in (
        ([voice, voice], 1.0, "75 to 100 %"),
        ([first, second], 0.0, "0 to 25 %"),
        ([voice, second], 0.5, "50 to 75 %"),
    ):
        labels = mixture_labels(voice, torch.stack(sources), {}, 16000)
        assert (labels["overlap_share"], labels["overlap"]) == (share, overlap)
    assert mixture_labels(voice, torch.stack([voice, 0 * voice]), {}, 16000)["overlap"] == ""


def test_ranges_are_in_order_and_all_else_as_it_came():
    came = [("b", "6 to 9 dB"), ("a", "12 to 15 dB"), ("b", ""), ("a", "3 to 6 dB"), ("b", "0 to 3 dB")]
    results = [Result({"system": system, "level": level}, {"si_sdr": 1.0}) for system, level in came]
    assert list(summarise(results, ["system", "level"])) == [
        ("b", "0 to 3 dB"),
        ("b", "6 to 9 dB"),
        ("b", ""),
        ("a", "3 to 6 dB"),
        ("a", "12 to 15 dB"),
    ]


def test_silent_sources_are_kept_out_of_the_means():
    dataset = SyntheticMixtures(seconds=0.6, size=6, silence=0.5, kinds=["talker"])
    results = list(evaluate(informed_rows(STFT, 0.5, ["wiener"]), items(dataset, None), 16000, ("si_sdr",)))
    assert {result.labels["active"] for result in results} == {1, 2}
    for result in results:
        alone = result.labels["active"] == 1
        assert math.isnan(result.values["si_sdr_i"]) == alone
        assert math.isnan(result.values["residual"]) == (not alone)
    mean = summarise(results, BY)["oracle", "wiener", 0.5, "blind"]
    assert mean["si_sdr_i"].count + mean["residual"].count == 6


def test_tables_have_what_was_measured_of_all_mixtures():
    labels = {"system": "a", "mask": "own", "window": 0.5, "joining": "blind"}
    values = [(9.0, math.nan, 1.0), (11.0, math.nan, 1.0), (math.nan, -30.0, 0.0)]  # the third has one source
    names = ("si_sdr_i", "residual", "right_number", "surplus")
    results = [Result(labels, dict(zip(names, (*each, math.nan), strict=True))) for each in values]
    shown = {column.header: list(column.cells) for column in results_table(results).columns}
    assert list(shown) == ["", "SI-SDRi", "silent source", "right number", "mixtures"]
    assert [cell for (cell,) in shown.values()] == ["a own 0.5 s blind", "10.00 ±12.71", "-30.00", "67%", "3"]


def test_files_hold_every_score_and_the_means(tmp_path):
    results = [
        Result({"system": system, "mixture": str(n)}, {"si_sdr": float(n + offset), "residual": math.nan})
        for system, offset in (("a", 0), ("b", 10))
        for n in range(3)
    ]
    write_results(tmp_path / "scores.csv", results)
    write_summary(tmp_path / "summary.csv", results, ["system"])
    scores = list(csv.DictReader((tmp_path / "scores.csv").read_text().splitlines()))
    assert [(row["system"], row["mixture"], row["si_sdr"]) for row in scores][4] == ("b", "1", "11.0")
    assert {row["residual"] for row in scores} == {""}
    summary = list(csv.DictReader((tmp_path / "summary.csv").read_text().splitlines()))
    assert [(row["system"], row["si_sdr"], row["si_sdr_n"]) for row in summary] == [
        ("a", "1.0", "3"),
        ("b", "11.0", "3"),
    ]
    with pytest.raises(DataError, match="cannot write"):
        write_results(tmp_path / "missing" / "scores.csv", results)


def test_data_by_folder_by_name_and_bundled():
    offered = {"seconds": 0.5, "sources": 2, "size": 2, "seed": 3, "rate": 16000, "mixtures": None}
    folder = evaluation_data(str(bundled.speech("train")), {"length": "min"}, **offered)
    assert folder.drawing.length == "min"
    assert len(list(items(folder, None))) == 2
    assert len(list(items(folder, 1))) == 1
    assert set(evaluation_data("bundled", {}, **offered).folder.speakers) == {
        p.name for p in bundled.speech().iterdir()
    }
    assert len(evaluation_data("synthetic", {}, **offered)) == 2
    with pytest.raises(DataError, match=r"'nowhere' does not exist: give a folder .* \(.*folder.*\)"):
        evaluation_data("nowhere", {}, **offered)


def noise(*shape, seed=0):
    return 0.1 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_rows_by_reference_are_the_papers_and_orders_are_seeded():
    (row,) = informed_rows(Spec("stft"), 0.5, ["ibm"], ["reference"], seed=7)
    separator = row.separator(noise(1, 2, 1, 16000))
    assert not separator.consistent
    assert separator.model.bottleneck.shuffle.initial_seed() == 7


def test_the_right_number_is_that_of_those_who_are_heard():
    dataset = SyntheticMixtures(seconds=1.0, size=6, silence=0.7, kinds=["talker"])
    results = list(evaluate(informed_rows(Spec("stft"), 0.5, ["wiener"]), items(dataset, None), 16000, ("si_sdr",)))
    alone = [result.values["right_number"] for result in results if result.labels["active"] == 1]
    assert alone
    assert set(alone) == {1.0}
