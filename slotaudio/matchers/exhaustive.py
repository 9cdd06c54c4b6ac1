"""Optimal matching without leaving the device, for few slots."""

import math
from functools import lru_cache
from itertools import permutations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from slotaudio.errors import UserError
from slotaudio.matchers.checking import check_finite, check_sizes


class Exhaustive:
    """Try every assignment and take the cheapest, on the device that holds the cost.

    K slots and S sources have K! / (K - S)! assignments: 2 for two of each, 24 for four, 5040 for seven.

    Args:
        limit: most assignments to try.
        check: look for costs that are not finite. This waits for the device once per call; without it
            such a cost yields some assignment.
    """

    def __init__(self, limit: int = 5040, check: bool = True) -> None:
        self.limit = limit
        self.check = check

    def __call__(self, cost: Float[Tensor, "batch slots sources"]) -> Int[Tensor, "batch sources"]:
        """Return the slot of every source.

        Raises:
            UserError: fewer slots than sources, or too many assignments.
            CostNotFinite: a cost is NaN or infinite; names the batch item.
        """
        check_sizes(cost)
        _, slots, sources = cost.shape
        if math.perm(slots, sources) > self.limit:
            raise UserError(
                f"the exhaustive matcher would try {math.perm(slots, sources)} assignments of {slots} slots to "
                f"{sources} sources and its limit is {self.limit}: use matcher='hungarian', or raise `limit`"
            )
        if self.check:
            check_finite(cost)
        table = assignments(slots, sources, cost.device)
        detached = cost.detach()
        # source by source, so that no tensor of every assignment times every source is made
        totals = sum((detached[:, table[:, source], source] for source in range(sources)), detached.new_zeros(()))
        return table[totals.argmin(dim=1)] if sources else table.expand(len(cost), 0)


@lru_cache(maxsize=64)
def assignments(slots: int, sources: int, device: torch.device) -> Int[Tensor, "assignments sources"]:
    """Return every way to give `sources` sources different slots, in lexicographic order."""
    ways = torch.tensor(list(permutations(range(slots), sources)), dtype=torch.int64)
    return ways.reshape(math.perm(slots, sources), sources).to(device)
