"""One page per command, from the command line itself: options, defaults and help cannot drift."""

import inspect
import types
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints

from generated import Folder, table, toctree
from sphinx.application import Sphinx
from typer.main import get_command
from typer.models import ArgumentInfo, OptionInfo

from slotaudio.cli import app as own_commands
from slotaudio.cli.plugin_commands import with_plugins
from slotaudio.pluginmanager import plugin_manager


def write_pages(app: Sphinx) -> None:
    """Write the index and one page per command, those of plug-ins included."""
    command_line = with_plugins(own_commands, plugin_manager())
    commands = {str(info.name): info for info in command_line.registered_commands if not info.hidden}
    made: Any = get_command(command_line)  # typer alone knows what the options are called in the end
    with Folder(Path(app.srcdir) / "reference" / "commands") as folder:
        rows = []
        for name, info in commands.items():
            assert info.callback is not None
            paragraphs = _paragraphs(info.help or inspect.getdoc(info.callback) or "")
            folder.write(f"{name}.md", _page(name, paragraphs, info.callback, _names(made.commands[name])))
            rows.append((f"[`slotaudio {name}`]({name}.md)", paragraphs[0]))
        assert command_line.registered_callback is not None
        assert command_line.registered_callback.callback is not None
        general = _options(command_line.registered_callback.callback, _names(made))
        text = f"# Command line\n\n{_INTRODUCTION}\n{table(('command', 'what it does'), rows)}\n"
        folder.write("index.md", f"{text}\n## Before any command\n\n{general}{toctree(*commands)}")


def _names(command: Any) -> dict[str, list[str]]:
    return {parameter.name: [*parameter.opts, *parameter.secondary_opts] for parameter in command.params}


def _page(name: str, paragraphs: list[str], function: Callable[..., Any], names: Mapping[str, Sequence[str]]) -> str:
    arguments = [(_usage(key, info), info) for key, info, _, _ in _parameters(function, ArgumentInfo)]
    usage = " ".join(["slotaudio", name, "[OPTIONS]", *(word for word, _ in arguments)])
    text = [f"# slotaudio {name}", "", "\n\n".join(paragraphs), "", f"```\n{usage}\n```", ""]
    if arguments:
        text.append(table(("argument", "what it is"), [(f"`{word}`", info.help or "") for word, info in arguments]))
    return "\n".join([*text, _options(function, names)])


def _options(function: Callable[..., Any], names: Mapping[str, Sequence[str]]) -> str:
    rows = []
    for key, info, kind, default in _parameters(function, OptionInfo):
        value = "" if kind is bool else f" `{info.metavar or _kind(kind)}`"
        shown = ", ".join(f"`{name}`" for name in sorted(names[key], key=len, reverse=True)) + value
        rows.append((shown, info.help or "", _default(default)))
    return table(("option", "what it does", "default"), rows) + "\n" if rows else ""


def _parameters(function: Callable[..., Any], kind: type) -> list[tuple[str, Any, Any, Any]]:
    """Return name, description, type and default of the arguments or options of a command."""
    hints = get_type_hints(function, include_extras=True)
    found = []
    for name, parameter in inspect.signature(function).parameters.items():
        plain, *about = get_args(hints[name])
        found += [(name, info, _plain(plain), parameter.default) for info in about if isinstance(info, kind)]
    return found


def _plain(hint: Any) -> Any:
    """Return the type of one value: ``X | None`` and ``list[X]`` are X."""
    if get_origin(hint) in (Union, types.UnionType):
        return _plain(next(argument for argument in get_args(hint) if argument is not type(None)))
    return _plain(get_args(hint)[0]) if get_origin(hint) is list else hint


def _usage(name: str, info: ArgumentInfo) -> str:
    return info.metavar or name.upper()


def _kind(kind: type) -> str:
    return {str: "TEXT", int: "INT", float: "FLOAT", Path: "PATH"}.get(kind, kind.__name__.upper())


def _default(default: Any) -> str:
    if default is inspect.Parameter.empty:
        return "required"
    plain = isinstance(default, (str, int, float, Path)) and not isinstance(default, bool)
    return f"`{default}`" if plain else ""


def _paragraphs(text: str) -> list[str]:
    return [" ".join(paragraph.split()) for paragraph in inspect.cleandoc(text).split("\n\n")]


_INTRODUCTION = """`slotaudio COMMAND --help` says the same in the terminal. Commands exit with 0 when all went well,
with 2 when something in the request can be put right, with 1 when something else failed and with 130 when
interrupted. Messages go to standard error and say what was asked, what was found and what is possible; results go to
standard output.
"""


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the event."""
    app.connect("builder-inited", write_pages)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
