"""Commands of plug-ins: they join ours, and none takes the place of another."""

import copy
from typing import Any

import typer
from typer.main import get_command, get_command_name

from slotaudio.pluginmanager import BUILTIN, PluginManager


def with_plugins(app: typer.Typer, manager: PluginManager) -> typer.Typer:
    """Return a copy of the command line that has the plug-ins' commands too.

    Each plug-in fills a `typer.Typer` of its own, so that it can neither replace a command nor touch the options
    before all commands. One that tries, or whose commands cannot be built, is recorded as failed and adds none.
    """
    whole = copy.copy(app)
    whole.registered_commands, whole.registered_groups = [*app.registered_commands], [*app.registered_groups]
    owner = {info.name: BUILTIN for info in app.registered_commands}
    for implementation in manager.hook.slotaudio_commands.get_hookimpls():
        plugin, own = implementation.plugin_name, typer.Typer()
        well, _ = manager.call("slotaudio_commands", implementation, app=own)
        if not well:
            continue
        try:
            names = _names(own)
        except Exception as error:  # typer looks at the types of parameters only now
            manager.fail(plugin, f"its commands cannot be built: {type(error).__name__}: {error}")
            continue
        taken = [f"{name!r}, which plug-in {owner[name]!r} has" for name in names if name in owner]
        if own.registered_callback is not None:
            manager.fail(plugin, "slotaudio_commands() adds a callback; the options before a command are slotaudio's")
        elif taken:
            manager.fail(plugin, f"slotaudio_commands() adds the command {taken[0]}: its commands were left out")
        else:
            owner |= dict.fromkeys(names, plugin)
            whole.registered_commands += own.registered_commands
            whole.registered_groups += own.registered_groups
    return whole


def _names(app: typer.Typer) -> list[str]:
    """The names of commands and of groups of commands, all of which are built to find them."""
    for info in app.registered_commands:
        info.name = info.name or get_command_name(getattr(info.callback, "__name__", ""))
    if not app.registered_commands and not app.registered_groups:
        return []
    grouped = copy.copy(app)
    grouped.registered_callback = None
    grouped.callback()(lambda: None)  # without one, typer makes no group of a lone command
    command: Any = get_command(grouped)
    return list(command.commands)
