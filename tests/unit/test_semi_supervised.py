"""Supervised items and mixtures of mixtures in one batch."""

import pytest
import torch

from slotaudio import Spec, build, compose
from slotaudio.types import Batch

UNLABELLED = {"unlabelled": True}


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return compose(
        Spec("stft", sample_rate=1000, window=32, hop=10, framing="centred"),
        Spec("resnet", depth=10, width=4),
        Spec("transformer", slot_dim=8, layers=1, heads=2, qkv_dim=8, mlp_dim=8),
        Spec("spatial_broadcast", hidden=8, layers=1, waves=[3, 3], output="softplus"),
        slots=4,
    ).eval()


def batch(*metadata):
    sources = 0.1 * torch.randn(len(metadata), 2, 1, 800, generator=torch.Generator().manual_seed(0))
    return Batch(sources.sum(1), sources, metadata)


def rows(whole, *chosen):
    chosen = list(chosen)
    return Batch(whole.mixture[chosen], whole.sources[chosen], tuple(whole.metadata[row] for row in chosen))


def test_every_item_has_the_loss_of_its_kind(model):
    whole = batch(UNLABELLED, {}, UNLABELLED, UNLABELLED, {})
    objective = build("objective", "semi_supervised", slots=4)
    losses = objective(model, whole)
    supervised = build("objective", Spec("supervised", cost="snr", assignment="clip", silence_weight=0.1))
    known = supervised(model, rows(whole, 1, 4))["loss"]
    unknown = build("objective", "mixit", slots=4)(model, rows(whole, 0, 2, 3))["loss"]
    torch.testing.assert_close(losses["known"], known)
    torch.testing.assert_close(losses["unknown"], unknown)
    torch.testing.assert_close(losses["loss"], 0.4 * known + 0.6 * unknown)


def test_sources_of_unlabelled_items_are_not_looked_at(model):
    whole = batch(UNLABELLED, {}, UNLABELLED)
    objective = build("objective", "semi_supervised", slots=4)
    expected = objective(model, whole)["loss"]
    whole.sources[[0, 2]] = torch.nan
    assert torch.equal(objective(model, whole)["loss"], expected)


def test_batches_of_one_kind_have_the_loss_of_that_kind(model):
    objective = build("objective", Spec("semi_supervised", known={"name": "supervised", "cost": "si_sdr"}), slots=4)
    whole = batch({}, {})
    expected = build("objective", Spec("supervised", cost="si_sdr"))(model, whole)["loss"]
    losses = objective(model, Batch(whole.mixture, whole.sources))  # of a data set that says nothing
    assert sorted(losses) == ["known", "loss"]
    torch.testing.assert_close(losses["loss"], expected)
    assert sorted(objective(model, batch(UNLABELLED, UNLABELLED))) == ["loss", "unknown"]
