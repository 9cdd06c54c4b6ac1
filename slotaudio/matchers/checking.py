"""What every matcher asks of a cost, answered with the same sentence by each."""

import math

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from slotaudio.errors import UserError


class CostNotFinite(UserError):
    """A cost is NaN or infinite: the batch, or the model, is broken."""


def check_sizes(cost: Float[Tensor, "batch slots sources"]) -> None:
    """Raise unless every source can have a slot of its own.

    Raises:
        UserError: fewer slots than sources.
    """
    _, slots, sources = cost.shape
    if slots < sources:
        raise UserError(
            f"{slots} slots cannot take {sources} sources, each its own: "
            f"compose the model with slots={sources} or more, or give it at most {slots} sources"
        )


def on_host(cost: Float[Tensor, "batch slots sources"]) -> Float[np.ndarray, "batch slots sources"]:
    """Return the cost as an array; in float32 where NumPy has no such type, and sums would be coarse."""
    known = cost.dtype in (torch.float32, torch.float64)
    return (cost if known else cost.float()).numpy(force=True)


def sums_to_finite(host: Float[np.ndarray, "batch slots sources"]) -> bool:
    """Tell whether all costs are finite, by one sum of squares; where that overflows, false although they are."""
    return math.isfinite(np.vdot(host, host))


def check_finite(cost: Float[Tensor, "batch slots sources"]) -> None:
    """Raise if a cost is NaN or infinite; on an accelerator this waits for the cost to be computed.

    Raises:
        CostNotFinite: names the first batch item, slot and source, and the value.
    """
    if bool(torch.isfinite(cost).all()):
        return
    cost = cost.detach()
    item, slot, source = (~torch.isfinite(cost)).nonzero()[0].tolist()
    raise CostNotFinite(
        f"the cost of batch item {item} is not finite: {float(cost[item, slot, source])} for slot {slot} and source "
        f"{source}. Either that recording holds NaN or infinite samples, or training has diverged; a lower learning "
        "rate, longer warm-up or smaller gradient clipping help against that"
    )
