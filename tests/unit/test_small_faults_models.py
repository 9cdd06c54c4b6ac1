"""Objectives, stages, measures, data: each test fails with one small fault in the code that no other test noticed."""

from itertools import permutations

import numpy as np
import pytest
import soundfile
import torch

from slotaudio import Separator, Spec, build, compose
from slotaudio.bottlenecks.grid_code import GridCode
from slotaudio.collapse import collapse
from slotaudio.data.bundled import speech
from slotaudio.data.conversation import Conversation, Piece, Voice
from slotaudio.data.conversations import Conversations
from slotaudio.data.folder import FolderMixtures
from slotaudio.data.mixing import active_level
from slotaudio.data.speakers import split_speakers
from slotaudio.data.speech import SpeechFolder
from slotaudio.data.synthetic import SyntheticMixtures
from slotaudio.decoders.spatial_broadcast import SpatialBroadcast
from slotaudio.diarisation import TurnRule, _Levels, diarise, turns
from slotaudio.encoders.resnet import ResNet
from slotaudio.evaluation import probe as probing
from slotaudio.evaluation.data import items
from slotaudio.evaluation.hearing import following
from slotaudio.evaluation.results import evaluate
from slotaudio.evaluation.rows import informed_rows
from slotaudio.frontends.stft import STFT
from slotaudio.identity import identity
from slotaudio.matchers.exhaustive import _totals, assignments
from slotaudio.matchers.fixed import Fixed
from slotaudio.matchers.hungarian import Hungarian
from slotaudio.metrics import best_assignment
from slotaudio.objectives.costs import si_sdr
from slotaudio.objectives.local import Local
from slotaudio.objectives.mixit import MixIT
from slotaudio.objectives.remix import Remix
from slotaudio.objectives.spectral import multi_resolution
from slotaudio.objectives.supervised import _level, _spectral
from slotaudio.representation import Embedding
from slotaudio.rttm import Turn, write_rttm
from slotaudio.separation.oracle import oracle
from slotaudio.types import Batch, Estimates, Features

RATE = 16000


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


def test_a_perfect_estimate_is_finite_whatever_the_cap():
    waves = noise(200, 1, 1, 333)
    found = si_sdr(waves, waves, waves[:, 0], cap=90.0)
    assert found.isfinite().all()


def test_stretches_are_matched_by_themselves():
    sources = noise(1, 2, 1, 1000)
    estimates = torch.cat([sources[..., :500], sources.flip(1)[..., 500:]], dim=-1)
    batch = Batch(sources.sum(1), sources)
    short, whole = (Local(stretch)(Gives(estimates), batch)["loss"] for stretch in (0.1, 0.0))
    assert short == pytest.approx(-30, abs=0.1)
    assert whole > -5


def test_a_silent_source_is_scored_against_the_mixture():
    sources = torch.cat([noise(1, 1, 1, 1000), torch.zeros(1, 1, 1, 1000)], dim=1)
    estimates = torch.cat([sources[:, :1], 0.1 * sources[:, :1]], dim=1)
    loss = Local(0.0)(Gives(estimates), Batch(sources.sum(1), sources))["loss"]
    assert float(loss) == pytest.approx((-30 + 10 * np.log10(0.01 + 1e-3)) / 2, abs=1e-3)


def test_a_silent_side_is_measured_against_the_other_one():
    found = MixIT(4)._ratio(torch.tensor([[0.0, 0.1]]), torch.tensor([[1.0, 0.0]]))
    torch.testing.assert_close(found[0], 10 * torch.tensor([1e-3, 0.101]).log10())


def tiny(slots=2, decoder=None):
    torch.manual_seed(0)
    model = compose(
        Spec("stft", sample_rate=2000, window=64, hop=16, framing="centred"),
        Spec("resnet", depth=10, width=2),
        Spec("transformer", slot_dim=8, layers=1, heads=1, qkv_dim=4, mlp_dim=8),
        Spec("spatial_broadcast", hidden=8, layers=1, output="softplus"),
        slots=slots,
        window=0.128,
    )
    model.decoder = decoder or model.decoder
    return model


class Shares(torch.nn.Module):
    """Gives each slot a share of the mixture."""

    def forward(self, vectors, features, spectrum):
        shares = torch.tensor([0.1, 0.6, 0.3])[:, None, None, None].to(spectrum.values)
        return Estimates(masks=shares.expand(len(vectors), 3, *spectrum.values.shape[1:]))


def test_the_teacher_stays_as_it_separates_best():
    assert not Remix(tiny()).train().teacher.training


def test_the_loudest_outputs_of_the_teacher_are_kept():
    mixture = noise(2, 1, 1500)
    kept = Remix(tiny(3, Shares()), sources=2, ema=1.0)._separate(mixture)
    torch.testing.assert_close(kept, torch.stack([0.6 * mixture, 0.3 * mixture], dim=1), rtol=0, atol=1e-3)


def test_thirty_decibels_are_enough_to_learn_from():
    sources = noise(1, 1, 1, 100)
    found = _level(1e-6 * sources, torch.zeros(1, 1, dtype=torch.int64), sources)
    assert float(found) == pytest.approx((20 * np.log10(0.03)) ** 2, rel=1e-4)


def test_only_what_is_heard_has_a_spectrum():
    sources = torch.cat([noise(1, 1, 1, 4000), torch.zeros(1, 1, 1, 4000)], dim=1)
    estimates = noise(1, 2, 1, 4000, seed=1)
    found = _spectral(estimates, torch.tensor([[0, 1]]), sources, sources.sum(1))
    torch.testing.assert_close(found, multi_resolution(estimates, sources)[0, 0])


def test_totals_on_an_accelerator_are_the_sums():
    cost, table = noise(5, 4, 3), assignments(4, 3, torch.device("cpu"))
    expected = [
        [sum(float(row[slot, s]) for s, slot in enumerate(way)) for way in permutations(range(4), 3)] for row in cost
    ]
    torch.testing.assert_close(_totals(cost, table), torch.tensor(expected))


def test_a_lone_axis_is_time():
    code, time = GridCode(8), noise(5, 1)
    torch.testing.assert_close(code(time), code(torch.cat([torch.zeros(5, 1), time], dim=1)))


def test_nothing_is_dropped_in_training():
    made = build(
        "bottleneck", Spec("carry_over", bottleneck=Spec("slot_attention", slot_dim=8), heads=2), in_dim=4, slots=2
    ).train()
    features = Features(noise(1, 3, 6, 4), noise(6, 2))
    first, second = (made(features, made.initial_slots(1)).vectors for _ in range(2))
    assert torch.equal(first, second)


def test_sigma_scales_the_random_directions():
    one, four = (SpatialBroadcast(8, hidden=4, layers=1, code="gaussian", sigma=sigma) for sigma in (1.0, 4.0))
    torch.testing.assert_close(four.projection, 4 * one.projection)


def test_no_more_places_at_once_than_told(monkeypatch):
    made, sizes = SpatialBroadcast(8, hidden=4, layers=1, waves=(2, 2), places_at_once=7), []
    network = made._network
    monkeypatch.setattr(made, "_network", lambda rows, places: sizes.append(len(places)) or network(rows, places))
    made.evaluate(noise(1, 1, 4), noise(50, 8))
    assert max(sizes) == 7
    assert sum(sizes) >= 50


def test_convolutions_begin_as_the_paper_says():
    torch.manual_seed(0)
    kernel = ResNet(1, depth=18, width=32).stages[3][0].main[0].weight.detach()  # 128 to 256
    assert float(kernel.std()) == pytest.approx((2 / (9 * kernel.shape[0])) ** 0.5, rel=0.03)


def test_thirty_four_layers_are_those_of_the_paper():
    assert [len(stage) for stage in ResNet(1, depth=34, width=4).stages] == [3, 4, 6, 3]


def test_complex_features_are_real_imaginary_and_magnitude():
    stft = STFT(window=64, hop=16, framing="centred", features="complex")
    spectrum = stft(noise(1, 1, 500))
    real, imaginary, magnitude = stft.features(spectrum)[0]
    torch.testing.assert_close(
        torch.complex(real, imaginary).angle().cos(), spectrum.values[0, 0].angle().cos(), rtol=0, atol=1e-3
    )
    torch.testing.assert_close(torch.hypot(real, imaginary), magnitude, rtol=0, atol=1e-4)


def test_the_matcher_that_is_given_decides():
    sources = noise(1, 2, 1, 400)
    assert best_assignment(sources.flip(1), sources, sources.sum(1)).tolist() == [[1, 0]]
    assert best_assignment(sources.flip(1), sources, sources.sum(1), Fixed()).tolist() == [[0, 1]]


def truth(windows, sources=2, silent=()):
    wave = noise(sources, windows * 500)
    for source, first, last in silent:
        wave[source, first * 500 : last * 500] = 0
    return wave


@pytest.mark.parametrize(("windows", "returns"), [(9, 0), (10, 1)])
def test_five_seconds_of_silence_make_a_return(windows, returns):
    wave = truth(30, silent=[(1, 10, 10 + windows)])
    assert identity(wave, wave, 1000).returns == returns


def test_who_is_not_heard_cannot_be_joined_wrongly():
    wave = truth(60, silent=[(1, 50, 60)])
    slots = torch.zeros(3, 30000)
    slots[1, :20000], slots[0, 20000:], slots[2] = wave[0, :20000], wave[0, 20000:], wave[1]
    assert identity(slots, wave, 1000).right_joins == pytest.approx(58 / 59)


@pytest.mark.parametrize(("leak", "right"), [(0.18, 0.5), (0.05, 1.0)])
def test_clearly_heard_is_within_twenty_decibels(leak, right):
    wave = truth(20, silent=[(1, 10, 20)])
    assert identity(torch.stack([wave[0], wave[1] + leak * wave[0]]), wave, 1000).right_counts == right


def test_where_slots_are_equally_good_the_assigned_ones_are_right():
    wave = truth(20)
    slots = wave.flip(0).clone()
    slots[:, 2500:5000] = 0
    assert identity(slots, wave, 1000).right_windows == 1.0


def test_what_is_twenty_five_decibels_down_is_heard():
    wave = truth(20)
    wave[:, 5000:] *= 10 ** (-25 / 20)
    slots = torch.cat([wave[:, :5000], wave.flip(0)[:, 5000:]], dim=1)
    assert identity(slots, wave, 1000).right_windows == pytest.approx(0.5)


def every_tenth(blocks, rate):
    count = sum(block.shape[1] for block in blocks) // 100
    yield Embedding((np.arange(count) + 0.5) / 10, np.zeros((count, 1, 2), np.float32), window=0.1)


def test_only_steps_in_which_both_are_heard_count(tmp_path):
    for name, silent in (("a", 0), ("b", 1000)):
        voice = noise(2000).numpy()
        voice[:silent] = 0
        (tmp_path / name).mkdir()
        soundfile.write(tmp_path / name / "0.wav", voice, 1000)
    (heard,) = probing._hear(every_tenth, SpeechFolder(tmp_path, 1000), "a/0.wav", "b/0.wav", 0, 0)
    assert heard.times.min() > 0.9


def test_the_interval_is_of_95_percent():
    low, high = probing._interval(np.repeat([1.0, 0.0], 50), np.ones(100, int))
    assert (low, high) == pytest.approx((0.404, 0.596), abs=0.002)  # Wilson's of 50 in 100


def test_every_penalty_is_tried(monkeypatch):
    tried, fit = set(), probing.fit
    monkeypatch.setattr(
        probing, "fit", lambda x, y, n, penalty, *rest: tried.add(penalty) or fit(x, y, n, penalty, *rest)
    )
    rng = np.random.default_rng(0)
    heard = [
        probing._Heard(n % 2, n % 3, rng.normal(size=(5, 2)).astype(np.float32), np.arange(5.0)) for n in range(12)
    ]
    probing._probe("x", "frame", heard, 3, 1000, 0)
    assert tried == set(probing._PENALTIES)


def test_rows_by_reference_are_the_papers_and_orders_are_seeded():
    (row,) = informed_rows(Spec("stft"), 0.5, ["ibm"], ["reference"], seed=7)
    separator = row.separator(noise(1, 2, 1, RATE))
    assert not separator.consistent
    assert separator.model.bottleneck.shuffle.initial_seed() == 7


def test_a_slot_follows_by_being_louder_than_the_others():
    level = np.array([[-20.0, -40.0], [-20.0, -40.0], [-60.0, -120.0]], np.float32)
    vectors = np.arange(6, dtype=np.float32).reshape(3, 2, 1)
    embedding = Embedding(np.arange(3.0), vectors, 1.0, level=level)
    np.testing.assert_array_equal(following(embedding, np.array([10.0, 10.0, -10.0]))[:, 0], [0, 2, 4])


def test_the_sign_does_not_matter():
    sources = noise(1, 2, 1, 400) * torch.tensor([1.0, 0.5])[:, None, None]
    assert collapse(torch.stack([sources[:, 0], -sources[:, 0]], dim=1), sources).collapsed == 1


def test_the_right_number_is_that_of_those_who_are_heard():
    dataset = SyntheticMixtures(seconds=1.0, size=6, silence=0.7, kinds=["talker"])
    results = list(evaluate(informed_rows(Spec("stft"), 0.5, ["wiener"]), items(dataset, None), RATE, ("si_sdr",)))
    alone = [result.values["right_number"] for result in results if result.labels["active"] == 1]
    assert alone
    assert set(alone) == {1.0}


def test_turns_are_written_in_order_of_time(tmp_path):
    write_rttm(tmp_path / "a.rttm", [Turn(5.0, 1.0, "b"), Turn(0.0, 1.0, "a")])
    assert [line.split()[3] for line in (tmp_path / "a.rttm").read_text().splitlines()] == ["0.000", "5.000"]


def test_the_last_frame_may_be_a_part():
    levels = _Levels(1000)
    levels.push(torch.ones(1, 1, 50))  # frames of 20
    np.testing.assert_allclose(levels.finish(), np.ones((3, 1)))


def presence_model():
    torch.manual_seed(0)
    return compose(
        Spec("stft", framing="centred"),
        Spec("resnet", depth=10, width=2),
        Spec("slot_attention", slot_dim=8, presence=True),
        Spec("spatial_broadcast", hidden=8, layers=1, patch=(8, 8), output="softplus"),
    )


def test_turns_begin_halfway_between_steps(monkeypatch):
    from slotaudio import diarisation

    def active(probability, rule):
        found = np.zeros(probability.shape, bool)
        found[4:] = True
        return found

    monkeypatch.setattr(diarisation, "by_presence", active)
    found = diarise(Separator(presence_model()), noise(1, 40000))
    assert {turn.start for turn in found} == {0.875}  # steps lie at 0.75 and 1.0


def test_a_speaker_has_the_name_of_its_output():
    voice = FolderMixtures(speech("dev"), seconds=4.0, sources=1, size=1, seed=2, fixed=True)[0][1][0]
    separator = Separator(
        oracle(torch.stack([0 * voice, voice])[None], Spec("stft", framing="centred")), sources="unknown"
    )
    separator.model.decoder.rewind(separator.framing)
    assert {turn.speaker for turn in diarise(separator, voice)} == {"slot2"}


def test_turns_are_rounded_to_the_millisecond():
    found = turns(np.array([[1]], bool), np.array([0.1234, 1.2346]), ["a"], TurnRule())
    assert found == [Turn(0.123, 1.111, "a")]


def test_what_is_forty_five_decibels_down_is_a_pause():
    wave = np.concatenate([np.full(8000, 0.1), np.full(8000, 0.1 * 10 ** (-45 / 20))])
    assert active_level(wave, RATE) == pytest.approx(-20, abs=0.1)


def test_the_hash_of_a_name_decides_the_split():
    speakers = [f"{number:03}" for number in range(40)]
    chosen = split_speakers(speakers, "validation", 0.1, 2)
    assert chosen == ["010", "015", "037", "039"]


def test_short_utterances_lie_anywhere():
    mixtures = FolderMixtures(speech("dev"), seconds=60.0, size=8, fixed=True)
    assert len({take.offset for index in range(8) for take in mixtures.plan(index).takes}) > 8


def talk(noise_=None, **options):
    folder = Conversations(speech("dev"), seconds=4.0, size=1).folder
    names = list(folder.speakers)[:2]
    turns_ = [Turn(0.0, 4.0, name) for name in names]
    return Conversation(
        np.random.default_rng(0), folder, [Voice(name, **options) for name in names], turns_, 4.0, noise_
    )


def test_two_at_once_do_not_pass_the_peak():
    made = talk(loudness=20.0)
    assert made.mixture(made.sources()).abs().max() <= 0.9


def test_every_piece_fades_in_and_out(monkeypatch):
    made = talk(loudness=-20.0)
    monkeypatch.setattr(made.folder, "read", lambda *_: np.ones(1000, np.float32))
    wave = made._faded(Piece("a", 0, 1000))
    assert wave[0] == wave[-1] == 0
    assert np.abs(np.diff(wave)).max() < 0.02


def test_noise_goes_back_and_forth_without_a_click():
    made = talk(np.linspace(0, 1, 1000, dtype=np.float32), loudness=-20.0)
    around = made.mixture(torch.zeros(2, 1, 5000))[0]
    assert around.diff().abs().max() < 0.01


def test_noise_is_five_decibels_softer_than_speech():
    from slotaudio.data.librimix_dynamic import NOISE_LOUDNESS

    assert NOISE_LOUDNESS == (-38.0, -30.0)
