"""What commands that take several recordings have in common."""

from collections.abc import Callable, Iterable
from pathlib import Path

from slotaudio.cli.reporting import report
from slotaudio.errors import UserError


def for_each(recordings: Iterable[Path], work: Callable[[Path], None]) -> int:
    """Do something with each recording, whatever became of the others, and return the exit code.

    Outputs are named after their recordings: of two with one name, in whatever folders, the second is refused.
    """
    codes = {0}
    seen: dict[str, Path] = {}
    for path in dict.fromkeys(recordings):
        try:
            twin = seen.setdefault(path.stem.casefold(), path)  # some disks do not tell A from a
            if twin is not path:
                raise UserError(f"{path}: its outputs would get the names of those of {twin}; choose another folder")
            work(path)
        except Exception as error:
            codes.add(report(error))
    return 1 if 1 in codes else max(codes)
