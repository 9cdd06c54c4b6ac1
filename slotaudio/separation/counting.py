"""How many speak: counted by one model, so that the best one for that number may separate."""

import os
import warnings
from collections.abc import Callable
from functools import cache
from typing import Any

from slotaudio.errors import UserError
from slotaudio.separation.intake import Blocks, SeparationWarning, UpToDamage, Wave, opened
from slotaudio.separation.separator import Separator

Progress = Callable[[float], None]


def count(
    separator: Separator,
    source: Wave | str | os.PathLike[str] | Blocks,
    sample_rate: int | None = None,
    progress: Progress | None = None,
) -> int:
    """Return how many sources a recording holds, in constant memory; see `slotaudio.separation.presence`.

    Of a damaged recording, what comes before the damage is counted.

    Args:
        separator: its `sources` are the least and the most that may be found.
        source, sample_rate: as for `Separator.stream`.
        progress: called with the seconds that are done.

    Raises:
        UserError, AudioFileError: as for `Separator.stream`; a recording without samples.
    """
    with opened(source, sample_rate, separator.sample_rate) as (blocks, rate, name):
        meter = separator.presence_meter()
        stream, fit = separator.open(rate, observer=meter.update), None
        recording = UpToDamage(blocks)
        for block in recording:
            fit = fit or separator.channel_map(block.shape[1], rate, name)
            stream.push(fit(block))
            if progress is not None:
                progress(stream.received / rate)
        if not stream.received:
            raise recording.damage or UserError(f"{name} holds no samples")
        stream.finish()
    least, most = separator.sources
    return int(meter.found()[0].clamp(least, most))


class Separators:
    """Separators by how many speak, each loaded once: of the models that ship, one counts, and one is best for two.

    Args:
        model: see `slotaudio.pretrained.from_pretrained`. ``"default"`` is the best model for the number of sources,
            which is counted first where it is open; any other is taken as it is, and counts by itself.
        sources: see `Separator`.
        options: others of `Separator`.

    Raises:
        UserError, PretrainedError: as for `Separator.from_pretrained`.
    """

    def __init__(self, model: str | os.PathLike[str] = "default", sources: Any = None, **options: Any) -> None:
        self.first = Separator.from_pretrained(model, sources=sources, **options)
        """Counts, or does everything."""
        least, most = self.first.sources
        self.counts = model == "default" and least < most
        self._told = cache(lambda number: Separator.from_pretrained(sources=number, **options))

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
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SeparationWarning)  # whoever separates it says the same
            number = count(self.first, recording, sample_rate, progress)
        return self._told(number)
