"""Orders of slots over time as the states of a hidden Markov model."""

from itertools import permutations

import torch
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import one_hot

from slotaudio.types import Matcher

MOST_ORDERED = 5
"""Slots whose orders can all be weighed against each other."""

_STAY = 0.1
"""Nats by which the order taken last is ahead at least: where nothing is known, everybody stays."""


class Orders:
    """Weigh all orders of the slots by the forward-backward recursion (Rabiner 1989, equations 19 to 27).

    Args:
        matcher: the one the model was trained with; only orders that it can give are considered.
    """

    def __init__(self, matcher: Matcher) -> None:
        self.matcher = matcher
        self._belief: Float[Tensor, "batch orders"] | None = None  # in the last step

    @property
    def begun(self) -> bool:
        """Whether any step was weighed."""
        return self._belief is not None

    def possible(self, slots: int) -> Int[Tensor, "orders slots"]:
        """Return the orders that the matcher can give, the given one first."""
        orders = torch.tensor(list(permutations(range(slots))))
        given = self.matcher(1.0 - rearrange(one_hot(orders, slots), "orders o slots -> orders slots o"))
        return orders[(given == orders).all(dim=1)]

    def weigh(
        self,
        moves: Float[Tensor, "steps batch orders orders2"],
        heard: Float[Tensor, "steps batch orders"],
        decided: int | None = None,
    ) -> Float[Tensor, "decided batch orders"]:
        """Return how probable each order is in each of the next steps.

        The first step ever has the first order by definition.

        Args:
            moves: log-probabilities of an order (last axis) after that of the step before.
            heard: log-likelihoods of what is heard in a step.
            decided: steps to go on by, all by default; those after them are foreseen only, and come again.
        """
        decided = len(heard) if decided is None else decided
        first = self._belief is None
        if self._belief is None:
            self._belief = heard.new_full(heard.shape[1:], -1e9)
            self._belief[:, 0] = 0.0
        forward, backward = [self._belief], [torch.zeros_like(self._belief)]
        for move, hear in zip(moves, heard, strict=True):
            moved = forward[-1] if first else (forward[-1][:, :, None] + move).logsumexp(dim=1)
            forward.append((moved + hear).log_softmax(dim=1))
            first = False
        for move, hear in zip(moves[1:].flip(0), heard[1:].flip(0), strict=True):
            backward.append((move + (hear + backward[-1])[:, None]).logsumexp(dim=2).log_softmax(dim=1))
        probable = (torch.stack(forward[1:]) + torch.stack(backward[::-1])).softmax(dim=-1)[:decided]
        last = forward[decided]
        taken = one_hot(probable[-1].argmax(dim=-1), heard.shape[2]).bool()
        ahead = last.masked_fill(taken, -torch.inf).amax(dim=1, keepdim=True) + _STAY
        self._belief = torch.where(taken, torch.maximum(last, ahead), last)
        return probable
