"""Objectives: invariant to order, exact where estimates are, finite at silence."""

import math
import re
from dataclasses import replace
from itertools import permutations

import pytest
import torch
from given_estimates import WINDOW, Given, batch_of, exact, small
from hypothesis import given, settings
from hypothesis import strategies as st

from slotaudio import Spec, UserError, build
from slotaudio.frontends.waveform import Waveform
from slotaudio.matchers.checking import CostNotFinite
from slotaudio.objectives.autoencoder import Autoencoder
from slotaudio.objectives.supervised import Supervised
from slotaudio.objectives.views import cut
from slotaudio.types import Batch, Estimates

seeds = st.integers(0, 2**31 - 1)
few = settings(max_examples=10)  # of the tests that run whole models
costs = st.sampled_from(["spectral_mse", "snr", "si_sdr"])
kinds = st.sampled_from(["noise", "one silent source", "silence"])


@few
@given(seeds, costs, kinds, st.sampled_from(["clip", "window"]), st.integers(2, 3))
def test_loss_does_not_depend_on_the_order_of_sources_or_slots(seed, cost, kind, assignment, slots):
    model, batch = small(seed, slots), batch_of(seed, kind, windows=2)
    objective = Supervised(cost=cost, assignment=assignment, silence_weight=0.5)
    expected = objective(model, batch)["loss"]
    swapped = replace(batch, sources=batch.sources.flip(1))
    torch.testing.assert_close(objective(model, swapped)["loss"], expected, atol=1e-4, rtol=1e-4)
    model.bottleneck.queries.data = model.bottleneck.queries.data.flip(0)
    torch.testing.assert_close(objective(model, batch)["loss"], expected, atol=1e-4, rtol=1e-4)


@given(seeds, st.sampled_from(["magnitudes", "masks", "waves"]), st.permutations([0, 1]))
def test_exact_estimates_of_every_kind_cost_nothing(seed, kind, order):
    batch = batch_of(seed)
    model = Given(exact(batch, kind, order))
    assert Supervised(cost="spectral_mse")(model, batch)["loss"] < 1e-6
    if kind != "magnitudes":  # whose phase is the mixture's
        assert Supervised(cost="snr")(model, batch)["loss"] < -29.9
        assert Supervised(cost="si_sdr")(model, batch)["loss"] < -29.9


@given(seeds, costs)
def test_a_wave_that_got_worse_costs_more(seed, cost):
    batch = batch_of(seed)
    waves = exact(batch, "waves").waves
    noise = torch.randn(waves.shape, generator=torch.Generator().manual_seed(seed)) * waves.std()
    losses = [Supervised(cost=cost)(Given(Estimates(waves=waves + g * noise)), batch)["loss"] for g in (0, 0.3, 3)]
    assert losses[0] < losses[1] < losses[2]


@given(seeds, costs)
def test_gradient_flows_only_through_the_chosen_pairs(seed, cost):
    batch = batch_of(seed)
    waves = exact(batch, "waves", [0, 1, 0]).waves.clone()
    waves[:, 2] = torch.randn(waves[:, 2].shape, generator=torch.Generator().manual_seed(seed))
    waves[:, :2] *= 0.9  # close, but with something left to learn
    waves[:, :2] += 0.01 * torch.randn(waves[:, :2].shape, generator=torch.Generator().manual_seed(seed))
    waves.requires_grad_()
    Supervised(cost=cost)(Given(Estimates(waves=waves)), batch)["loss"].backward()
    assert (waves.grad[:, 2] == 0).all()
    assert (waves.grad[:, :2].abs().amax((-1, -2)) > 0).all()
    waves.grad = None
    Supervised(cost=cost, silence_weight=1.0)(Given(Estimates(waves=waves)), batch)["loss"].backward()
    assert (waves.grad[:, 2].abs().amax((-1, -2)) > 0).all()


@few
@given(seeds, costs, st.sampled_from([0.0, 0.3, 1.0]), st.sampled_from([2, 3, 5]))
def test_surplus_slots_are_counted_in_the_choice(seed, cost, weight, slots):
    """The loss is the least over all assignments of (matched mean) + weight * (surplus mean), item by item."""
    batch = batch_of(seed, batch=30)
    generator = torch.Generator().manual_seed(seed)
    # slots so alike that the choice hangs on what silence costs
    waves = batch.sources[:, torch.arange(slots) % 2] * (0.5 + torch.rand(30, slots, 1, 1, generator=generator))
    model = Given(Estimates(waves=waves))
    objective = Supervised(cost=cost, silence_weight=weight)
    losses = objective(model, batch)
    silence = torch.zeros_like(batch.sources[:, :1])
    everything = cut(torch.cat([batch.sources, silence], dim=1), WINDOW)
    plain = Supervised(cost=cost)
    views = plain._views(model, model(batch.mixture[:, None]), everything, whole=True)
    table = plain._costs(*views, batch.mixture)
    totals = []
    for way in permutations(range(slots), 2):
        rest = [slot for slot in range(slots) if slot not in way]
        surplus = table[:, rest, 2].mean(1) if rest else 0
        totals.append((table[:, way[0], 0] + table[:, way[1], 1]) / 2 + weight * surplus)
    torch.testing.assert_close(losses["loss"], torch.stack(totals).amin(0).mean(), atol=1e-4, rtol=1e-4)
    assert ("silence" in losses) == (weight > 0 and slots > 2)


@few
@given(seeds, costs, kinds)
def test_windows_count_each_by_itself(seed, cost, kind):
    model, clip = small(seed), batch_of(seed, kind, windows=3)
    objective = Supervised(cost=cost, assignment="window")
    singles = [
        objective(model, Batch(clip.mixture[..., i : i + WINDOW], clip.sources[..., i : i + WINDOW]))["loss"]
        for i in range(0, 3 * WINDOW, WINDOW)
    ]
    torch.testing.assert_close(objective(model, clip)["loss"], torch.stack(singles).mean(), atol=1e-4, rtol=1e-4)


@given(seeds, costs, st.booleans())
def test_whole_clips_notice_swapped_slots_and_windows_do_not(seed, cost, carried):
    batch = batch_of(seed, windows=2)
    kept = exact(batch, "waves").waves
    swapped = kept.clone()
    swapped[1::2] = kept[1::2].flip(1)  # in every second window the slots change places
    carried_slots = torch.zeros(2, 2, 1) if carried else None
    found = {
        (name, assignment): Supervised(cost=cost, assignment=assignment)(
            Given(Estimates(waves=waves), carried=carried_slots), batch
        )["loss"]
        for name, waves in (("kept", kept), ("swapped", swapped))
        for assignment in ("clip", "window", None)
    }
    torch.testing.assert_close(found["swapped", "window"], found["kept", "window"], atol=1e-4, rtol=1e-4)
    assert found["swapped", "clip"] > found["kept", "clip"] + 1e-3
    assert found["swapped", None] == found["swapped", "clip" if carried else "window"]


@few
@given(seeds, costs, kinds, st.booleans())
def test_losses_and_gradients_are_finite_at_silence(seed, cost, kind, presence):
    model, batch = small(seed, slots=3, presence=presence), batch_of(seed, kind, windows=1.5)
    losses = Supervised(cost=cost, silence_weight=1.0)(model, batch)
    assert set(losses) == {"loss", cost, "silence"} | ({"presence"} if presence else set())
    losses["loss"].backward()
    assert all(loss.isfinite() for loss in losses.values())
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)


@given(seeds, st.integers(1, 2), st.sampled_from(["clip", "window"]))
def test_presence_follows_what_can_be_heard(seed, parts, assignment):
    """Source 1 pauses in the second window; the slots' order differs from item to item, or window to window."""
    batch = batch_of(seed, windows=2, batch=3)
    batch.sources[:, 1, :, WINDOW:] = 0
    batch = Batch(batch.sources.sum(1), batch.sources)
    silence = torch.zeros(6, 1, 1, WINDOW)
    truth = torch.cat([exact(batch, "waves").waves, silence], dim=1).unflatten(0, (3, 2))
    heard = torch.tensor([[1.0, 1.0, 0.0], [1.0, 0.0, 0.0]]).expand(3, -1, -1)
    generator = torch.Generator().manual_seed(seed)
    orders = torch.stack([torch.randperm(3, generator=generator) for _ in range(6)]).unflatten(0, (3, 2))
    if assignment == "clip":
        orders = orders[:, :1].expand(-1, 2, -1)
    waves = truth.gather(2, orders[..., None, None].expand_as(truth)).flatten(0, 1)
    sure = 20 * (2 * heard.gather(2, orders) - 1).repeat_interleave(parts, dim=1)
    for logits, expected in ((sure, 0.0), (-sure, 20.0)):
        model = Given(Estimates(waves=waves + 1e-4), presence=logits)
        losses = Supervised(cost="snr", assignment=assignment, presence_weight=0.5)(model, batch)
        torch.testing.assert_close(losses["presence"], torch.tensor(expected), atol=1e-4, rtol=0)
        torch.testing.assert_close(losses["loss"], losses["snr"] + 0.5 * losses["presence"])


@few
@given(seeds, costs, kinds)
def test_autoencoder_is_supervision_on_single_sources(seed, cost, kind):
    model, batch = small(seed, slots=1), batch_of(seed, kind)
    singles = [Batch(batch.sources[:, s], batch.sources[:, s : s + 1]) for s in range(2)]
    expected = torch.stack([Supervised(cost=cost)(model, single)["loss"] for single in singles]).mean()
    torch.testing.assert_close(Autoencoder(cost)(model, batch)["loss"], expected, atol=1e-4, rtol=1e-4)


@few
@given(seeds, costs)
def test_losses_under_bfloat16_agree_and_are_float32(seed, cost):
    # magnitudes well above zero: near it, bfloat16 decides about which slot a cell belongs to
    model, batch = small(seed, output="softplus"), batch_of(seed)
    expected = Supervised(cost=cost)(model, batch)["loss"]
    with torch.autocast("cpu", torch.bfloat16):
        found = Supervised(cost=cost)(model, batch)["loss"]
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected, atol=0.05, rtol=0.05)


@pytest.mark.parametrize("matcher", ["hungarian", "exhaustive", "fixed"])
@pytest.mark.parametrize("cost", ["spectral_mse", "snr", "si_sdr"])
def test_two_optimiser_steps_move_every_weight(matcher, cost):
    # waves know nothing of negative magnitudes, so that a linear output could start without a gradient
    model, batch = small(3, output="linear" if cost == "spectral_mse" else "softplus"), batch_of(3)
    objective = build("objective", Spec("supervised", matcher=matcher, cost=cost))
    optimiser = torch.optim.Adam(model.parameters(), 2e-4)
    before = {name: parameter.clone() for name, parameter in model.named_parameters()}
    for _ in range(2):
        optimiser.zero_grad()
        objective(model, batch)["loss"].backward()
        optimiser.step()
    for name, parameter in model.named_parameters():
        assert parameter.isfinite().all(), name
        assert not torch.equal(parameter, before[name]), name


def test_training_lowers_the_loss():
    torch.manual_seed(0)
    model, batch = small(), batch_of(0)
    optimiser = torch.optim.Adam(model.parameters(), 3e-3)
    losses = []
    for _ in range(60):
        optimiser.zero_grad()
        loss = Supervised()(model, batch)["loss"]
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.2 * losses[0]


@given(seeds, st.floats(0.1, 10.0))
def test_levels_are_seen_beside_a_cost_that_does_not_see_them(seed, factor):
    batch = batch_of(seed)
    waves = replace(exact(batch, "waves"), waves=factor * exact(batch, "waves").waves)
    losses = Supervised(cost="si_sdr", level_weight=0.5)(Given(waves), batch)
    torch.testing.assert_close(losses["level"], torch.tensor((20 * math.log10(factor)) ** 2), rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(losses["loss"], losses["si_sdr"] + 0.5 * losses["level"])
    silent = batch_of(seed, "silence")
    assert Supervised(cost="si_sdr", level_weight=0.5)(Given(exact(silent, "waves")), silent)["level"] == 0


@pytest.mark.parametrize("assignment", ["clip", "window"])
def test_broken_items_are_named(assignment):
    batch = batch_of(0, windows=2, batch=3)
    batch.mixture[2, 0, 5] = batch.sources[2, 0, 0, 5] = float("nan")
    with pytest.raises(CostNotFinite, match=f"batch item {2 if assignment == 'clip' else 4} is not finite") as caught:
        Supervised(assignment=assignment)(small(), batch)
    assert re.findall(r"\d+ to a clip", str(caught.value)) == ["2 to a clip"] * (assignment == "window")


def test_more_sources_than_slots_are_explained():
    with pytest.raises(UserError, match="2 slots cannot take 3 sources"):
        Supervised()(small(), batch_of(0, sources=3))


def test_frontends_without_magnitudes_are_explained():
    batch = batch_of(0)
    model = Given(exact(batch, "waves"), frontend=Waveform(800))
    assert Supervised(cost="snr")(model, batch)["loss"] < -29.9
    with pytest.raises(UserError, match="Waveform does not have: choose cost='snr'"):
        Supervised()(model, batch)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"cost": "mse"}, "'spectral_mse', 'snr', 'si_sdr'"),
        ({"assignment": "frame"}, "'clip', 'window'"),
        ({"silence_weight": -1.0}, "must not be negative"),
        ({"spectral_weight": 1.0}, "goes with costs of waves"),
        ({"level_weight": 1.0}, "goes with 'si_sdr'"),
        ({"matcher": "greedy"}, "known: exhaustive, fixed, hungarian"),
    ],
)
def test_wrong_options_are_explained(options, complaint):
    with pytest.raises(UserError, match=complaint):
        build("objective", Spec("supervised", **options))
