"""Optimal matching on the host, for any number of slots."""

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from slotaudio.matchers.checking import check_finite, check_sizes, on_host, sums_to_finite


class Hungarian:
    """Give every source the slot that makes the total cost least (Kuhn 1955; scipy's Jonker-Volgenant).

    The matching of AudioSlots and DETR, in O(slots^3). The whole batch goes to the host in one transfer; nothing
    is differentiated through the choice.
    """

    def __call__(self, cost: Float[Tensor, "batch slots sources"]) -> Int[Tensor, "batch sources"]:
        """Return the slot of every source.

        Raises:
            UserError: fewer slots than sources.
            CostNotFinite: a cost is NaN or infinite; names the batch item.
        """
        check_sizes(cost)
        host = on_host(cost)
        if not sums_to_finite(host):
            check_finite(cost)
        chosen = np.empty((len(host), host.shape[2]), dtype=np.int64)
        for item in range(len(host)):
            chosen[item] = linear_sum_assignment(host[item].T)[1]
        found = torch.from_numpy(chosen)
        return found if cost.is_cpu else found.to(cost.device)  # `to` takes time even where it has nothing to do
