"""How many speak: counted by one model, so that the best one for that number may separate."""

import os
from collections.abc import Callable
from functools import cache
from typing import Any

from slotaudio.errors import UserError
from slotaudio.model import SlotModel
from slotaudio.pretrained import COUNTING_MODEL, from_pretrained
from slotaudio.separation.intake import Blocks, UpToDamage, Wave, opened
from slotaudio.separation.pieces import pieces
from slotaudio.separation.presence import source_range
from slotaudio.separation.separator import Separator

Progress = Callable[[float], None]


def count(
    separator: Separator,
    source: Wave | str | os.PathLike[str] | Blocks,
    sample_rate: int | None = None,
    progress: Progress | None = None,
    quiet: bool = False,
) -> int:
    """Return how many sources a recording holds, in constant memory; see `slotaudio.separation.presence`.

    Of a damaged recording, what comes before the damage is counted.

    Args:
        separator: its `sources` are the least and the most that may be found.
        source, sample_rate: as for `Separator.stream`.
        progress: called with the seconds that are done.
        quiet: do not warn of channels that are mixed down.

    Raises:
        UserError, AudioFileError: as for `Separator.stream`; a recording without samples.
    """
    with opened(source, sample_rate, separator.sample_rate) as (blocks, rate, name):
        meter = separator.presence_meter()
        recording, stream = UpToDamage(blocks), separator.open(rate, observer=meter.update, follow=False)
        heard = pieces(separator, stream, recording, rate, name, progress=progress, quiet=quiet)
        if not sum(piece.shape[-1] for piece in heard):
            raise recording.damage or UserError(f"{name} holds no samples")
    least, most = separator.sources
    return int(meter.found()[0].clamp(least, most))


def best_model(name: str | os.PathLike[str], sources: Any) -> str | os.PathLike[str]:
    """Return the model of those that ship which ``"default"`` stands for where so many sources are wanted.

    Any other name is taken as it is.

    Raises:
        UserError: see `slotaudio.separation.presence.source_range`.
    """
    if name != "default" or source_range(sources or 2, slots=3) in ((1, 1), (2, 2)):
        return name
    return COUNTING_MODEL


class Separators:
    """Separators by how many speak, each model loaded once: of those that ship, one counts, and one is best for two.

    Args:
        model: see `slotaudio.pretrained.from_pretrained`. ``"default"`` is the best model for the number of sources,
            which is counted first where it is open; any other is taken as it is, and counts by itself.
        sources: see `Separator`.
        options: others of `Separator`.

    Raises:
        UserError, PretrainedError: as for `Separator.from_pretrained`.
    """

    def __init__(self, model: str | os.PathLike[str] = "default", sources: Any = None, **options: Any) -> None:
        load: Callable[[Any], SlotModel] = cache(from_pretrained)

        def separator(sources: Any) -> Separator:
            return Separator(load(best_model(model, sources)), sources=sources, **options)

        self.first = separator(sources)
        """Counts, or does everything."""
        least, most = self.first.sources
        self.counts = model == "default" and least < most
        self._told = cache(separator)

    def of(
        self, recording: Wave | str | os.PathLike[str], sample_rate: int | None = None, progress: Progress | None = None
    ) -> Separator:
        """Return the separator for a recording, which is heard first if its number of sources is open.

        Args:
            recording, sample_rate: an audio file, or a wave, as for `Separator.stream`.
            progress: called with the seconds that were heard.

        Raises:
            UserError, AudioFileError: as for `Separator.stream`.
        """
        if not self.counts:
            return self.first
        # quiet: whoever separates it says the same
        return self._told(count(self.first, recording, sample_rate, progress, quiet=True))
