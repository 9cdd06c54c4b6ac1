"""Orders of slots over windows: what is believed of them, and what comes again."""

from itertools import pairwise, product

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from slotaudio.matchers.exhaustive import Exhaustive
from slotaudio.separation.orders import Orders


@given(st.integers(0, 999), st.integers(1, 4), st.sampled_from([2, 3]))
def test_an_order_is_as_probable_as_all_paths_through_it(seed, steps, slots):
    generator, orders = torch.Generator().manual_seed(seed), Orders(Exhaustive())
    number = len(orders.possible(slots))
    moves = torch.randn(steps, 1, number, number, generator=generator).double().log_softmax(dim=-1)
    heard = 2 * torch.randn(steps, 1, number, generator=generator).double()
    expected = torch.zeros(steps, number).double()
    for path in product([0], *[range(number)] * (steps - 1)):  # the first step has the first order
        likely = sum(heard[step, 0, order] for step, order in enumerate(path))
        likely = likely + sum(moves[step + 1, 0, old, new] for step, (old, new) in enumerate(pairwise(path)))
        expected[range(steps), path] += likely.exp()
    torch.testing.assert_close(orders.weigh(moves, heard)[:, 0], expected / expected.sum(dim=1, keepdim=True))


def test_whoever_is_in_a_place_stays_where_nothing_is_known():
    orders = Orders(Exhaustive())
    flat = torch.full((1, 1, 2, 2), -0.6931)
    orders.weigh(flat, torch.zeros(1, 1, 2))
    orders._belief = torch.zeros(1, 2)
    orders.weigh(flat, torch.tensor([[[0.0, 1e-4]]]))  # the second order is taken, by next to nothing
    assert orders._belief[0, 1] - orders._belief[0, 0] >= 0.0999


def test_what_is_only_foreseen_comes_again():
    def after(decided):
        orders = Orders(Exhaustive())
        moves = torch.tensor([[0.9, 0.1], [0.1, 0.9]]).log().expand(4, 1, 2, 2)
        heard = torch.tensor([0.0, 3.0, -3.0, -6.0])[:, None, None] * torch.tensor([0.0, 1.0])
        orders.weigh(moves, heard, decided)
        return orders._belief

    known = Orders(Exhaustive())
    moves = torch.tensor([[0.9, 0.1], [0.1, 0.9]]).log().expand(2, 1, 2, 2)
    known.weigh(moves, torch.tensor([0.0, 3.0])[:, None, None] * torch.tensor([0.0, 1.0]))
    assert (after(2) - after(4)).abs().max() > 1
    assert after(2)[0, 1] == pytest.approx(float(known._belief[0, 1]), abs=1e-5)
