"""What commands that take recordings have in common."""

import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from slotaudio.cli.reporting import call, report
from slotaudio.errors import OutputExists, UserError

_FILES = (".flac", ".mp3", ".npz", ".ogg", ".rttm", ".wav")


@contextmanager
def spooled(path: Path) -> Iterator[Path]:
    """Give where a recording can be read: itself, or a copy of what comes through a pipe, until the block ends.

    Audio files are read to and fro, which pipes are not. ``-`` is standard input, called ``stdin``.
    """
    stdin = str(path) in ("-", "/dev/stdin")
    if not (stdin or path.is_fifo()):
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="slotaudio-") as folder:
        copy = Path(folder) / ("stdin" if stdin else path.name)
        call(copy, "stdin" if stdin else str(path))
        with copy.open("wb") as whole:
            if stdin:
                shutil.copyfileobj(sys.stdin.buffer, whole)
            else:
                with path.open("rb") as pipe:
                    shutil.copyfileobj(pipe, whole)
        yield copy


def recordings_in(inputs: Iterable[Path], output: Path) -> list[Path]:
    """Return the recordings that were named, each once; in the place of a folder those in it.

    Args:
        inputs: files and folders, in which folders are not looked into.
        output: folder of the outputs, which are named after their recordings.

    Raises:
        UserError: a folder without recordings, or that of the outputs; recordings whose outputs would have one name;
            `output` looks like a file.
    """
    check_folder(output)
    recordings = list(dict.fromkeys(path for given in inputs for path in _files(given, output)))
    seen: dict[str, Path] = {}
    for path in recordings:
        twin = seen.setdefault(path.stem.casefold(), path)  # some disks do not tell A from a
        if twin is not path:
            raise UserError(
                f"{twin} and {path} would have outputs of one name: do them one by one, each with an -o of its own"
            )
    return recordings


def check_folder(output: Path) -> None:
    """Refuse what looks like the name of a file, where the folder of the outputs is asked for.

    Raises:
        UserError: there is no such folder, and its name ends like that of an output.
    """
    if output.suffix.lower() in _FILES and not output.is_dir():
        raise UserError(f"-o {output}: give a folder; the outputs in it are named after their recordings")


def for_each(
    recordings: Sequence[Path],
    work: Callable[[Path], None],
    *,
    force: bool = False,
    skip_existing: bool = False,
    quiet: bool = False,
) -> int:
    """Do something with each recording, whatever became of the others, and return the exit code.

    Args:
        recordings: see `recordings_in`.
        work: raises `OutputExists` before it does anything.
        force: `work` replaces outputs.
        skip_existing: a recording whose outputs are there is no failure.
        quiet: do not say at the end how many were done.

    Raises:
        UserError: `force` with `skip_existing`.
    """
    if force and skip_existing:
        raise UserError("--force replaces outputs that are there, --skip-existing leaves them: choose one")
    codes, counts = {0}, {"done": 0, "left alone": 0, "failed": 0}
    there = False
    for path in recordings:
        try:
            with spooled(path) as readable:
                work(readable)
            counts["done"] += 1
        except Exception as error:
            if skip_existing and isinstance(error, OutputExists):
                counts["left alone"] += 1
                continue
            there |= isinstance(error, OutputExists)
            codes.add(report(error))
            counts["failed"] += 1
    if not quiet and (len(recordings) > 1 or counts["left alone"]):
        others = [f"{count} {what}" for what, count in counts.items() if count and what != "done"]
        cure = "; --skip-existing leaves alone what is there" if there else ""
        said = ", ".join([f"{counts['done']} of {len(recordings)} done", *others])
        print(f"slotaudio: {said}{cure}", file=sys.stderr)
    return 1 if 1 in codes else max(codes)


def _files(given: Path, output: Path) -> Iterator[Path]:
    if not given.is_dir():
        yield given  # whoever reads it says what is wrong with it
        return
    from slotaudio.data.recordings import SUFFIXES

    if output.exists() and given.samefile(output):
        raise UserError(f"{given} is the folder of the outputs: name the recordings in it, or choose another -o")
    found = [path for path in sorted(given.iterdir()) if path.suffix.lower() in SUFFIXES and path.name[0] != "."]
    if not found:
        raise UserError(f"{given} holds no recordings; looked for {', '.join(SUFFIXES)}, but not in folders below it")
    yield from found
