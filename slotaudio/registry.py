"""Registries: read-only views of what the plug-ins offer, one per family.

A registry stores nothing, so it cannot disagree with the plug-ins::

    from slotaudio.registry import encoders
    list(encoders)          # every name
    encoders["resnet"]      # the class
    encoders.find("res*")   # names by wildcard
"""

import fnmatch
import importlib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from slotaudio import hookimpl
from slotaudio.errors import AmbiguousComponent, SlotaudioError, UnknownComponent
from slotaudio.pluginmanager import Distribution, PluginManager, plugin_manager, prints_to_stderr
from slotaudio.spelling import did_you_mean


@dataclass(frozen=True)
class Offer:
    """One component as a plug-in offers it: nothing is imported until `load`."""

    family: str
    name: str
    plugin: str
    target: Any
    distribution: Distribution | None

    def load(self) -> Callable[..., Any]:
        """Import the component.

        Raises:
            SlotaudioError: the target of the hook cannot be imported; names the plug-in.
        """
        if not isinstance(self.target, str):
            return self.target
        module, _, attribute = self.target.partition(":")
        try:
            with prints_to_stderr():
                found = getattr(importlib.import_module(module), attribute)
            if not callable(found):
                raise TypeError(f"{found!r} cannot be called")
        except (Exception, SystemExit) as error:  # anything at all may go wrong in foreign code at import
            raise SlotaudioError(
                f"{self.family} {self.name!r} of plug-in {self.plugin!r} cannot be imported from "
                f"{self.target!r}: {type(error).__name__}: {error}"
            ) from error
        return found


class Offers:
    """What all plug-ins offer of one kind, by name: components of a family, or recipes."""

    form = '"package.module:Attribute"'
    """What a target looks like, as complaints about others quote it."""

    def __init__(self, family: str, manager: Callable[[], PluginManager] = plugin_manager) -> None:
        self.family = family
        self._manager = manager

    def offers(self) -> list[Offer]:
        """Every offer of every plug-in, sorted by name, clashes included."""
        manager, hook = self._manager(), f"slotaudio_{self.family}s"
        found = []
        for plugin, result in manager.call_each(hook):
            if not isinstance(result, Mapping):
                manager.fail(plugin, f"{hook}() returned {type(result).__name__}, not a mapping of names to targets")
                continue
            origin = manager.distributions.get(plugin)
            for name, target in result.items():
                if not isinstance(name, str) or not re.fullmatch(r"[\w.-]+", name):  # plugin/name must stay readable
                    manager.fail(
                        plugin, f"{hook}() offers {name!r}: {target!r}; names are of letters, digits, _ - and ."
                    )
                elif not self.is_target(target):
                    manager.fail(plugin, f"{hook}() offers {name!r}: {target!r}, not {self.form}")
                else:
                    found.append(Offer(self.family, name, plugin, target, origin))
        return sorted(found, key=lambda offer: (offer.name, offer.plugin))

    def is_target(self, target: object) -> bool:
        """Tell whether a plug-in may offer this."""
        return isinstance(target, str) and ":" in target

    def offer(self, name: str) -> Offer:
        """Return the one offer behind `name`, which may be written ``plugin/name``.

        Raises:
            UnknownComponent: nobody offers it; suggests, lists, and names plug-ins that failed.
            AmbiguousComponent: several plug-ins do; lists the full spellings.
        """
        plugin, _, short = name.rpartition("/")
        offers = self.offers()
        matching = [o for o in offers if o.name == short and plugin in ("", o.plugin)]
        if len(matching) == 1:
            return matching[0]
        if matching:
            choices = ", ".join(f"{o.plugin}/{o.name}" for o in matching)
            raise AmbiguousComponent(f"{name!r} is offered by several plug-ins; write one of: {choices}")
        raise UnknownComponent(self._unknown(name, offers))

    def qualified(self, name: str, *plugins: str) -> str:
        """Return `name`; as ``plugin/name``, with the first of `plugins` that offers it, where several do."""
        rivals = [offer.plugin for offer in self.offers() if offer.name == name]
        meant = next((plugin for plugin in plugins if plugin in rivals), None)
        return name if len(rivals) < 2 or meant is None else f"{meant}/{name}"

    def _unknown(self, name: str, offers: list[Offer]) -> str:
        known, manager = sorted({o.name for o in offers}), self._manager()
        lines = [f"no {self.family} named {name!r}.{did_you_mean(name.rpartition('/')[2], known)}"]
        lines.append(f"  known: {', '.join(known) or 'none'}")
        lines += [
            f"  plug-in {p!r} failed to load: {why}" for p, reasons in manager.failures.items() for why in reasons
        ]
        if manager.left_out:
            lines.append(f"  SLOTAUDIO_PLUGINS leaves out: {', '.join(manager.left_out)}")
        return "\n".join(lines)


class Registry(Offers, Mapping[str, Callable[..., Any]]):
    """A view of one family's components over all plug-ins."""

    def is_target(self, target: object) -> bool:
        """Tell whether a plug-in may offer this: a string, or the component itself (notebooks, tests)."""
        return callable(target) or super().is_target(target)

    def __getitem__(self, name: str) -> Callable[..., Any]:
        return self.offer(name).load()

    def get(self, name: str, default: Any = None) -> Any:
        """Return the component, or `default` if nobody offers it (`Mapping.get` waits for a KeyError)."""
        try:
            return self[name]
        except UnknownComponent:
            return default

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and any(name in (o.name, f"{o.plugin}/{o.name}") for o in self.offers())

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys(o.name for o in self.offers()))

    def __len__(self) -> int:
        return len(list(iter(self)))

    def __repr__(self) -> str:
        return f"<{self.family}s: {', '.join(self)}>"

    def find(self, pattern: str) -> list[str]:
        """Names that match a shell wildcard, such as ``"res*"``."""
        return fnmatch.filter(list(self), pattern)

    def register(self, name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """Offer the decorated class or function under `name` (notebooks and tests).

        Running the cell again replaces the earlier definition.
        """

        def decorate(target: Callable[..., Any]) -> Callable[..., Any]:
            hook = f"slotaudio_{self.family}s"

            def offer() -> Mapping[str, Any]:
                return {name: target}

            offer.__name__ = hook
            manager, plugin = self._manager(), f"local-{self.family}-{name}"
            if manager.has_plugin(plugin):
                manager.unregister(name=plugin)
            manager.register(SimpleNamespace(**{hook: hookimpl(offer)}), name=plugin)
            return target

        return decorate


frontends = Registry("frontend")
encoders = Registry("encoder")
bottlenecks = Registry("bottleneck")
decoders = Registry("decoder")
matchers = Registry("matcher")
objectives = Registry("objective")
datasets = Registry("dataset")

FAMILIES: dict[str, Registry] = {
    registry.family: registry
    for registry in (frontends, encoders, bottlenecks, decoders, matchers, objectives, datasets)
}
"""Every family by its singular name, in the order of the signal path."""


def renamed(family: str, like: Any, rename: Callable[[str, str], str]) -> Any:
    """Return a component, a name or a mapping, with other names: its own, and those of the components in its options.

    An option called like a family names one of that (``bottleneck`` of `carry_over`); a table with a name under another
    key is one of the same family (a part of `blend`).

    Args:
        family: of the component.
        like: the component; anything else than a name or a mapping is returned as it is.
        rename: called with a family and a name, returns the new name.
    """
    if isinstance(like, str):
        return rename(family, like)
    if not isinstance(like, Mapping):
        return like

    def option(key: str, value: Any) -> Any:
        names = key in FAMILIES or key == "name" or isinstance(value, Mapping)
        return renamed(key if key in FAMILIES else family, value, rename) if names else value

    return {key: option(key, value) for key, value in like.items()}


embedders = Registry("embedder")
"""Ways to make features of recordings (`slotaudio.representation.Embedder`): they use models and are no part of one."""

REGISTRIES: dict[str, Registry] = {**FAMILIES, "embedder": embedders}
"""All that components are listed and tested by."""
