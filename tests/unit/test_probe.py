"""The linear probe finds a voice where there is one, and nothing where there is none."""

import numpy as np
import pytest
import soundfile
import torch

from slotaudio.data.speech import SpeechFolder
from slotaudio.errors import UserError
from slotaudio.evaluation import probe as probing
from slotaudio.evaluation.hearing import decibels, following, loudest
from slotaudio.evaluation.logistic import Logistic, fit
from slotaudio.evaluation.probe import probe
from slotaudio.representation import Embedding, embedder


@pytest.fixture(scope="module")
def speakers(tmp_path_factory):
    """Three "voices": noise of different colours, four utterances of 0.7 s each."""
    folder = tmp_path_factory.mktemp("speakers")
    rng = np.random.default_rng(0)
    for number, name in enumerate(("ann", "bob", "cy")):
        (folder / name).mkdir()
        for utterance in range(4):
            noise = rng.standard_normal(11200)
            colour = np.convolve(noise, [1.0, (-0.9, 0.0, 0.9)[number]])[:11200]
            colour[:3000] = 0.0
            soundfile.write(folder / name / f"{utterance}.wav", 0.05 * colour, 16000)
    return SpeechFolder(folder)


class Chance:
    """Vectors that say nothing of what is heard."""

    def __init__(self):
        self.rng = np.random.default_rng(0)

    def __call__(self, blocks, sample_rate):
        for number, block in enumerate(blocks):
            count = block.shape[1] // 160
            vectors = self.rng.standard_normal((count, 1, 4)).astype(np.float32)
            yield Embedding(number * 65536 / sample_rate + (np.arange(count) + 0.5) / 100, vectors, window=0.025)


def test_voices_are_found_in_what_holds_them_only(speakers):
    shares = []
    found = {
        (row.features, row.span): row
        for row in probe(
            speakers, {"mfcc": embedder("mfcc"), "chance": Chance()}, folds=2, progress=shares.append, window=0.25
        )
    }
    assert len(found) == 6
    for (features, span), row in found.items():
        assert (row.speakers, row.utterances) == (3, 12)
        assert row.examples == {"frame": row.examples, "window": 12 * 3, "utterance": 12}[span]
        assert 0 <= row.low <= row.accuracy <= row.high <= 1
        assert row.low < row.high
        assert row.chance == pytest.approx(1 / 3, abs=0.02)
        if features == "mfcc":
            assert row.accuracy > 0.7
        else:
            assert row.low < row.chance + 0.02
    assert 12 * 50 < found["mfcc", "frame"].examples < 12 * 56  # not the silence at the beginning
    assert shares == sorted(shares)
    assert shares[-1] == 1


def test_the_same_seed_gives_the_same_figures(speakers):
    def run(seed):
        return list(probe(speakers, {"mfcc": embedder("mfcc")}, ["utterance"], folds=2, utterances=3, seed=seed))

    assert run(1) == run(1)
    assert run(1)[0].utterances == 9


def test_options_and_folders_that_cannot_be(speakers, tmp_path):
    for wrong in ({"folds": 1}, {"window": 0.0}, {"utterances": 1}, {"spans": ["word"]}, {"spans": []}):
        with pytest.raises(UserError):
            next(probe(speakers, {"mfcc": embedder("mfcc")}, **wrong))
    for name in "ab":
        (tmp_path / name).mkdir()
        soundfile.write(tmp_path / name / "only.wav", np.zeros(1000), 16000)
    with pytest.raises(UserError, match="0 of 2 speakers have two utterances or more"):
        next(probe(SpeechFolder(tmp_path), {"mfcc": embedder("mfcc")}))
    for name in "ab":
        soundfile.write(tmp_path / name / "other.wav", np.zeros(1000), 16000)
    for mixed, message in ((False, "nobody is heard in 4 utterances"), (True, "no two voices are ever heard together")):
        with pytest.raises(UserError, match=message):
            next(probe(SpeechFolder(tmp_path), {"mfcc": embedder("mfcc")}, mixed=mixed))


def test_the_loudest_slot_is_taken_and_levels_are_those_around_a_time():
    vectors = np.arange(12, dtype=np.float32).reshape(3, 2, 2)
    level = np.array([[-20.0, -30.0], [-90.0, -20.0], [-5.0, -4.0]], np.float32)
    embedding = Embedding(np.array([0.1, 0.3, 0.5]), vectors, 0.1, level=level)
    np.testing.assert_array_equal(loudest(embedding), [[0, 1], [6, 7], [10, 11]])
    wave = torch.zeros(16000)
    wave[8000:] = 0.1
    found = decibels(wave, 16000, np.array([0.1, 0.495, 0.6, 0.999, 1.02]), 0.02)
    np.testing.assert_allclose(found, [-120, -26.02, -20, -20, -120], atol=0.01)


def test_the_slot_that_follows_a_voice_is_taken():
    prevalence = np.array([10.0, -8.0, 20.0, -15.0])
    level = np.stack([-40 - prevalence, -40 + prevalence, np.full(4, -70.0)], axis=1).astype(np.float32)
    vectors = np.arange(12, dtype=np.float32).reshape(4, 3, 1)
    embedding = Embedding(np.arange(4.0), vectors, 1.0, level=level)
    np.testing.assert_array_equal(following(embedding, prevalence)[:, 0], [1, 4, 7, 10])
    np.testing.assert_array_equal(following(embedding, -prevalence)[:, 0], [0, 3, 6, 9])


def test_with_another_voice_over_it_features_of_both_tell_less(speakers):
    def accuracy(mixed):
        (row,) = probe(speakers, {"mfcc": embedder("mfcc")}, ["frame"], folds=2, examples=2000, mixed=mixed)
        return row.accuracy

    assert 0.4 < accuracy(True) < accuracy(False) - 0.2


def test_regression_reaches_the_optimum():
    """Where the gradient of the penalised loss is zero, the loss of a convex function is least."""
    rng = np.random.default_rng(0)
    features, labels = rng.standard_normal((60, 3)), rng.integers(0, 3, 60)
    features[:, 0] += labels
    model = fit(features, labels, 3, penalty=0.01, iterations=1000)
    inputs = np.concatenate([(features - model.mean) / model.deviation, np.ones((60, 1))], axis=1)
    share = 1 / (3 * np.bincount(labels)[labels])
    error = np.exp(model.scores(features)) - np.eye(3)[labels]
    kept = model.weights * np.array([[1], [1], [1], [0]])
    np.testing.assert_allclose(inputs.T @ (share[:, None] * error) + 0.01 * kept, 0, atol=1e-3)
    np.testing.assert_allclose(np.exp(model.scores(features)).sum(axis=1), 1)


def noise(*shape, seed=0):
    return 0.1 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


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


def test_another_speaker_of_the_same_fold_talks_over():
    dealt = [(speaker, fold, f"{speaker}/{fold}") for speaker in range(3) for fold in range(2)] + [(0, 2, "0/2")]
    partners = probing._partners(dealt, np.random.default_rng(0))
    assert all(name.endswith(f"/{fold}") for (_, fold, _), name in zip(dealt[:-1], partners, strict=False))
    assert all(not name.startswith(f"{speaker}/") for (speaker, _, _), name in zip(dealt, partners, strict=True))


def test_who_talks_over_is_as_loud_and_the_slot_is_that_of_the_utterance(tmp_path):
    loud_then_soft = torch.cat([noise(1000), 0.1 * noise(1000, seed=1)])
    waves = {"a": loud_then_soft, "b": 0.3 * loud_then_soft.flip(0)}
    for name, wave in waves.items():
        (tmp_path / name).mkdir()
        soundfile.write(tmp_path / name / "0.wav", wave.numpy(), 1000, subtype="FLOAT")
    heard = []

    def two_slots(blocks, rate):
        heard.append(torch.cat(list(blocks), dim=1)[0])
        loud = np.arange(20) < 10
        level = np.where(np.stack([~loud, loud], axis=1), -20.0, -40.0).astype(np.float32)
        yield Embedding((np.arange(20) + 0.5) / 10, np.tile(np.float32([[[0], [1]]]), (20, 1, 1)), 0.1, level=level)

    folder = SpeechFolder(tmp_path, 1000)
    for slot, (name, other) in enumerate((("b", "a"), ("a", "b"))):
        (found,) = probing._hear(two_slots, folder, f"{name}/0.wav", f"{other}/0.wav", 0, 0)
        assert (found.vectors == slot).all()
        assert (heard[-1] - waves[name]).norm() == pytest.approx(float(waves[name].norm()), rel=1e-3)


def test_the_interval_is_of_95_percent():
    low, high = probing._interval(np.repeat([1.0, 0.0], 50), np.ones(100, int))
    assert (low, high) == pytest.approx((0.404, 0.596), abs=0.002)  # Wilson's of 50 in 100


def some_heard(number: int, speaker=lambda n: n % 2) -> list[probing._Heard]:
    rng = np.random.default_rng(0)
    return [
        probing._Heard(speaker(n), n % 3, rng.normal(size=(5, 2)).astype(np.float32), np.arange(5.0))
        for n in range(number)
    ]


def test_every_penalty_is_tried_the_best_is_taken_and_no_more_than_most_examples_are(monkeypatch):
    tried, sizes = [], set()

    def fitted(features, labels, speakers, penalty, start=None):
        """Name the first speaker if the penalty is the best one, else one whom nobody knows."""
        tried.append(penalty)
        sizes.add(len(features))
        weights = np.zeros((3, 3), np.float32)
        weights[-1, 0 if penalty == probing._PENALTIES[2] else 2] = 1
        return Logistic(np.zeros(2, np.float32), np.ones(2, np.float32), weights)

    monkeypatch.setattr(probing, "fit", fitted)
    found = probing._probe("x", "frame", some_heard(12), 3, 15, 0)
    assert tried == 3 * [*probing._PENALTIES, probing._PENALTIES[2]]
    assert sizes == {15}
    assert found.accuracy == 0.5


def test_chance_is_to_name_who_says_most():
    assert probing._probe("x", "frame", some_heard(12, lambda n: n // 9), 3, 1000, 0).chance == 0.75


def test_examples_are_mean_and_deviation_of_what_belongs_together():
    heard = probing._Heard(0, 0, np.float32([[1], [3], [7]]), np.array([0.1, 0.2, 0.3]))
    assert probing._pooled(heard, "utterance", 0.25).vectors[0].tolist() == pytest.approx([11 / 3, (56 / 9) ** 0.5])
    assert probing._pooled(heard, "window", 0.25).vectors.tolist() == [[2, 1], [7, 0]]
