"""What a stream lets others see: slots and attention of every window, in the order of the outputs."""

from dataclasses import dataclass

from jaxtyping import Float, Int
from torch import Tensor

from slotaudio.separation.joining import take
from slotaudio.types import Slots


@dataclass(frozen=True)
class Observation:
    """What the model saw in one window, slots in the order of the outputs."""

    start: float
    """Seconds from the beginning of the recording; negative for the first window's lead."""
    slots: Slots
    positions: Float[Tensor, "tokens axes"]
    order: Int[Tensor, "batch slots"]
    """For every output, which of the model's slots it was."""


def of_window(slots: Slots, window: int, windows: int) -> Slots:
    """Cut the steps of one window out of those of several."""
    steps = slots.vectors.shape[1] // windows
    part = slice(window * steps, (window + 1) * steps)
    return Slots(
        slots.vectors[:, part],
        None if slots.attention is None else slots.attention[:, part],
        None if slots.presence is None else slots.presence[:, part],
    )


def reordered(slots: Slots, order: Int[Tensor, "batch slots"]) -> Slots:
    def move(values: Tensor | None) -> Tensor | None:
        return None if values is None else take(values.cpu().transpose(1, 2), order).transpose(1, 2)

    vectors = move(slots.vectors)
    assert vectors is not None
    return Slots(vectors, move(slots.attention), move(slots.presence))
