"""Slot Attention: equivariance, competition, temperature, gradients, precision."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from slotaudio.bottlenecks.slot_attention import SlotAttention
from slotaudio.errors import UserError
from slotaudio.types import Features

seeds = st.integers(0, 2**31 - 1)


def features(seed: int, batch: int = 2, steps: int = 3, tokens: int = 7, dim: int = 5) -> Features:
    generator = torch.Generator().manual_seed(seed)
    positions = torch.rand(tokens, 2, generator=generator) * 2 - 1
    return Features(torch.randn(batch, steps, tokens, dim, generator=generator), positions)


def as_double(given_: Features) -> Features:
    return Features(given_.tokens.double(), given_.positions.double())


def attention(seed: int = 0, **options: object) -> SlotAttention:
    torch.manual_seed(seed)
    return SlotAttention(5, 4, **{"slot_dim": 8, **options}).eval()


@given(seeds, st.integers(1, 4), st.sampled_from(["full", "implicit", "bi_level"]))
def test_permuting_the_initial_slots_permutes_the_result(seed, iterations, gradient):
    module = attention(seed, iterations=iterations, gradient=gradient, presence=True).double()
    given_ = as_double(features(seed))
    initial = torch.randn(2, 4, 8, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    order = torch.randperm(4, generator=torch.Generator().manual_seed(seed))
    there, here = module(given_, initial[:, order]), module(given_, initial)
    torch.testing.assert_close(there.vectors, here.vectors[:, :, order], atol=1e-12, rtol=0)
    torch.testing.assert_close(there.attention, here.attention[:, :, order], atol=1e-12, rtol=0)
    torch.testing.assert_close(there.presence, here.presence[:, :, order], atol=1e-12, rtol=0)


@given(seeds)
def test_slots_share_out_every_token(seed):
    module = attention(seed)
    found = module(features(seed), module.initial_slots(2))
    assert (found.attention >= 0).all()
    torch.testing.assert_close(found.attention.sum(dim=2), torch.ones(2, 3, 7))


@given(seeds)
def test_order_of_tokens_does_not_matter_when_their_positions_go_along(seed):
    module, given_ = attention(seed), features(seed)
    order = torch.randperm(7, generator=torch.Generator().manual_seed(seed))
    shuffled = Features(given_.tokens[:, :, order], given_.positions[order])
    initial = module.initial_slots(2)
    torch.testing.assert_close(module(shuffled, initial).vectors, module(given_, initial).vectors, atol=1e-5, rtol=1e-5)


@given(seeds)
def test_steps_and_batch_items_do_not_see_each_other(seed):
    module, given_ = attention(seed), features(seed)
    initial = torch.randn(2, 4, 8, generator=torch.Generator().manual_seed(seed))
    whole = module(given_, initial).vectors
    for item in range(2):
        for step in range(3):
            alone = Features(given_.tokens[item : item + 1, step : step + 1], given_.positions)
            torch.testing.assert_close(
                module(alone, initial[item : item + 1]).vectors[0, 0], whole[item, step], atol=1e-5, rtol=1e-5
            )


@given(seeds, st.integers(1, 3), st.sampled_from([1e-8, 1.0]))
def test_it_is_algorithm_1_of_the_paper(seed, iterations, epsilon):
    module, given_ = attention(seed, iterations=iterations, epsilon=epsilon), features(seed, batch=1, steps=1)
    slots = module.initial_slots(1)[0]
    inputs = module.norm_tokens(given_.tokens[0, 0] + module.position_code(given_.positions))
    keys, values = module.to_keys(inputs), module.to_values(inputs)
    for _ in range(iterations):
        won = (keys @ module.to_queries(module.norm_slots(slots)).T / 8**0.5).softmax(dim=1)  # tokens slots
        updates = torch.stack([(of_slot[:, None] * values).sum(0) / (of_slot.sum() + epsilon) for of_slot in won.T])
        slots = module.gru(input=updates, hx=slots)
        slots = slots + module.mlp(slots)
    found = module(given_, module.initial_slots(1))
    torch.testing.assert_close(found.vectors[0, 0], slots, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(found.attention[0, 0], won.T, atol=1e-5, rtol=1e-4)


def test_temperature_acts_before_the_softmax():
    given_ = features(1)
    shares = {}
    for temperature in (0.05, 1.0, 50.0):
        module = attention(0, temperature=temperature)
        shares[temperature] = module(given_, module.initial_slots(2)).attention
    confidence = [shares[t].amax(dim=2).mean() for t in (0.05, 1.0, 50.0)]
    assert confidence[0] > confidence[1] + 0.01 > confidence[2] + 0.01
    assert torch.allclose(shares[50.0], torch.full_like(shares[50.0], 0.25), atol=0.02)
    vectors = [attention(0, temperature=t)(given_, attention(0).initial_slots(2)).vectors for t in (0.05, 50.0)]
    assert (vectors[0] - vectors[1]).abs().max() > 1e-2


def test_default_temperature_is_the_root_of_the_width():
    given_, initial = features(2), attention().initial_slots(2)
    by_default, explicit = attention(), attention(temperature=8**0.5)
    assert torch.equal(by_default(given_, initial).attention, explicit(given_, initial).attention)


def test_large_epsilon_lets_slots_without_evidence_rest():
    """A slot that wins nothing gets a full-sized update with the paper's epsilon, next to none with a large one."""
    given_ = features(3)
    updates = {}
    for epsilon in (1e-8, 1e3):
        module = attention(0, epsilon=epsilon, iterations=1)
        module.gru.register_forward_pre_hook(lambda _, inputs, e=epsilon: updates.__setitem__(e, inputs[0]))
        module(given_, module.initial_slots(2))
    assert updates[1e3].norm() < 0.02 * updates[1e-8].norm()


@pytest.mark.parametrize(("gradient", "reaches"), [("full", True), ("bi_level", True), ("implicit", False)])
@pytest.mark.parametrize("iterations", [1, 3])
@pytest.mark.parametrize("initial", ["learned", "gaussian"])
def test_gradients_are_finite_and_reach_the_initial_slots_where_promised(gradient, reaches, iterations, initial):
    module = attention(0, gradient=gradient, iterations=iterations, initial=initial)
    generator = torch.Generator().manual_seed(0)
    found = module(features(4), module.initial_slots(2, generator))
    found.vectors.square().sum().backward()
    gradient_of_start = module.mean.grad
    assert (gradient_of_start is not None and gradient_of_start.abs().sum() > 0) == reaches
    for name, parameter in module.named_parameters():
        if reaches or name not in ("mean", "log_deviation"):
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name


def test_implicit_gradients_change_nothing_forward():
    given_, initial = features(5), attention().initial_slots(2)
    full = attention(0, gradient="full")(given_, initial).vectors
    for gradient in ("implicit", "bi_level"):
        torch.testing.assert_close(attention(0, gradient=gradient)(given_, initial).vectors, full)


@given(seeds, st.floats(0, 1e4))
@settings(max_examples=20)
def test_silent_and_loud_tokens_give_finite_slots_and_gradients(seed, scale):
    module, given_ = attention(seed), features(seed)
    found = module(Features(given_.tokens * scale, given_.positions), module.initial_slots(2))
    found.vectors.square().sum().backward()
    assert found.vectors.isfinite().all()
    assert all(p.grad.isfinite().all() for p in module.parameters())


def test_gaussian_slots_are_seeded_and_their_number_is_free():
    module = attention(0, initial="gaussian")
    first, again = (module.initial_slots(3, torch.Generator().manual_seed(1)) for _ in range(2))
    other = module.initial_slots(3, torch.Generator().manual_seed(2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    more = torch.cat([first, other], dim=1)
    assert module(features(0, batch=3), more).vectors.shape == (3, 3, 8, 8)


def test_learned_slots_differ_from_each_other_and_not_between_items():
    initial = attention().initial_slots(3)
    assert torch.equal(initial[0], initial[2])
    assert torch.cdist(initial[0], initial[0]).add(torch.eye(4)).min() > 0.1


def test_one_axis_of_positions_and_none_at_all():
    given_ = features(6)
    line = Features(given_.tokens, given_.positions[:, :1])
    module, blind = attention(), attention(positions=False)
    assert module(line, module.initial_slots(2)).vectors.isfinite().all()
    initial = blind.initial_slots(2)
    assert torch.equal(blind(line, initial).vectors, blind(given_, initial).vectors)
    with pytest.raises(UserError, match="3 axes"):
        module(Features(given_.tokens, torch.zeros(7, 3)), module.initial_slots(2))


def test_bfloat16_autocast_agrees_with_float32_and_keeps_the_competition_exact():
    module, given_ = attention(), features(7)
    exact = module(given_, module.initial_slots(2))
    with torch.autocast("cpu", torch.bfloat16):
        rough = module(given_, module.initial_slots(2))
    assert rough.vectors.dtype == rough.attention.dtype == torch.float32
    torch.testing.assert_close(rough.attention.sum(dim=2), torch.ones(2, 3, 7))
    torch.testing.assert_close(rough.vectors, exact.vectors, atol=0.05, rtol=0.05)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"initial": "zero"}, "learned"), ({"gradient": "none"}, "bi_level"), ({"iterations": 0}, "at least 1")],
)
def test_wrong_options_are_explained(options, message):
    with pytest.raises(UserError, match=message):
        attention(**options)


def test_without_an_mlp_the_slots_are_what_the_recurrent_cell_says():
    module, given_ = attention(0, iterations=1, mlp_dim=0), features(0, steps=1)
    said = []
    module.gru.register_forward_hook(lambda cell, inputs, output: said.append(output))
    found = module(given_, module.initial_slots(2)).vectors
    assert torch.equal(found.flatten(0, 2), said[0])
    assert not any("mlp" in name for name, _ in module.named_parameters())
