"""`Separated`: what came of a recording in memory, with the axes and of the kind of its wave."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float, Shaped
from torch import Tensor
from torch.nn.functional import pad

from slotaudio.errors import UserError
from slotaudio.resampling import resample
from slotaudio.separation.doubt import Stretch
from slotaudio.separation.intake import BLOCK, Wave, as_batch, as_sources, loaded
from slotaudio.separation.joining import ByReference, take
from slotaudio.separation.observation import Observation
from slotaudio.separation.pieces import pieces
from slotaudio.separation.rules import matcher_of
from slotaudio.separation.whole import WholeRecording

if TYPE_CHECKING:
    from slotaudio.separation.separator import Separator


@dataclass(frozen=True)
class Separated:
    """What came of a wave: one source per slot."""

    sources: Any
    """Array or tensor, as the wave was; axes ``slots`` and those of the wave (``batch`` stays first)."""
    sample_rate: int
    """In hertz, that of the wave."""
    slots: Any
    """For each source, which of the model's slots it is: all in order, unless the number of sources was given."""
    presence: Any
    """How likely each slot is a source, 0 to 1 (`slotaudio.separation.presence`)."""
    found: Any
    """How many sources were found, whatever number was wanted; one number for each recording of a batch."""
    doubtful: list[Any]
    """Where voices may have changed places even so, beginning and end in seconds: listen there
    (`slotaudio.separation.hindsight`); of a batch, a list for each recording."""


def separate(
    separator: "Separator",
    wave: Wave | str | os.PathLike[str],
    sample_rate: int | None = None,
    *,
    reference: Wave | None = None,
    progress: Callable[[float], None] | None = None,
    observer: Callable[[Observation], None] | None = None,
) -> Separated:
    """Separate a recording in memory; see `Separator.__call__`."""
    wave, rate, name = loaded(wave, sample_rate, separator.sample_rate)
    batch = as_batch(wave, rate)
    length = batch.shape[-1]
    if length == 0:
        raise UserError(f"{name} holds no samples")
    rule = None
    if reference is not None:
        sources, framing = resample(as_sources(reference, wave), rate, separator.sample_rate), separator.framing
        rule = ByReference(matcher_of(separator.model), pad(sources, (framing.lead, 0)), framing.hop)
    whole = WholeRecording(separator, rate, rule, observer)
    share = None if progress is None else lambda seconds: progress(seconds / (length / rate))
    blocks = batch.split(round(BLOCK * rate), dim=-1)
    outputs = torch.cat(list(pieces(separator, whole, blocks, rate, name, progress=share)), dim=-1)
    return separated(outputs, whole, separator.sources, wave)


def separated(
    outputs: Float[Tensor, "batch slots channels time"],
    whole: WholeRecording,
    wanted: tuple[int, int],
    wave: Wave,
) -> Separated:
    """Put outputs into order, and keep as many as are wanted, those that are sources.

    Args:
        outputs: of all slots; they change places in this memory.
        whole: that gave them.
        wanted: least and most sources.
        wave: that they came from.

    Raises:
        UserError: recordings of one batch that hold different numbers of sources.
    """
    chosen = whole.meter.chosen(*wanted)
    numbers = [len(slots) for slots in chosen]
    if len(set(numbers)) > 1:
        raise UserError(
            f"the recordings of this batch hold {', '.join(map(str, numbers))} sources: give them one by one, "
            "or say how many sources you want of each"
        )
    doubtful = in_order(outputs, whole)
    slots = torch.tensor(chosen)
    found = entries_like(whole.meter.found()[:, None], wave)[..., 0]
    return Separated(
        like(take(outputs, slots), wave),
        whole.sample_rate,
        slots=entries_like(slots, wave),
        presence=entries_like(whole.meter.scores(), wave),
        found=found if wave.ndim == 3 else int(found),
        doubtful=doubtful if wave.ndim == 3 else doubtful[0],
    )


def in_order(outputs: Float[Tensor, "batch slots channels time"], whole: WholeRecording) -> list[list[Stretch]]:
    """Put all outputs of whole recordings into order, in their memory, and return where that is doubtful.

    Args:
        outputs: of all slots.
        whole: that gave them.
    """
    size, doubtful = round(BLOCK * whole.sample_rate), []
    for number, waves in enumerate(outputs):
        order = whole.order(number)
        doubtful.append(order.doubtful)
        if order.changes:
            for start in range(0, waves.shape[-1], size):
                block = waves[..., start : start + size]
                block.copy_(order.applied(block, start))
    return doubtful


def like(sources: Float[Tensor, "batch slots channels time"], wave: Wave) -> Wave:
    """Return sources with the axes and of the kind of the wave that they came from."""
    if wave.ndim == 1:
        sources = sources[0, :, 0]
    elif wave.ndim == 2:
        sources = sources[0]
    return sources.numpy() if isinstance(wave, np.ndarray) else sources.to(wave.device)


def entries_like(
    values: Shaped[Tensor, "batch slots"], wave: Wave
) -> Shaped[Tensor, "..."] | Shaped[np.ndarray, "..."]:
    """Return one number per slot with the batch axis and of the kind of the wave that they came from."""
    values = values if wave.ndim == 3 else values[0]
    return values.numpy() if isinstance(wave, np.ndarray) else values.to(wave.device)
