"""Optimal matching without leaving the device, for few slots."""

import math
from functools import lru_cache
from itertools import permutations
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from slotaudio.errors import UserError
from slotaudio.matchers.checking import check_finite, check_sizes, on_host


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
        if cost.device.type == "cpu":  # where an operation of NumPy costs a fraction of one of PyTorch
            return torch.from_numpy(self._on_host(on_host(cost), cost))
        if self.check:
            check_finite(cost)
        table = assignments(slots, sources, cost.device)
        return table[_totals(cost.detach(), table).argmin(dim=1)]

    def _on_host(
        self, host: Float[np.ndarray, "batch slots sources"], cost: Float[Tensor, "batch slots sources"]
    ) -> Int[np.ndarray, "batch sources"]:
        table = assignments(*host.shape[1:], torch.device("cpu")).numpy()
        totals = _totals(host, table)
        # every cost is part of some total
        if self.check and not math.isfinite(totals.sum()):
            check_finite(cost)
        return table[totals.argmin(axis=1)]


def _totals(cost: Any, table: Any) -> Any:
    """Return the total cost "batch assignments", of tensors or arrays.

    Source by source, so that no tensor of every assignment times every source is made.
    """
    totals = cost[:, table[:, 0], 0]
    for source in range(1, table.shape[1]):
        totals = totals + cost[:, table[:, source], source]
    return totals


@lru_cache(maxsize=64)
def assignments(slots: int, sources: int, device: torch.device) -> Int[Tensor, "assignments sources"]:
    """Return every way to give `sources` sources different slots, in lexicographic order."""
    ways = torch.tensor(list(permutations(range(slots), sources)), dtype=torch.int64)
    return ways.reshape(math.perm(slots, sources), sources).to(device)
