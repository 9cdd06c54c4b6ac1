"""The blocks of a recording go in, pieces of its sources come out: the loop of everything that takes recordings."""

import os
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from jaxtyping import Float
from torch import Tensor

from slotaudio.separation.intake import Blocks, UpToDamage, Wave, opened
from slotaudio.separation.joining import JoiningRule
from slotaudio.separation.observation import Observation

if TYPE_CHECKING:
    from slotaudio.separation.separator import Separator


def pieces(
    separator: "Separator",
    blocks: Iterable[Float[Tensor, "batch channels _"]],
    sample_rate: int,
    name: str,
    *,
    rule: JoiningRule | None = None,
    observer: Callable[[Observation], None] | None = None,
    progress: Callable[[float], None] | None = None,
    quiet: bool = False,
    follow: bool = True,
) -> Iterator[Float[Tensor, "batch slots wanted _"]]:
    """Yield pieces of all slots that follow each other, some without samples; together as long as the blocks.

    Args:
        separator: whose model and options they are made with.
        blocks: of one recording, in order, of any number of channels.
        sample_rate: of the blocks, in hertz.
        name: of the recording, in messages.
        rule, observer, follow: as for `Separator.open`.
        progress: called with the seconds that are done.
        quiet: do not warn of channels that are mixed down.

    Raises:
        UserError: an impossible sample rate, or channels that do not fit (`slotaudio.separation.intake.channel_map`).
    """
    stream, fit = separator.open(sample_rate, rule, observer, follow=follow), None
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
        for piece in pieces(separator, recording, rate, name, observer=observer):
            if piece.shape[-1]:
                yield piece[0]
        if recording.damage is not None:
            raise recording.damage
