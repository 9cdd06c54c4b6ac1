"""How the commands find the separator of a recording whose number of sources is open: they listen to it first."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from slotaudio.cli.reporting import progress_bar

if TYPE_CHECKING:
    from slotaudio.separation.counting import Separators
    from slotaudio.separation.separator import Separator


def counted(separators: "Separators", path: Path, quiet: bool) -> "Separator":
    """Return the separator of a recording, with a bar of its own where it is listened to."""
    if not separators.counts:
        return separators.first
    with progress_bar(f"{path.name}: how many speak", quiet) as advance:
        return separators.of(path, progress=share_of(path, advance))


def share_of(path: Path, advance: Callable[[float], None] | None) -> Callable[[float], None]:
    """Return what moves a bar to a share, given the seconds of a file that are done."""
    from slotaudio import audio

    info = audio.info(path)

    def progress(seconds: float) -> None:
        if advance is not None and info.frames:
            advance(min(1.0, seconds * info.sample_rate / info.frames))

    return progress
