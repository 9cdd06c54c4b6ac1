"""Writing files: nothing half-written under its final name, nothing replaced that was to stay."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from slotaudio.errors import OutputExists, UserError


def partial_path(path: str | os.PathLike[str]) -> Path:
    """Return the temporary name of a file until it is complete: ``talk.wav`` is ``talk.part.wav``."""
    path = Path(path)
    return path.with_name(f"{path.stem}.part{path.suffix}")


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield the temporary name of a file, which takes the file's place when the block is over.

    If the block fails the temporary file is removed, and what stood under the final name is as it was.

    Raises:
        OSError: the file cannot take its place.
    """
    partial = partial_path(path)
    try:
        yield partial
        os.replace(partial, path)
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)


def check_free(path: str | os.PathLike[str], force: bool = False) -> None:
    """Refuse to write over a file, unless that is wanted, or where a folder is, or below a file: those stay.

    Raises:
        OutputExists: the file exists.
        UserError: a folder has that name, or a file has that of a folder above.
    """
    if Path(path).is_dir():
        raise UserError(
            f"{path} is a folder, and a file is to be written there: choose another output, or move the folder"
        )
    if Path(path).exists() and not force:
        raise OutputExists(path)
    above = next((folder for folder in Path(path).parents if folder.exists()), None)
    if above is not None and not above.is_dir():
        raise UserError(f"the folder {Path(path).parent} cannot be made: {above} is a file; choose another")


def make_folder(folder: str | os.PathLike[str]) -> None:
    """Make a folder for outputs, and those above it, unless it is there.

    Raises:
        UserError: it cannot be made.
    """
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise UserError(f"the folder {folder} cannot be made: a file has that name; choose another") from None
    except OSError as error:
        raise UserError(f"the folder {folder} cannot be made: {error.strerror}") from None
