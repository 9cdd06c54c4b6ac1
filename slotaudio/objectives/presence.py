"""Teach slots to tell whether they hold something that can be heard."""

import torch
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor, nn

from slotaudio.objectives.costs import audible


def presence_loss(
    logits: Float[Tensor, "batch slot_steps slots"],
    chosen: Int[Tensor, "windows sources"],
    mixture: Float[Tensor, "batch steps 1 channels time"],
    sources: Float[Tensor, "batch steps sources channels time"],
) -> Float[Tensor, ""]:
    """Return the binary cross-entropy of presence logits, one or several per window.

    A slot is present where the source it was matched with can be heard against the mixture of the whole
    clip, so that a speaker's pause is an absence; slots without a source are absent.

    Args:
        logits: of each slot, in every window or in every equal part of it.
        chosen: the slot of every source, window by window (``windows`` is ``batch * steps``).
        mixture, sources: the windows.
    """
    parts = logits.shape[1] // sources.shape[1]
    power = rearrange(sources.square().mean(dim=3), "batch steps sources time -> (batch steps) sources time")
    heard = audible(
        rearrange(
            nn.functional.adaptive_avg_pool1d(power, parts),
            "(batch steps) sources parts -> batch (steps parts) sources",
            batch=len(logits),
        ),
        rearrange(mixture, "batch steps 1 channels time -> batch channels (steps time)"),
    )
    slots = rearrange(chosen, "(batch steps) sources -> batch steps sources", batch=len(logits))
    slots = slots.repeat_interleave(parts, dim=1)
    target = torch.zeros_like(logits, dtype=torch.float32).scatter(2, slots, heard.float())
    return nn.functional.binary_cross_entropy_with_logits(logits.float(), target)
