"""What the command line says of failures and of progress; all of it on standard error."""

import os
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from slotaudio.errors import SlotaudioError, documentation
from slotaudio.pluginmanager import plugin_manager, prints_to_stderr

_CALLED: dict[str, str] = {}
"""What copies of recordings are called in messages."""


def call(path: os.PathLike[str], name: str) -> None:
    """Let messages call a file by the name that a user knows, from now on."""
    _CALLED[os.fspath(path)] = name


def as_called(message: object) -> str:
    """Return a message in which files have the names that a user knows."""
    text = str(message)
    for path, name in _CALLED.items():
        text = text.replace(path, name)
    return text


def report(error: Exception) -> int:
    """Print one message, or with ``--debug`` the traceback; return the exit code that the error asks for."""
    if os.environ.get("SLOTAUDIO_DEBUG"):
        traceback.print_exception(error)
    elif isinstance(error, SlotaudioError):
        explained = f" (see {documentation(error.page)})" if error.page else ""
        print(f"slotaudio: error: {as_called(error.on_command_line or error)}{explained}", file=sys.stderr)
    else:
        plugin = plugin_manager().raised_by(error)
        culprit = f"plug-in {plugin!r}" if plugin else "slotaudio"
        print(
            f"slotaudio: error: unexpected {type(error).__name__}: {as_called(error)}\n"
            f"This is a defect of {culprit}; `slotaudio --debug ...` shows where.",
            file=sys.stderr,
        )
    return error.exit_code if isinstance(error, SlotaudioError) else 1


@contextmanager
def waiting(what: str, quiet: bool = False) -> Iterator[None]:
    """Show a spinner while something takes seconds; nothing where nobody watches.

    Standard output is for results: what models and data sets print meanwhile goes to standard error.
    """
    from rich.console import Console

    console = Console(stderr=True)
    with prints_to_stderr():
        if quiet or not console.is_terminal:
            yield
            return
        with console.status(what):
            yield


@contextmanager
def progress_bar(name: str, quiet: bool = False) -> Iterator[Callable[[float], None] | None]:
    """Show a bar that the yielded function moves to a share from 0 to 1; None where nobody watches.

    What is printed meanwhile goes to standard error, as in `waiting`.
    """
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        with prints_to_stderr():
            yield None
        return
    columns = TextColumn("{task.description}", markup=False), BarColumn(), TaskProgressColumn()
    with (
        prints_to_stderr(),
        Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=console, transient=True) as progress,
    ):
        task = progress.add_task(name, total=None)
        yield lambda share: progress.update(task, total=1.0, completed=share)
