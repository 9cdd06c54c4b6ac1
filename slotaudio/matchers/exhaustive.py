"""Optimal matching without leaving the device, for few slots."""

import math
from functools import lru_cache
from itertools import permutations

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from slotaudio.errors import UserError
from slotaudio.matchers.checking import check_finite, check_sizes, on_host, sums_to_finite


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
        if not sources:
            return cost.new_empty((len(cost), 0), dtype=torch.int64)
        if cost.is_cpu:  # where an operation of NumPy costs a fraction of one of PyTorch
            host = on_host(cost)
            if self.check and not sums_to_finite(host):
                check_finite(cost)
            ways, totals = _products(slots, sources, host.dtype.char)
            return torch.from_numpy(ways.take((host.reshape(-1, slots * sources) @ totals).argmin(1), 0))
        if self.check:
            check_finite(cost)
        table = assignments(slots, sources, cost.device)
        return table[_totals(cost.detach(), table).argmin(dim=1)]


def _totals(cost: Float[Tensor, "batch slots sources"], table: Tensor) -> Float[Tensor, "batch assignments"]:
    """Return the total cost of each assignment.

    Source by source, so that no tensor of every assignment times every source is made; by adding, since
    accelerators may round what goes into a matrix product.
    """
    totals = cost[:, table[:, 0], 0]
    for source in range(1, table.shape[1]):
        totals = totals + cost[:, table[:, source], source]
    return totals


@lru_cache(maxsize=64)
def _products(slots: int, sources: int, kind: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the assignments, and the matrix "slots·sources assignments" that takes a cost to their totals."""
    ways = assignments(slots, sources, torch.device("cpu")).numpy()
    chosen = np.zeros((slots, sources, len(ways)), dtype=kind)
    chosen[ways, np.arange(sources), np.arange(len(ways))[:, None]] = 1
    return ways, chosen.reshape(slots * sources, -1)


@lru_cache(maxsize=64)
def assignments(slots: int, sources: int, device: torch.device) -> Int[Tensor, "assignments sources"]:
    """Return every way to give `sources` sources different slots, in lexicographic order."""
    ways = torch.tensor(list(permutations(range(slots), sources)), dtype=torch.int64)
    return ways.reshape(math.perm(slots, sources), sources).to(device)
