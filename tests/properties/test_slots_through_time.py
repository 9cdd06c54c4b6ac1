"""Whole models with slots that live on: equivariant and streamable from wave to sources, trainable on clips."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from slotaudio import Spec, compose
from slotaudio.compose import build
from slotaudio.model import SlotModel
from slotaudio.types import Batch

seeds = st.integers(0, 2**31 - 1)
WINDOW = 2000  # samples; 0.125 s keeps the grid small


def model(inner: str = "slot_attention", slots: int = 2, seed: int = 0, **options: object) -> SlotModel:
    torch.manual_seed(seed)
    wrapped = {
        "slot_attention": Spec("slot_attention", slot_dim=16, iterations=2, presence=True),
        "transformer": Spec("transformer", slot_dim=16, layers=1, heads=2, qkv_dim=16, mlp_dim=16, presence=True),
    }[inner]
    return compose(
        encoder=Spec("resnet", depth=18, width=2),
        bottleneck=Spec("carry_over", bottleneck=wrapped, heads=2, **options),
        decoder=Spec("spatial_broadcast", hidden=8, layers=1),
        slots=slots,
        window=WINDOW / 16000,
    ).eval()


def windows(seed: int, steps: int = 3, batch: int = 1) -> torch.Tensor:
    return 0.1 * torch.randn(batch, steps, 1, WINDOW, generator=torch.Generator().manual_seed(seed))


def clip(seed: int, steps: int = 3, sources: int = 2, batch: int = 2) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    waves = 0.1 * torch.randn(batch, sources, 1, steps * WINDOW - 300, generator=generator)
    return Batch(waves.sum(1), waves)


@pytest.mark.parametrize("inner", ["slot_attention", "transformer"])
@given(seed=seeds)
@settings(max_examples=5)
def test_permuting_the_first_slots_permutes_every_later_source(inner, seed):
    network, given_ = model(inner, slots=3).double(), windows(seed).double()
    initial = torch.randn(1, 3, 16, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    order = torch.randperm(3, generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        here, there = network(given_, initial), network(given_, initial[:, order])
    torch.testing.assert_close(there.slots.vectors, here.slots.vectors[:, :, order], atol=1e-10, rtol=0)
    torch.testing.assert_close(there.slots.presence, here.slots.presence[:, :, order], atol=1e-10, rtol=0)
    # the frontend computes in float32
    torch.testing.assert_close(there.estimates.magnitudes, here.estimates.magnitudes[:, order], atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("inner", ["slot_attention", "transformer"])
@given(seed=seeds)
@settings(max_examples=5)
def test_window_by_window_equals_one_call(inner, seed):
    network, given_ = model(inner), windows(seed, steps=4)
    with torch.no_grad():
        whole = network(given_)
        sources = network.sources(whole)
        carried, pieces = None, []
        for window in given_.unbind(1):
            prediction = network(window[:, None], carried)
            carried = prediction.slots.carried
            pieces.append(network.sources(prediction))
    torch.testing.assert_close(torch.cat(pieces, dim=1), sources, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(carried, whole.slots.carried, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("cost", ["spectral_mse", "snr"])
@pytest.mark.parametrize("slots", [2, 3])
def test_clips_are_matched_once_and_every_part_learns(cost, slots):
    network = model(slots=slots, detach_every=2).train()
    objective = build("objective", Spec("supervised", cost=cost, assignment="clip"))
    losses = objective(network, clip(1))
    losses["loss"].backward()
    assert set(losses) == {"loss", cost, "presence"}
    assert all(loss.isfinite() for loss in losses.values())
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
    assert sum(p.grad.abs().sum() for p in network.bottleneck.predictor.parameters()) > 0


def test_one_assignment_for_a_clip_costs_no_less_than_one_per_window():
    network, batch = model(), clip(2, steps=6)
    by_clip, by_window = (
        build("objective", Spec("supervised", assignment=assignment))(network, batch)["spectral_mse"]
        for assignment in ("clip", "window")
    )
    assert by_clip >= by_window - 1e-7


@given(seeds)
@settings(max_examples=5)
def test_order_of_the_sources_does_not_change_the_loss(seed):
    network, batch = model(), clip(seed)
    objective = build("objective", Spec("supervised", assignment="clip"))
    swapped = Batch(batch.mixture, batch.sources.flip(1))
    torch.testing.assert_close(objective(network, batch)["loss"], objective(network, swapped)["loss"])


@pytest.mark.parametrize("cost", ["spectral_mse", "snr", "si_sdr"])
def test_silent_sources_windows_and_clips_give_finite_losses_and_gradients(cost):
    batch = clip(3)
    sources = batch.sources.clone()
    sources[0, 1] = 0  # a source that is never heard
    sources[0, :, :, WINDOW : 2 * WINDOW] = 0  # a silent window
    sources[1] = 0  # a silent clip
    network = model(slots=3).train()
    losses = build("objective", Spec("supervised", cost=cost))(network, Batch(sources.sum(1), sources))
    losses["loss"].backward()
    assert all(loss.isfinite() for loss in losses.values())
    assert all(p.grad.isfinite().all() for p in network.parameters() if p.grad is not None)


def test_presence_is_learnt_from_who_is_heard():
    """After a few steps on clips in which the second source is silent, presence tells the slots apart."""
    network = model(slots=2).train()
    batch = clip(4, batch=2)
    sources = batch.sources.clone()
    sources[:, 1] = 0
    batch = Batch(sources.sum(1), sources)
    objective = build("objective", Spec("supervised", presence_weight=1.0, silence_weight=0.1))
    optimiser = torch.optim.Adam(network.parameters(), 1e-2)
    for _ in range(18):
        optimiser.zero_grad()
        losses = objective(network, batch)
        losses["loss"].backward()
        optimiser.step()
    assert losses["presence"] < 0.4
    presence = network(windows(4)).slots.presence.sigmoid()
    assert (presence > 0.5).sum() == 3  # one slot in each of three windows


def test_slot_attention_replaces_the_transformer_by_one_word():
    for name in ("transformer", "slot_attention", "carry_over"):
        torch.manual_seed(0)
        network = compose(
            encoder=Spec("resnet", depth=18, width=2),
            bottleneck=name,
            decoder=Spec("spatial_broadcast", hidden=8, layers=1),
            window=WINDOW / 16000,
        )
        assert network.sources(network(windows(0, steps=2))).shape == (1, 2, 2, 1, WINDOW)
