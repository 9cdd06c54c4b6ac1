"""Weights that stay as they are while others are trained."""

from collections.abc import Sequence

from slotaudio.errors import UserError
from slotaudio.model import SlotModel
from slotaudio.wildcards import check_patterns, fits


def freeze(model: SlotModel, patterns: Sequence[str]) -> None:
    """Freeze weights by names or wildcards.

    Parts all of whose weights are frozen compute as they will when separating: without drop-out, with the statistics
    of norms that they have. What comes before the first weight that learns costs no backward pass.

    Raises:
        UserError: a pattern fits no weight, or nothing is left to be trained.
    """
    if not patterns:
        return
    check_patterns(patterns, (name for name, _ in model.named_parameters()), "train.frozen")
    for name, weight in model.named_parameters():
        if fits(name, patterns):
            weight.requires_grad_(False)
    if not any(weight.requires_grad for weight in model.parameters()):
        raise UserError(f"train.frozen = {list(patterns)} leaves no weight of the model to be trained")
    for part in model.modules():
        weights = list(part.parameters())
        if weights and not any(weight.requires_grad for weight in weights):
            part.eval()
