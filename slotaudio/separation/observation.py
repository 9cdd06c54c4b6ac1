"""What a stream lets others see: slots and attention of every window, in the order of the outputs."""

from dataclasses import dataclass

from einops import rearrange, reduce
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool1d

from slotaudio.separation.joining import take
from slotaudio.types import Slots


@dataclass(frozen=True)
class Observation:
    """What the model saw in one window, slots in the order of the outputs.

    It is the order in which the window was joined; who changes places inside of it (`slotaudio.separation.turns`) is
    in another output for a while.
    """

    start: float
    """Seconds from the beginning of the recording; negative for the first window's lead."""
    slots: Slots
    positions: Float[Tensor, "tokens axes"]
    order: Int[Tensor, "batch slots"]
    """For every output, which of the model's slots it was."""
    level: Float[Tensor, "batch steps slots"] | None = None
    """Decibels relative to full scale of each output in the window, or in each equal part of it; silence is -120."""


def of_window(slots: Slots, window: int, windows: int) -> Slots:
    """Cut the steps of one window out of those of several."""
    steps = slots.vectors.shape[1] // windows
    part = slice(window * steps, (window + 1) * steps)
    return Slots(
        slots.vectors[:, part],
        None if slots.attention is None else slots.attention[:, part],
        None if slots.presence is None else slots.presence[:, part],
    )


def levels(waves: Float[Tensor, "batch slots channels window"], steps: int) -> Float[Tensor, "batch steps slots"]:
    """Return the level of each wave in each of `steps` equal parts of the window, in decibels."""
    power = adaptive_avg_pool1d(reduce(waves.square(), "batch slots channels time -> batch slots time", "mean"), steps)
    return rearrange(10 * power.clamp_min(1e-12).log10(), "batch slots steps -> batch steps slots")


def reordered(slots: Slots, order: Int[Tensor, "batch slots"]) -> Slots:
    def move(values: Tensor | None) -> Tensor | None:
        return None if values is None else take(values.cpu().transpose(1, 2), order).transpose(1, 2)

    vectors = move(slots.vectors)
    assert vectors is not None
    return Slots(vectors, move(slots.attention), move(slots.presence))
