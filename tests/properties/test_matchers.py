"""Matchers: optimal, in agreement, and clear about costs that cannot be matched."""

from itertools import permutations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from slotaudio.errors import UserError
from slotaudio.matchers.exhaustive import Exhaustive, _totals, assignments
from slotaudio.matchers.fixed import Fixed
from slotaudio.matchers.hungarian import Hungarian

seeds = st.integers(0, 2**31 - 1)
MATCHERS = (Hungarian(), Exhaustive(), Fixed())


@st.composite
def costs(draw: st.DrawFn, largest: int = 5) -> torch.Tensor:
    """Costs of up to five slots and at most as many sources: random, with ties, or all equal (silence)."""
    slots = draw(st.integers(1, largest))
    sources = draw(st.integers(1, slots))
    generator = torch.Generator().manual_seed(draw(seeds))
    values = torch.randn(draw(st.integers(1, 4)), slots, sources, generator=generator)
    return {"random": values, "ties": values.round(), "silence": 0 * values}[
        draw(st.sampled_from(["random", "ties", "silence"]))
    ]


def total(cost: torch.Tensor, assignment: torch.Tensor) -> torch.Tensor:
    return cost.gather(1, assignment[:, None])[:, 0].sum(-1)


@given(costs())
def test_optimal_matchers_equal_brute_force(cost):
    _, slots, sources = cost.shape
    ways = list(permutations(range(slots), sources))
    least = torch.stack([total(cost, torch.tensor(way).expand(len(cost), -1)) for way in ways]).amin(0)
    for matcher in (Hungarian(), Exhaustive()):
        torch.testing.assert_close(total(cost, matcher(cost)), least)


@given(costs(largest=6))
def test_every_source_gets_a_slot_of_its_own(cost):
    _, slots, sources = cost.shape
    for matcher in MATCHERS:
        assignment = matcher(cost)
        assert assignment.dtype == torch.int64
        assert assignment.shape == (len(cost), sources)
        assert ((assignment >= 0) & (assignment < slots)).all()
        assert all(len(set(row)) == sources for row in assignment.tolist())


@given(seeds, st.integers(1, 5), st.integers(0, 2))
def test_matchers_agree_where_the_best_assignment_is_unique(seed, sources, more):
    cost = torch.randn(3, sources + more, sources, generator=torch.Generator().manual_seed(seed))
    assert torch.equal(Hungarian()(cost), Exhaustive()(cost))


@given(costs(), seeds)
def test_permuting_slots_or_sources_permutes_the_assignment(cost, seed):
    cost = cost + 1e-3 * torch.rand(cost.shape, generator=torch.Generator().manual_seed(seed))  # no ties
    generator = torch.Generator().manual_seed(seed)
    order, sources = (torch.randperm(size, generator=generator) for size in cost.shape[1:])
    for matcher in (Hungarian(), Exhaustive()):
        expected = matcher(cost)
        assert torch.equal(order[matcher(cost[:, order])], expected)
        assert torch.equal(matcher(cost[:, :, sources]), expected[:, sources])


@given(costs())
def test_fixed_gives_every_source_its_own_number(cost):
    assert Fixed()(cost).tolist() == [list(range(cost.shape[2]))] * len(cost)


@given(costs(), st.sampled_from([torch.float64, torch.float32, torch.bfloat16]))
def test_nothing_is_differentiated_and_any_precision_is_taken(cost, dtype):
    for matcher in MATCHERS:
        assert not matcher(cost.to(dtype).requires_grad_()).requires_grad


@given(costs(), st.sampled_from([float("nan"), float("inf"), float("-inf")]), seeds)
def test_costs_that_are_not_finite_raise_the_same_error_naming_the_item(cost, value, seed):
    generator = torch.Generator().manual_seed(seed)
    item, slot, source = (int(torch.randint(size, (), generator=generator)) for size in cost.shape)
    cost[item, slot, source] = value
    cost.requires_grad_()
    said = set()
    for matcher in MATCHERS:
        with pytest.raises(UserError) as caught:
            matcher(cost)
        said.add(str(caught.value))
    assert len(said) == 1
    assert f"cost of batch item {item} is not finite: {value} for slot {slot} and source {source}" in said.pop()


def test_costs_in_double_precision_are_told_apart_in_it():
    cost = 1 + torch.tensor([[[1e-12, 0.0], [0.0, 1e-12]]], dtype=torch.float64)  # all are 1 in float32
    for matcher in (Hungarian(), Exhaustive()):
        assert matcher(cost).tolist() == [[1, 0]]


def test_unchecked_matchers_do_not_look():
    cost = torch.full((2, 2, 2), float("nan"))
    assert Exhaustive(check=False)(cost).shape == Fixed(check=False)(cost).shape == (2, 2)


@pytest.mark.parametrize("matcher", MATCHERS)
def test_too_few_slots_are_explained(matcher):
    with pytest.raises(UserError, match=r"2 slots cannot take 3 sources.*slots=3"):
        matcher(torch.zeros(1, 2, 3))


def test_too_many_assignments_are_explained():
    with pytest.raises(UserError, match=r"40320 assignments of 8 slots to 8 sources.*hungarian"):
        Exhaustive()(torch.zeros(1, 8, 8))
    assert Exhaustive(limit=40320)(torch.zeros(1, 8, 8)).shape == (1, 8)
    assert Hungarian()(torch.randn(1, 16, 16)).shape == (1, 16)


@pytest.mark.parametrize("matcher", MATCHERS)
@pytest.mark.parametrize(("batch", "sources"), [(0, 2), (2, 0)])
def test_empty_batches_and_no_sources_are_legal(matcher, batch, sources):
    assert matcher(torch.zeros(batch, 3, sources)).shape == (batch, sources)


def noise(*shape, seed=0):
    return 0.1 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_totals_on_an_accelerator_are_the_sums():
    cost, table = noise(5, 4, 3), assignments(4, 3, torch.device("cpu"))
    expected = [
        [sum(float(row[slot, s]) for s, slot in enumerate(way)) for way in permutations(range(4), 3)] for row in cost
    ]
    torch.testing.assert_close(_totals(cost, table), torch.tensor(expected))
