"""The command line. One module per command; torch is imported inside the commands that compute."""

import codecs
import inspect
import io
import os
import signal
import sys
import warnings
from collections.abc import Callable, Mapping
from typing import Annotated, NoReturn

import typer

from slotaudio import __version__
from slotaudio.cli import (
    demo,
    diarise,
    doctor,
    embed,
    evaluate,
    export,
    extract,
    listing,
    new_plugin,
    probe,
    separate,
    stream,
    train,
)
from slotaudio.cli.plugin_commands import with_plugins
from slotaudio.cli.reporting import as_called, report
from slotaudio.pluginmanager import plugin_manager

app = typer.Typer(
    name="slotaudio",
    help="Separate recordings into their sources with slot-centric models, and build such models.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool | None) -> None:
    if wanted:
        print(f"slotaudio {__version__}")
        raise typer.Exit


@app.callback()
def _global(
    version: Annotated[
        bool | None, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and stop.")
    ] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks instead of one-line messages.")] = False,
) -> None:
    if debug:
        os.environ["SLOTAUDIO_DEBUG"] = "1"


def _add(name: str, function: Callable[..., None], also: Mapping[str, str] | None = None) -> None:
    """Register a command; the paragraphs of its docstring are wrapped anew, to the terminal's width.

    Args:
        also: what an option is called elsewhere, and what it is called here.
    """
    settings = {"token_normalize_func": lambda token: also.get(token, token)} if also else None
    paragraphs = (inspect.getdoc(function) or "").split("\n\n")
    text = "\n\n".join(paragraph.replace("\n", " ") for paragraph in paragraphs)
    app.command(name, help=text, context_settings=settings)(function)


_add("separate", separate.separate, also={"speakers": "sources"})
_add("stream", stream.stream, also={"speakers": "sources"})
_add("demo", demo.demo)
_add("diarise", diarise.diarise, also={"sources": "speakers"})
_add("extract", extract.extract)
_add("embed", embed.embed)
_add("evaluate", evaluate.evaluate)
_add("probe", probe.probe)
_add("train", train.train)
_add("export", export.export)
_add("recipes", listing.recipes)
_add("components", listing.components)
_add("plugins", listing.plugins)
_add("doctor", doctor.doctor)
_add("new-plugin", new_plugin.new_plugin)


def fail(message: str, code: int) -> NoReturn:
    """Print one message on standard error and exit."""
    print(f"slotaudio: error: {message}", file=sys.stderr)
    sys.exit(code)


def _terminate(*_: object) -> NoReturn:
    raise KeyboardInterrupt  # one path for Ctrl-C and SIGTERM: outputs are closed, then the exit code tells


def _one_line(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, line: str | None = None
) -> str:
    told = getattr(message, "on_command_line", message)  # a warning that differs there, as `ChannelWarning` does
    return f"slotaudio: warning: {as_called(told)}\n"  # a user needs the sentence, not the place in the source


def _printable(error: UnicodeError) -> tuple[str | bytes, int]:
    """Print names of files as they are, UTF-8 or not, and spell out what an encoding lacks (Windows' are small)."""
    assert isinstance(error, UnicodeEncodeError)
    error.end = error.start + 1
    escaped = "\udc80" <= error.object[error.start] <= "\udcff"
    return codecs.lookup_error("surrogateescape" if escaped else "backslashreplace")(error)


def main(arguments: list[str] | None = None) -> None:
    """Run a command: exit code 2 for the user's error, 1 for ours, 130 when interrupted."""
    signal.signal(signal.SIGTERM, _terminate)
    warnings.formatwarning = _one_line
    if isinstance(sys.stdout, io.TextIOWrapper):
        codecs.register_error("slotaudio", _printable)
        sys.stdout.reconfigure(errors="slotaudio")
    try:
        with_plugins(app, plugin_manager())(args=arguments)
    except SystemExit as stop:
        if stop.code == 130:
            fail("interrupted; what was complete is kept", 130)
        raise
    except Exception as error:
        sys.exit(report(error))
