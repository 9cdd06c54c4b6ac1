"""What slotaudio raises: every message says what was asked, what was found and what is possible."""

import functools
import os
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path


class SlotaudioError(Exception):
    """Any failure that slotaudio explains in one sentence (exit code 1 on the command line).

    Args:
        args: the sentence.
        page: of the documentation that explains more, such as ``"howto/own-data#librimix"``; that of the class by
            default. Where to read it is a note of the exception: tracebacks and the command line show it.
        on_command_line: the sentence in the words of the command line, where those differ from Python's.
    """

    exit_code = 1
    page: str | None = None
    on_command_line: str | None = None

    def __init__(self, *args: object, page: str | None = None, on_command_line: str | None = None) -> None:
        super().__init__(*args)
        self.on_command_line = on_command_line
        self.page = page or self.page
        if self.page:
            self.add_note(f"See {documentation(self.page)}")


def documentation(page: str) -> str:
    """Return where a page is to be read: its address, its file beside this copy of the code, or its name.

    ``SLOTAUDIO_DOCS`` is the address of the documentation; that of the installed package by default.
    """
    name, _, anchor = page.partition("#")
    anchor = f"#{anchor}" if anchor else ""
    base = os.environ.get("SLOTAUDIO_DOCS") or _published()
    if base:
        return f"{base.rstrip('/')}/{name}.html{anchor}"
    source = Path(__file__).parents[1] / "docs" / f"{name}.md"
    return f"{source}{anchor}" if source.is_file() else f"{name}{anchor} in the documentation"


@functools.cache
def _published() -> str:
    try:
        urls = metadata("slotaudio").get_all("Project-URL") or []
    except PackageNotFoundError:
        return ""
    return next((url.partition(",")[2].strip() for url in urls if url.startswith("Documentation,")), "")


class UserError(SlotaudioError, ValueError):
    """Something in the request can be put right by whoever made it (exit code 2)."""

    exit_code = 2


class OutputExists(UserError):
    """A file stands where an output is to go.

    Args:
        path: of the file.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        super().__init__(path, on_command_line=f"{path} exists already; --force replaces it")
        self.path = path

    def __str__(self) -> str:
        return f"{self.path} exists already; force=True replaces it"


class UnknownComponent(UserError, LookupError):
    """No plug-in offers a component of that name."""

    page = "howto/plugins"


class AmbiguousComponent(UserError, LookupError):
    """Several plug-ins offer a component of that name."""

    page = "howto/plugins#two-of-one-name"


class WrongOptions(UserError, TypeError):
    """A component was given options that its constructor does not take."""


class IncompatibleStages(WrongOptions):
    """A stage needs what the stages before it do not offer."""

    page = "design#contracts"


class AudioFileError(UserError):
    """An audio file cannot be read, written or used."""


class PretrainedError(UserError):
    """A saved model cannot be loaded: missing, of another version, plug-in or shape."""

    page = "howto/export#save-and-load"


class DataError(UserError):
    """A data set cannot be used: wrong folder, too few speakers, wrong rate."""

    page = "howto/own-data"
