"""No matching: every source has a slot of its own from the start."""

import torch
from einops import repeat
from jaxtyping import Float, Int
from torch import Tensor

from slotaudio.matchers.checking import check_finite, check_sizes


class Fixed:
    """Give source `s` slot `s`: for sources with names, such as the stems of a song.

    Args:
        check: look for costs that are not finite, although no cost is needed here; this waits for the
            device once per call.
    """

    def __init__(self, check: bool = True) -> None:
        self.check = check

    def __call__(self, cost: Float[Tensor, "batch slots sources"]) -> Int[Tensor, "batch sources"]:
        """Return the slot of every source.

        Raises:
            UserError: fewer slots than sources.
            CostNotFinite: a cost is NaN or infinite; names the batch item.
        """
        check_sizes(cost)
        if self.check:
            check_finite(cost)
        batch, _, sources = cost.shape
        return repeat(torch.arange(sources, device=cost.device), "sources -> batch sources", batch=batch)
