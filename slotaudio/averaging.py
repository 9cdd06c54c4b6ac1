"""`averaged`: one model out of several runs that began with the same weights."""

import copy
from collections.abc import Mapping

import torch

from slotaudio.errors import UserError
from slotaudio.model import SlotModel
from slotaudio.pretrained import from_pretrained, load_weights


@torch.no_grad()
def averaged(models: Mapping[str, float]) -> SlotModel:
    """Return the first model with the weighted mean of the weights of all ("model soups", arXiv 2203.05482).

    Runs that go on from one another, or from the same weights, mostly lie in one valley of the loss, and their
    mean is often better than each. Means of runs from different beginnings are of no use.

    Args:
        models: how much each counts, by the names that `from_pretrained` takes; only ratios matter.

    Raises:
        UserError: no models, or shares that are negative or all zero.
        PretrainedError: as for `from_pretrained`, or the models are composed differently.

    Example:
        ``averaged({"runs/talks/model": 0.35, "runs/final/model": 0.65}).save_pretrained("runs/mean")``
    """
    if not models or min(models.values()) < 0 or sum(models.values()) <= 0:
        raise UserError(
            f"averaged: shares {dict(models)} must not be negative, nor all zero, and at least one is needed"
        )
    mean = from_pretrained(next(iter(models)))
    other = copy.deepcopy(mean)
    total = {name: torch.zeros_like(tensor, dtype=torch.float64) for name, tensor in mean.state_dict().items()}
    for name, share in models.items():
        load_weights(other, name)
        for weight, tensor in other.state_dict().items():
            total[weight] += share / sum(models.values()) * tensor
    kept = mean.state_dict()  # counters and the like stay the first model's
    mean.load_state_dict({n: t.to(kept[n].dtype) if kept[n].is_floating_point() else kept[n] for n, t in total.items()})
    return mean
