"""Metrics against torchmetrics, against their own definitions, and on silence."""

import sys

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchmetrics.functional import audio

from slotaudio import metrics, quality
from slotaudio.data import bundled
from slotaudio.data.folder import FolderMixtures
from slotaudio.errors import UserError
from slotaudio.matchers.exhaustive import Exhaustive
from slotaudio.matchers.fixed import Fixed
from slotaudio.metrics import best_assignment
from slotaudio.resampling import resample

SEEDS = st.integers(0, 2**31)


def waves(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@given(seed=SEEDS, noise=st.floats(0.01, 2))
def test_agree_with_torchmetrics(seed, noise):
    reference = waves(seed, 3, 800).double() + 0.3
    estimate = 0.7 * reference + noise * waves(seed + 1, 3, 800)
    pairs = [
        (metrics.si_sdr, audio.scale_invariant_signal_distortion_ratio),
        (metrics.si_snr, audio.scale_invariant_signal_noise_ratio),
        (metrics.sdr, audio.signal_noise_ratio),
    ]
    for ours, theirs in pairs:
        torch.testing.assert_close(ours(estimate, reference), theirs(estimate, reference), atol=1e-3, rtol=1e-4)


def test_bss_sdr_forgives_a_short_filter():
    reference = waves(0, 1, 4000)
    filtered = torch.nn.functional.conv1d(reference[None], torch.tensor([[[0.3, -0.5, 1.0]]]), padding=2)[0, :, :4000]
    assert metrics.bss_sdr(filtered, reference) > 30
    assert metrics.sdr(filtered, reference) < 5
    assert metrics.bss_sdr(filtered, torch.zeros_like(reference)).isnan().all()


@pytest.mark.parametrize("name", ["stoi", "estoi", "pesq"])
@pytest.mark.parametrize("rate", [16000, 8000])
def test_measures_of_speech_are_the_packages_of_every_source_and_its_slot(name, rate):
    pystoi, pesq = pytest.importorskip("pystoi"), pytest.importorskip("pesq")
    item = FolderMixtures(bundled.speech("dev"), seconds=3.0, rate=16000, size=1)[0]
    sources, mixture = (resample(wave, 16000, rate)[None] for wave in (item[1], item[0]))
    estimates = sources + 0.3 * sources.flip(1)  # the other voice, half gone
    found = metrics.score(estimates.flip(1), sources, mixture, metrics=(name,), rate=rate)
    for n in range(2):
        heard, wanted = (wave[0, n, 0].double().numpy() for wave in (estimates, sources))
        if name == "pesq":
            right = pesq.pesq(rate, wanted, heard, "wb" if rate == 16000 else "nb")
        else:
            right = pystoi.stoi(wanted, heard, rate, name == "estoi")
        assert found.values[name][0, n].item() == pytest.approx(right, abs=1e-3)
    assert (found.values[f"{name}_i"] > 0).all()


def test_measures_of_speech_have_no_value_where_there_is_none():
    for package in ("pystoi", "pesq"):
        pytest.importorskip(package)
    reference = FolderMixtures(bundled.speech("dev"), seconds=2.0, size=1)[0][1][0]
    for measure in quality.MEASURES.values():
        assert measure(reference, torch.zeros_like(reference), 16000).isnan().all()
        assert measure(reference[:, :1000], reference[:, :1000], 16000).isnan().all()
        assert measure(torch.zeros_like(reference), reference, 16000) <= min(1, measure(reference, reference, 16000))
        assert measure(reference, reference, 16000) == pytest.approx(
            measure(0.1 * reference, reference, 16000), rel=1e-2
        )


def test_measures_that_cannot_be_are_refused(monkeypatch):
    wave = waves(0, 1, 1, 1, 100)
    for name, options, complaint in (
        ("loudness", {}, "'loudness' is not known; choose from si_sdr, .*pesq"),
        ("stoi", {}, "'stoi' needs the sample rate"),
        ("stoi", {"rate": 16000}, r"needs the package pystoi, .*slotaudio\[quality\]"),
        ("pesq", {"rate": 16000}, r"needs the package pesq, .*slotaudio\[quality\]"),
    ):
        monkeypatch.setitem(sys.modules, "pystoi", None)
        monkeypatch.setitem(sys.modules, "pesq", None)
        with pytest.raises(UserError, match=complaint):
            metrics.score(wave, wave, wave[:, 0], metrics=(name,), **options)


@given(seed=SEEDS, scale=st.floats(0.01, 100))
def test_scale_invariance(seed, scale):
    reference, estimate = waves(seed, 500), waves(seed + 1, 500)
    torch.testing.assert_close(
        metrics.si_sdr(scale * estimate, reference), metrics.si_sdr(estimate, reference), atol=1e-4, rtol=1e-4
    )
    torch.testing.assert_close(
        metrics.si_snr(estimate + scale, reference), metrics.si_snr(estimate, reference), atol=1e-3, rtol=1e-3
    )


def test_extremes_stay_finite():
    reference = waves(0, 1000)
    assert metrics.si_sdr(reference, reference) == metrics.HIGHEST
    assert metrics.si_sdr(torch.zeros(1000), reference) == metrics.LOWEST
    assert metrics.sdr(torch.zeros(1000), reference) == 0
    for metric in (metrics.si_sdr, metrics.si_snr, metrics.sdr):
        assert metric(reference, torch.zeros(1000)).isnan()


@given(seed=SEEDS, sources=st.integers(1, 4), surplus=st.integers(0, 2))
def test_assignment_undoes_a_shuffle(seed, sources, surplus):
    generator = torch.Generator().manual_seed(seed)
    references = waves(seed, 2, sources, 1, 400)
    extra = 0.01 * waves(seed + 1, 2, surplus, 1, 400)
    order = torch.randperm(sources + surplus, generator=generator)
    estimates = torch.cat([references + 0.1 * waves(seed + 2, 2, sources, 1, 400), extra], dim=1)[:, order]
    mixture = references.sum(1)
    for matcher in (None, Exhaustive()):
        found = metrics.best_assignment(estimates, references, mixture, matcher)
        assert torch.equal(order[found], torch.arange(sources).expand(2, -1))
    score = metrics.score(estimates, references, mixture)
    assert score.active.all()
    assert (score.values["si_sdr"] > 10).all()
    assert score.residual.isnan().all()
    level = 10 * (extra.square().sum((1, 2, 3)) / mixture.square().sum((1, 2))).log10()
    torch.testing.assert_close(score.surplus.float(), level if surplus else torch.full((2,), torch.nan), equal_nan=True)


@given(seed=SEEDS)
def test_order_of_slots_and_sources_does_not_matter(seed):
    references, estimates = waves(seed, 1, 3, 1, 300), waves(seed + 1, 1, 4, 1, 300)
    mixture = references.sum(1)
    plain = metrics.score(estimates, references, mixture).mean("si_sdr_i")
    shuffled = metrics.score(estimates[:, [2, 0, 3, 1]], references[:, [1, 2, 0]], mixture).mean("si_sdr_i")
    torch.testing.assert_close(plain, shuffled)


@given(seed=SEEDS, silent=st.integers(0, 1), faint=st.sampled_from([0.0, 1e-3]))
def test_silent_sources_are_reported_and_never_averaged(seed, silent, faint):
    references = waves(seed, 1, 2, 1, 500)
    references[:, silent] *= faint  # 60 dB below the others is silence, too
    references = torch.cat([references, waves(seed + 1, 1, 1, 1, 500)], dim=1)
    estimates = references + 0.1 * waves(seed + 2, 1, 3, 1, 500)
    score = metrics.score(estimates, references, references.sum(1))
    assert score.active.tolist() == [[silent != 0, silent != 1, True]]
    assert score.values["si_sdr"].isnan().tolist() == (~score.active).tolist()
    assert score.residual.isnan().tolist() == score.active.tolist()
    leaked = estimates[0, silent].square().sum() / references.sum(1).square().sum()
    assert float(score.residual[0, silent]) == pytest.approx(10 * float(leaked.log10()), abs=1e-3)
    audible = score.values["si_sdr_i"][score.active].mean()
    torch.testing.assert_close(score.mean("si_sdr_i")[0], audible)


def test_all_silent_gives_no_number_and_no_error():
    silence = torch.zeros(1, 2, 1, 100)
    score = metrics.score(silence, silence, silence.sum(1))
    assert score.mean("si_sdr").isnan().all()
    assert score.residual.isfinite().all()


def test_a_source_alone_has_nothing_to_improve_on():
    reference = waves(0, 1, 1, 1, 500)
    score = metrics.score(reference + 0.1 * waves(1, 1, 1, 1, 500), reference, reference[:, 0])
    assert score.mean("si_sdr") == pytest.approx(20, abs=2)
    assert score.mean("si_sdr_i").isnan()


def test_waves_that_are_not_finite_are_refused():
    references = waves(0, 1, 2, 1, 100)
    estimates = references.clone()
    estimates[0, 1, 0, 3] = torch.nan
    with pytest.raises(UserError, match="not finite"):
        metrics.score(estimates, references, references.sum(1))


def noise(*shape, seed=0):
    return 0.1 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_the_matcher_that_is_given_decides():
    sources = noise(1, 2, 1, 400)
    assert best_assignment(sources.flip(1), sources, sources.sum(1)).tolist() == [[1, 0]]
    assert best_assignment(sources.flip(1), sources, sources.sum(1), Fixed()).tolist() == [[0, 1]]
