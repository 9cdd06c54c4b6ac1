"""Finds plug-ins, isolates the broken ones and says what became of each."""

import contextlib
import functools
import os
import sys
import time
import traceback
import warnings
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import pluggy

from slotaudio import __version__, hookspecs
from slotaudio.errors import SlotaudioError
from slotaudio.spelling import did_you_mean

ENTRY_POINT_GROUP = "slotaudio"
BUILTIN = "slotaudio"


class PluginWarning(UserWarning):
    """A plug-in could not be loaded, or offers a hook that does not exist."""


class PluginLoadError(SlotaudioError):
    """A plug-in failed to load and ``SLOTAUDIO_STRICT_PLUGINS=1`` asks for an error."""


@dataclass(frozen=True)
class Distribution:
    """The installed package that a plug-in came from."""

    package: str
    version: str


class PluginManager(pluggy.PluginManager):
    """A pluggy manager that remembers where plug-ins came from and why some failed."""

    def __init__(self) -> None:
        super().__init__("slotaudio")
        self.add_hookspecs(hookspecs)
        self.distributions: dict[str, Distribution] = {}
        self.failures: dict[str, list[str]] = {}
        """All that went wrong, by plug-in."""
        self.left_out: list[str] = []
        """Installed plug-ins that ``SLOTAUDIO_PLUGINS`` does not name."""
        self.seconds: dict[str, float] = {}
        """How long each plug-in took to import: whoever waits for ``--help`` wants to know why."""
        self.strict = os.environ.get("SLOTAUDIO_STRICT_PLUGINS", "") not in ("", "0")

    def fail(self, plugin: str, error: BaseException | str) -> None:
        """Record that `plugin` failed; warn, or raise in strict mode.

        Raises:
            PluginLoadError: in strict mode.
        """
        reason = error if isinstance(error, str) else f"{type(error).__name__}: {error}"
        reason = " ".join(reason.split())  # pluggy's own go over several lines
        if reason in self.failures.setdefault(plugin, []):
            return  # one warning per failure, however many registries look
        self.failures[plugin].append(reason)
        sentence = f"plug-in {plugin!r} failed to load: {reason}"
        if self.strict:
            cause = error if isinstance(error, BaseException) else None
            raise PluginLoadError(sentence) from cause
        warnings.warn(f"{sentence} (`slotaudio plugins` lists it; everything else works)", PluginWarning, stacklevel=2)

    def load(self, entry_point: EntryPoint) -> None:
        """Import and register one third-party plug-in; a failure is recorded, not raised."""
        name, package = entry_point.name, entry_point.dist
        if self.has_plugin(name):
            source = f" of package {package.name!r}" if package else ""
            self.fail(name, f"another plug-in has taken that name; the one{source} was left out")
            return
        started = time.perf_counter()
        try:
            with prints_to_stderr():
                module = entry_point.load()
            self.register(module, name=name)
        except (Exception, SystemExit) as error:  # anything at all may go wrong in foreign code at import
            if self.has_plugin(name):
                self.unregister(name=name)  # pluggy keeps the hooks that it had seen before the wrong one
            self.fail(name, error)
        else:
            self.seconds[name] = time.perf_counter() - started
            if package is not None:
                self.distributions[name] = Distribution(package.name, package.version)
            self._check_marks(name, module)

    def _check_marks(self, name: str, plugin: Any) -> None:
        """Report hooks without the mark, which pluggy passes over in silence."""
        marked = {hook.name for hook in self.get_hookcallers(plugin) or ()}
        unmarked = sorted(self._known().intersection(dir(plugin)) - marked)
        if unmarked:
            self.fail(name, f"{', '.join(unmarked)} lacks the mark @slotaudio.hookimpl, so that nobody calls it")
        elif not marked:
            known = ", ".join(sorted(self._known()))
            self.fail(name, f"no function of it is marked with @slotaudio.hookimpl. Known hooks: {known}")

    def _known(self) -> set[str]:
        return {name for name, hook in vars(self.hook).items() if hook.has_spec()}

    def check(self) -> None:
        """Report hooks that no specification knows: almost always a misspelt name."""
        known = sorted(self._known())
        for name, hook in vars(self.hook).items():
            if hook.has_spec():
                continue
            hint = did_you_mean(name, known)
            for implementation in hook.get_hookimpls():
                if not implementation.optionalhook:
                    reason = f"there is no hook {name!r}.{hint} Known hooks: {', '.join(known)}"
                    self.fail(implementation.plugin_name, reason)

    def packages(self) -> dict[str, str]:
        """Return the packages that are loaded, slotaudio among them, and their versions."""
        return {origin.package: origin.version for origin in self.distributions.values()}

    def raised_by(self, error: BaseException) -> str | None:
        """Return the third-party plug-in in whose package `error` was raised, None if in nobody's."""
        packages = {
            getattr(plugin, "__name__", "").partition(".")[0]: name
            for name, plugin in self.list_name_plugin()
            if name != BUILTIN and name in self.distributions
        }
        culprit = None
        for frame, _ in traceback.walk_tb(error.__traceback__):
            package = str(frame.f_globals.get("__name__", "")).partition(".")[0]
            culprit = packages.get(package, culprit)
        return culprit

    def call_each(self, hook: str, **arguments: Any) -> list[tuple[str, Any]]:
        """Call `hook` of every plug-in, one by one, with the plug-in's name beside each result.

        A plug-in that raises is recorded as failed and left out; the others are unaffected.
        """
        called = [(found, *self.call(hook, found, **arguments)) for found in getattr(self.hook, hook).get_hookimpls()]
        return [(found.plugin_name, result) for found, well, result in called if well]

    def call(self, hook: str, implementation: pluggy.HookImpl, **arguments: Any) -> tuple[bool, Any]:
        """Call one plug-in's hook; return whether it went well, and the result."""
        try:
            with prints_to_stderr():
                return True, implementation.function(*(arguments[name] for name in implementation.argnames))
        except (Exception, SystemExit) as error:  # see load()
            self.fail(implementation.plugin_name, f"{hook}() raised {type(error).__name__}: {error}")
            return False, None


def prints_to_stderr() -> contextlib.AbstractContextManager[Any]:
    """Send what foreign code prints to standard error: standard output is for what was asked for."""
    return contextlib.redirect_stdout(sys.stderr)


def new_plugin_manager(external: bool = True) -> PluginManager:
    """Make a manager: the built-ins first, then installed plug-ins unless `external` is false.

    ``SLOTAUDIO_PLUGINS=a,b`` limits third-party plug-ins to those names; empty disables all.
    ``SLOTAUDIO_STRICT_PLUGINS=1`` turns every plug-in failure into an error.
    """
    from slotaudio import builtin

    manager = PluginManager()
    manager.register(builtin, name=BUILTIN)
    manager.distributions[BUILTIN] = Distribution("slotaudio", __version__)
    if external:
        limit = os.environ.get("SLOTAUDIO_PLUGINS")
        wanted = None if limit is None else {name.strip() for name in limit.split(",")} - {""}
        offered = sorted(entry_points(group=ENTRY_POINT_GROUP), key=lambda entry_point: entry_point.name)
        for entry_point in offered:
            if wanted is None or entry_point.name in wanted:
                manager.load(entry_point)
            else:
                manager.left_out.append(entry_point.name)
        names = {entry_point.name for entry_point in offered}
        for name in sorted((wanted or set()) - names):
            known = ", ".join(sorted(names)) or "none"
            manager.fail(name, f"SLOTAUDIO_PLUGINS names it, but it is not installed (installed: {known})")
    manager.check()
    return manager


@functools.cache
def plugin_manager() -> PluginManager:
    """Return the process-wide manager, made on first use."""
    return new_plugin_manager()
