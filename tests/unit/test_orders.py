"""Orders of slots over windows: what is believed of them, and what comes again."""

import pytest
import torch

from slotaudio.matchers.exhaustive import Exhaustive
from slotaudio.separation.orders import Orders


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
