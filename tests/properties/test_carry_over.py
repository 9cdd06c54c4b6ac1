"""Carry-over: the scan is equivariant through time and equals streaming."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from slotaudio import Spec, build
from slotaudio.bottlenecks.carry_over import CarryOver
from slotaudio.errors import UserError, WrongOptions
from slotaudio.registry import bottlenecks
from slotaudio.types import Features, Slots

seeds = st.integers(0, 2**31 - 1)
INNER = Spec("slot_attention", slot_dim=8, iterations=2, presence=True)


def features(seed: int, steps: int = 4, batch: int = 2) -> Features:
    generator = torch.Generator().manual_seed(seed)
    return Features(torch.randn(batch, steps, 6, 5, generator=generator), torch.rand(6, 2, generator=generator) * 2 - 1)


def carry_over(seed: int = 0, **options: object) -> CarryOver:
    torch.manual_seed(seed)
    return CarryOver(5, 3, **{"bottleneck": INNER, "heads": 2, **options}).eval()


def start(seed: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(2, 3, 8, generator=torch.Generator().manual_seed(seed), dtype=dtype)


@given(seeds, st.sampled_from(["transformer", "none"]))
def test_permuting_the_first_windows_slots_permutes_everything_after(seed, predictor):
    module = carry_over(seed, predictor=predictor).double()
    given_ = features(seed)
    given_ = Features(given_.tokens.double(), given_.positions.double())
    order = torch.randperm(3, generator=torch.Generator().manual_seed(seed))
    initial = start(seed, torch.float64)
    there, here = module(given_, initial[:, order]), module(given_, initial)
    torch.testing.assert_close(there.vectors, here.vectors[:, :, order], atol=1e-12, rtol=0)
    torch.testing.assert_close(there.attention, here.attention[:, :, order], atol=1e-12, rtol=0)
    torch.testing.assert_close(there.presence, here.presence[:, :, order], atol=1e-12, rtol=0)
    torch.testing.assert_close(there.carried, here.carried[:, order], atol=1e-12, rtol=0)


@given(seeds, st.lists(st.integers(1, 3), min_size=1, max_size=4), st.sampled_from(["transformer", "none"]))
def test_streaming_equals_the_full_scan(seed, pieces, predictor):
    module = carry_over(seed, predictor=predictor)
    given_ = features(seed, steps=sum(pieces))
    with torch.no_grad():
        whole, parts, carried = module(given_, start(seed)), [], start(seed)
        for piece in given_.tokens.split(pieces, dim=1):
            found = module(Features(piece, given_.positions), carried)
            carried = found.carried
            parts.append(found)
    for name in ("vectors", "attention", "presence"):
        streamed = torch.cat([getattr(part, name) for part in parts], dim=1)
        torch.testing.assert_close(streamed, getattr(whole, name), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(carried, whole.carried, atol=1e-5, rtol=1e-5)


@given(seeds)
def test_the_future_does_not_reach_the_past(seed):
    module, given_ = carry_over(seed), features(seed)
    changed = given_.tokens.clone()
    changed[:, 2:] = changed[:, 2:].flip(-1)
    before, after = module(given_, start(seed)), module(Features(changed, given_.positions), start(seed))
    assert torch.equal(before.vectors[:, :2], after.vectors[:, :2])
    assert (before.vectors[:, 2:] - after.vectors[:, 2:]).abs().max() > 1e-4


def test_the_past_reaches_the_future():
    module, given_ = carry_over(), features(0)
    changed = given_.tokens.clone()
    changed[:, 0] = changed[:, 0].flip(-1)
    before, after = module(given_, start(0)), module(Features(changed, given_.positions), start(0))
    assert (before.vectors[:, -1] - after.vectors[:, -1]).abs().max() > 1e-4


def test_carried_slots_stay_bounded_over_many_windows():
    module = carry_over()
    given_ = features(1, steps=1)
    with torch.no_grad():
        carried = start(0)
        for _ in range(400):
            carried = module(given_, carried).carried
    assert carried.isfinite().all()
    assert carried.norm(dim=-1).max() < 50


def test_gradients_cross_windows_until_they_are_cut():
    given_ = features(2, steps=4)
    reached = {}
    for every in (0, 1, 2, 3):
        module = carry_over(0, detach_every=every)
        tokens = given_.tokens.clone().requires_grad_()
        module(Features(tokens, given_.positions), start(0)).vectors[:, -1].square().sum().backward()
        reached[every] = (tokens.grad.abs().sum(dim=(0, 2, 3)) > 0).tolist()
        assert tokens.grad.isfinite().all()
    assert reached[0] == [True, True, True, True]
    assert reached[1] == [False, False, False, True]
    assert reached[2] == [False, False, True, True]
    assert reached[3] == [False, False, False, True]


@pytest.mark.parametrize("gradient", ["full", "bi_level"])
def test_the_predictor_learns_from_later_windows(gradient):
    module = carry_over(0, bottleneck=INNER.updated(gradient=gradient))
    module(features(3), module.initial_slots(2)).vectors[:, -1].square().sum().backward()
    for name, parameter in module.named_parameters():
        if "presence" not in name:
            assert parameter.grad.abs().sum() > 0, name
            assert parameter.grad.isfinite().all(), name


def test_any_bottleneck_can_be_wrapped():
    class Mean(nn.Module):
        """The plainest third-party bottleneck: slots move towards the mean token."""

        slot_dim = 5

        def __init__(self, in_dim: int, slots: int) -> None:
            super().__init__()
            self.slots = slots

        def initial_slots(self, batch: int, generator: torch.Generator | None = None) -> Tensor:
            return torch.eye(self.slots, 5).expand(batch, -1, -1)

        def forward(self, features: Features, initial: Tensor) -> Slots:
            return Slots((initial[:, None] + features.tokens.mean(dim=2)[:, :, None]) / 2)

    bottlenecks.register("mean_of_tokens")(Mean)
    module = CarryOver(5, 3, bottleneck="mean_of_tokens", predictor="none", heads=1)
    found = module(features(0), module.initial_slots(2))
    assert found.vectors.shape == (2, 4, 3, 5)
    assert found.attention is None
    assert found.presence is None
    assert torch.equal(found.carried, found.vectors[:, -1])


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"predictor": "lstm"}, UserError, "'none'"),
        ({"heads": 3}, UserError, "3 heads"),
        ({"bottleneck": INNER.updated(gradient="implicit")}, UserError, "bi_level"),
        ({"bottleneck": Spec("slot_attention", widht=3)}, WrongOptions, "widht"),
        ({"bottleneck": "slot_atention"}, UserError, "Did you mean 'slot_attention'"),
    ],
)
def test_wrong_options_are_explained(options, error, message):
    with pytest.raises(error, match=message):
        carry_over(**options)


def noise(*shape, seed=0):
    return 0.1 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_nothing_is_dropped_in_training():
    made = build(
        "bottleneck", Spec("carry_over", bottleneck=Spec("slot_attention", slot_dim=8), heads=2), in_dim=4, slots=2
    ).train()
    features = Features(noise(1, 3, 6, 4), noise(6, 2))
    first, second = (made(features, made.initial_slots(1)).vectors for _ in range(2))
    assert torch.equal(first, second)
