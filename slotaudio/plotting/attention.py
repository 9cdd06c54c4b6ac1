"""Where slots looked: attention of all windows, laid over one another in time."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from torch import Tensor

from slotaudio.plotting.colours import fading
from slotaudio.separation.observation import Observation


def attention_map(
    observations: Sequence[Observation], window: float, seconds: float
) -> Float[Tensor, "slots rows columns"] | None:
    """Lay the attention of all windows over one another in time; None if the model has none to show.

    Args:
        observations: of the windows of one recording, as a separator's `observer` gets them.
        window: seconds per window.
        seconds: length of the map.
    """
    maps = [observation.slots.attention[0] for observation in observations if observation.slots.attention is not None]
    if not maps:
        return None
    attention = torch.stack(maps).float().cpu()  # windows steps slots tokens
    positions = observations[0].positions.cpu()
    rows = positions[:, 0].unique() if positions.shape[1] == 2 else positions.new_zeros(1)
    row = (
        torch.searchsorted(rows, positions[:, 0].contiguous()) if len(rows) > 1 else torch.zeros(len(positions)).long()
    )
    steps, slots = attention.shape[1:3]
    columns = len(positions[:, -1].unique()) * steps
    width = max(1, round(seconds / window * columns))
    total, weight = torch.zeros(slots, len(rows), width), torch.zeros(len(rows), width)
    for number, observation in enumerate(observations):
        for step in range(steps):
            inside = (step + (positions[:, -1] + 1) / 2 * (1 - 1 / columns) + 0.5 / columns) / steps
            column = ((observation.start + inside * window) / seconds * width).floor().long()
            valid = (column >= 0) & (column < width)
            cells = (row[valid], column[valid])
            weight.index_put_(cells, torch.ones(int(valid.sum())), accumulate=True)
            for slot in range(slots):
                total[slot].index_put_(cells, attention[number, step, slot, valid], accumulate=True)
    return total / weight.clamp_min(1)


def attention_overlay(
    axes: Axes, attention: Float[Tensor, "rows columns"], colour: str, seconds: float, top: float
) -> None:
    """Lay a slot's attention in its colour over a picture that reaches from 0 to `top` kHz."""
    strength = (attention / attention.flatten().quantile(0.99).clamp_min(1e-9)).clamp(0, 1)
    axes.imshow(
        strength.numpy(),
        origin="lower",
        aspect="auto",
        cmap=fading(colour),
        vmin=0,
        vmax=1,
        extent=(0, seconds, 0, top),
        interpolation="bilinear",
    )
