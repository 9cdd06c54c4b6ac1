"""The blocks of a recording go in, pieces of its sources come out: the loop of everything that takes recordings."""

import os
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from jaxtyping import Float
from torch import Tensor

from slotaudio.separation.intake import Blocks, UpToDamage, Wave, opened
from slotaudio.separation.observation import Observation

if TYPE_CHECKING:
    from slotaudio.separation.separator import Separator
    from slotaudio.separation.stream import SourceStream
    from slotaudio.separation.whole import WholeRecording


def pieces(
    separator: "Separator",
    stream: "SourceStream | WholeRecording",
    blocks: Iterable[Float[Tensor, "batch channels _"]],
    sample_rate: int,
    name: str,
    *,
    progress: Callable[[float], None] | None = None,
    quiet: bool = False,
) -> Iterator[Float[Tensor, "batch slots wanted _"]]:
    """Yield pieces of all slots that follow each other, some without samples; together as long as the blocks.

    Args:
        separator: whose model and options they are made with.
        stream: of this separator, to which nothing was pushed yet.
        blocks: of one recording, in order, of any number of channels.
        sample_rate: of the blocks, in hertz.
        name: of the recording, in messages.
        progress: called with the seconds that are done.
        quiet: do not warn of channels that are mixed down.

    Raises:
        UserError: channels that do not fit (`slotaudio.separation.channels.channel_map`).
    """
    fit = None
    for block in blocks:
        fit = fit or separator.channel_map(block.shape[1], sample_rate, name, quiet)
        yield stream.push(fit(block))
        if progress is not None:
            progress(stream.received / sample_rate)
    if stream.received:
        yield stream.finish()


def streamed(
    separator: "Separator",
    source: Wave | str | os.PathLike[str] | Blocks,
    sample_rate: int | None = None,
    observer: Callable[[Observation], None] | None = None,
) -> Iterator[Float[Tensor, "slots wanted _"]]:
    """Yield the pieces of one recording that hold samples; see `Separator.stream`."""
    with opened(source, sample_rate, separator.sample_rate) as (blocks, rate, name):
        recording = UpToDamage(blocks)
        for piece in pieces(separator, separator.open(rate, observer=observer), recording, rate, name):
            if piece.shape[-1]:
                yield piece[0]
        if recording.damage is not None:
            raise recording.damage
