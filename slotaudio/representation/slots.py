"""Slots over time: the set of vectors behind the outputs of a `Separator`, step by step."""

import os
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float
from torch import Tensor

from slotaudio.model import SlotModel
from slotaudio.representation.embedding import Embedding, joined, name_of
from slotaudio.separation.intake import Blocks, Wave, opened

if TYPE_CHECKING:
    from slotaudio.separation.observation import Observation
    from slotaudio.separation.separator import Separator


class SlotEmbedder:
    """The slots of a model, in the order of its outputs: a speaker stays the same slot.

    Args:
        model: with bottleneck and decoder.
        attention: keep where the slots looked.
        joining, overlap, long_window, device, channel: see `slotaudio.Separator`. A model that takes any length has
            a set of slots for every `long_window` seconds, unless it has one for every frame.
    """

    def __init__(
        self,
        model: SlotModel,
        attention: bool = False,
        joining: str = "auto",
        overlap: float = 0.5,
        long_window: float = 8.0,
        device: str | None = None,
        channel: int | None = None,
    ) -> None:
        from slotaudio.separation.separator import Separator

        self.separator = Separator(model, joining, overlap, long_window=long_window, device=device, channel=channel)
        self.attention = attention

    def __call__(self, blocks: Iterable[Float[Tensor, "channels _"]], sample_rate: int) -> Iterator[Embedding]:
        """Yield the slots of the windows that are finished."""
        yield from slots_over_time(self.separator, blocks, sample_rate, self.attention, name_of(blocks))


def slots_over_time(
    separator: "Separator",
    blocks: Iterable[Float[Tensor, "channels _"]],
    sample_rate: int,
    attention: bool = True,
    name: str = "the recording",
) -> Iterator[Embedding]:
    """Yield the slots of a recording in constant memory; `slotaudio.representation.joined` puts them together.

    A model of one set of slots per window has one step per window, whose time is the window's middle. Of models
    that have a set per frame, each window gives the frames that it hears best, those nearest to its middle, so that
    no time is there twice.

    Args:
        blocks: of one recording, in order.
        sample_rate: of the blocks, in hertz.
        attention: keep where the slots looked.
        name: of the recording, in messages.

    Raises:
        UserError: see `slotaudio.separation.channels.channel_map`.
    """
    steps, fit = Steps(separator, attention), None
    stream = separator.open(sample_rate, observer=steps.observe)
    for block in blocks:
        fit = fit or separator.channel_map(block.shape[0], sample_rate, name)
        stream.push(fit(block[None]))
        yield from steps.finished(stream.received / sample_rate)
    if stream.received:
        stream.finish()
        yield from steps.finished(stream.received / sample_rate, last=True)


def all_slots(
    separator: "Separator",
    source: Wave | str | os.PathLike[str] | Blocks,
    sample_rate: int | None = None,
    attention: bool = True,
) -> Embedding:
    """Return the slots of a whole recording; see `Separator.slots`."""
    with opened(source, sample_rate, separator.sample_rate) as (blocks, rate, name):
        return joined(list(slots_over_time(separator, (block[0] for block in blocks), rate, attention, name)))


class Steps:
    """Take what a stream lets observe, and give each time once: of windows that overlap, what the nearer one saw.

    Args:
        separator: that the stream is of.
        attention: keep where the slots looked.
    """

    def __init__(self, separator: "Separator", attention: bool = False) -> None:
        framing, rate = separator.framing, separator.sample_rate
        self.attention = attention
        self._window = framing.window / rate
        self._margin = (framing.window - framing.hop) / rate / 2
        self._seen: deque[Observation] = deque()
        self._begin = -np.inf

    def observe(self, seen: "Observation") -> None:
        """Take the next window: the `observer` of the stream."""
        self._seen.append(seen)

    def finished(self, seconds: float, last: bool = False) -> Iterator[Embedding]:
        """Yield what is certain when the recording is so many seconds long by now, or at `last` over."""
        seen = self._seen
        # what the next window hears better is cut off
        while len(seen) > 1 and (end := seen[1].start + self._margin) <= seconds:
            yield self._next(end)
        while last and seen:
            end = min(seconds, seen[1].start + self._margin) if len(seen) > 1 else seconds
            only = self._begin == -np.inf and len(seen) == 1 and seen[0].slots.vectors.shape[1] == 1
            if only and seen[0].start + self._window / 2 >= seconds:
                yield replace(self._next(np.inf), times=np.array([seconds / 2]))  # shorter than half the window
            else:
                yield self._next(end)

    def _next(self, end: float) -> Embedding:
        found = _steps(self._seen.popleft(), self._window, self._begin, end, self.attention)
        self._begin = end
        return found


def _steps(seen: "Observation", window: float, begin: float, end: float, attention: bool) -> Embedding:
    """Return the steps of a window from `begin` until before `end`, and none before the recording."""
    count = seen.slots.vectors.shape[1]
    times = seen.start + (np.arange(count) + 0.5) * window / count
    kept = (times >= max(begin, -1e-9)) & (times < end)

    def array(values: Tensor | None) -> Any:
        return None if values is None else values[0].float().cpu().numpy()[kept]

    presence = seen.slots.presence
    return Embedding(
        times[kept],
        array(seen.slots.vectors),
        window if count == 1 else window / count,
        array(None if presence is None else presence.float().sigmoid()),
        array(seen.level),
        array(seen.slots.attention) if attention else None,
        seen.positions.float().cpu().numpy() if attention and seen.slots.attention is not None else None,
    )
