"""`slotaudio components`, `slotaudio recipes` and `slotaudio plugins`."""

from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from typing import Annotated

import typer

from slotaudio import __version__
from slotaudio.errors import UserError
from slotaudio.pluginmanager import BUILTIN, plugin_manager
from slotaudio.presets import PRESETS
from slotaudio.registry import REGISTRIES

_UNNAMED = ("slotaudio_build", "slotaudio_commands")
"""Hooks whose work has no name among the components."""

_SLOW = 0.5
"""Seconds of import above which a plug-in is told of: the command line is to be there in 0.3."""


def _families(begun: str) -> list[str]:
    return [name for name in REGISTRIES if name.startswith(begun)]


def recipe_names(begun: str) -> list[str]:
    """Return the recipes whose names begin so, for the shell to choose from."""
    return [offer.name for offer in PRESETS.offers() if offer.name.startswith(begun)]


def components(
    family: Annotated[
        str | None, typer.Argument(help="Show only one family, with every option.", autocompletion=_families)
    ] = None,
) -> None:
    """List every component of every plug-in by family."""
    from rich.console import Console
    from rich.markup import escape

    from slotaudio.describe import describe

    wanted = family.removesuffix("s") if family else None
    if wanted is not None and wanted not in REGISTRIES:
        raise UserError(f"no family named {family!r}; the families are: {', '.join(REGISTRIES)}")
    console = Console(highlight=False, soft_wrap=True)
    for name, registry in REGISTRIES.items():
        if wanted not in (None, name):
            continue
        console.print(f"[bold]{name}s[/bold]")
        offers = registry.offers()
        width = max((len(offer.name) for offer in offers), default=0)
        for offer in offers:
            description = describe(offer)
            origin = "" if offer.plugin == "slotaudio" else f"  ({offer.plugin})"
            console.print(f"  [cyan]{offer.name:<{width}}[/cyan]  {escape(description.summary + origin)}")
            if wanted and description.options:
                console.print(*(f"  {'':<{width}}    {escape(option)}" for option in description.options), sep="\n")


def recipes() -> None:
    """List the recipes that `slotaudio train` knows by name: slotaudio's own and those of plug-ins."""
    from rich.console import Console
    from rich.markup import escape

    console = Console(highlight=False, soft_wrap=True)
    offers = PRESETS.offers()
    width = max((len(offer.name) for offer in offers), default=0)
    for offer in offers:
        try:
            about = str(PRESETS.table(offer).get("about", ""))
        except UserError as error:  # a broken recipe must not spoil the list
            about = f"unusable: {error}"
        origin = "" if offer.plugin == "slotaudio" else f"  ({offer.plugin})"
        console.print(f"[cyan]{offer.name:<{width}}[/cyan]  {escape(about + origin)}")


def _unmet(package: str) -> Iterator[str]:
    """Yield what an installed package requires and does not find: pip says it once, and then nobody does."""
    from packaging.requirements import InvalidRequirement, Requirement

    for line in requires(package) or ():
        try:
            requirement = Requirement(line)
        except InvalidRequirement:
            yield f"{package} requires {line!r}, which cannot be read"
            continue
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        try:
            found = __version__ if requirement.name == "slotaudio" else version(requirement.name)
        except PackageNotFoundError:
            yield f"{package} requires {requirement}, which is not installed"
            continue
        if not requirement.specifier.contains(found, prereleases=True):
            yield f"{package} requires {requirement}; {found} is installed"


def plugins() -> None:
    """List plug-ins, the packages they come from, and what went wrong with any of them."""
    from rich.console import Console
    from rich.markup import escape

    # every hook is called here: one that raises is found out now, not in the middle of a run
    offers = [offer for kind in (*REGISTRIES.values(), PRESETS) for offer in kind.offers()]
    manager = plugin_manager()
    console = Console(highlight=False, soft_wrap=True)
    for name, plugin in manager.list_name_plugin():
        origin = manager.distributions.get(name)
        source = f"{origin.package} {origin.version}" if origin else "registered in this process"
        offered = [f"{offer.family}/{offer.name}" for offer in offers if offer.plugin == name]
        offered += [
            hook for hook in _UNNAMED if any(hook == found.name for found in manager.get_hookcallers(plugin) or ())
        ]
        seconds = manager.seconds.get(name, 0)
        slow = f"  (takes {seconds:.1f} s to import, whatever is asked of slotaudio)" if seconds > _SLOW else ""
        console.print(f"[cyan]{escape(name)}[/cyan]  {escape(source)}  {escape(', '.join(offered) + slow)}")
        for reason in _unmet(origin.package) if origin and name != BUILTIN else ():
            console.print(f"[yellow]{escape(name)}[/yellow]  warning: {escape(reason)}")
    if manager.left_out:
        console.print(f"left out by SLOTAUDIO_PLUGINS: {escape(', '.join(manager.left_out))}")
    for name, reasons in manager.failures.items():
        console.print(*(f"[red]{escape(name)}[/red]  failed: {escape(reason)}" for reason in reasons), sep="\n")
