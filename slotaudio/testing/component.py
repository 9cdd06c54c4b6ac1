"""What every component of every family promises: it can be listed, described, and refuses wrong options."""

import functools
import inspect
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, NoReturn

import torch

from slotaudio.compose import build, check_options
from slotaudio.describe import describe
from slotaudio.errors import WrongOptions
from slotaudio.pluginmanager import BUILTIN
from slotaudio.registry import FAMILIES, REGISTRIES, Offer
from slotaudio.spec import Spec
from slotaudio.testing.attributes import refuse_unknown
from slotaudio.testing.importing import side_effects
from slotaudio.testing.process import generators, seeded, settings, settings_kept

_LISTING = """
import json, sys
from slotaudio.describe import describe
from slotaudio.registry import REGISTRIES
listed = {
    family: [offer.name for offer in registry.offers() if describe(offer)] for family, registry in REGISTRIES.items()
}
print(json.dumps({"listed": listed, "heavy": [name for name in ("torch", "lightning") if name in sys.modules]}))
"""


class BrokenContract(AssertionError):
    """A component breaks a contract; the check that raised it is named after the contract."""


class ComponentConformance:
    """Checks for components of any family; use the subclass of your family.

    Attributes:
        component: the name in the registry, or the class itself (notebooks, tests).
        options: options of its constructor; small sizes make the suite fast.
        examples: cases drawn for every property (``--conformance-examples`` overrides it).
    """

    family: ClassVar[str]
    component: ClassVar[str | Callable[..., Any]]
    options: ClassVar[Mapping[str, Any]] = {}
    examples: ClassVar[int] = 5

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        refuse_unknown(cls)

    def test_wrong_options_are_answered_with_those_it_takes(self) -> None:
        """An option that the constructor does not take is refused, with what it does take."""
        try:
            self.build(no_such_option=1)
        except WrongOptions as error:
            self.require(
                "no_such_option" in str(error) and "known: " in str(error),
                f"the answer to a wrong option does not say what is possible: {error}",
            )
        else:
            self.broken("takes the option no_such_option=1 in silence, so that misspelt options go unnoticed")

    def test_options_can_be_saved(self) -> None:
        """Options and defaults are what JSON and TOML hold, and it is built from what was read back as well."""
        parameters = inspect.signature(self._factory()).parameters.values()
        defaults = {each.name: each.default for each in parameters if each.default is not inspect.Parameter.empty}
        for name, value in {**defaults, **self.options}.items():
            plain = Spec(self.name, value=value).to_dict()["value"]
            try:
                kept = json.loads(json.dumps(plain)) == plain
            except (TypeError, ValueError):
                kept = False
            kind = f"{name} = {value!r}, a {type(value).__name__}"
            how = f"takes {kind}, which no recipe or saved model can hold: take a name or a number, and make it of that"
            self.require(kept, how)
        read = json.loads(json.dumps(Spec(self.name, **self.options).to_dict()))
        del read["name"]
        try:
            self.build(**read)
        except Exception as error:
            self.broken(f"cannot be built from its options as they are read from a file, {read}: {error}")

    def test_listing_it_imports_no_torch(self) -> None:
        """`slotaudio components` lists it without importing torch: hooks return strings."""
        offer = self._offer()
        if offer is None or (offer.distribution is None and offer.plugin != BUILTIN):
            return  # an object of this process, not a plug-in that others list
        found = _listing(offer.plugin)
        self.require(offer.name in found["listed"][self.family], f"is not listed in a fresh process: {found}")
        self.require(not found["heavy"], f"listing plug-in {offer.plugin!r} imports {', '.join(found['heavy'])}")

    def test_it_is_described(self) -> None:
        """The first line of its docstring says what it does; listings show it."""
        offer = self._offer()
        summary = describe(offer).summary if offer else (self.component.__doc__ or "").partition("\n")[0]
        self.require(
            bool(summary) and not summary.startswith("(no source found"),
            f"has no summary for `slotaudio components`: {summary or 'the docstring is missing'}",
        )

    def test_importing_it_changes_nothing(self) -> None:
        """The import seeds nothing, changes no setting of the process, silences no warnings and prints nothing."""
        offer = self._offer()
        if offer is not None and isinstance(offer.target, str):
            own = _module(offer)
            beside = [each for registry in REGISTRIES.values() for each in registry.offers()]
            modules = {_module(each) for each in beside if each.plugin == offer.plugin}  # one process does for all
        else:
            own = self._factory().__module__
            modules = {own}
        found = side_effects(*sorted(modules)).get(own, [])
        how = f"calls {' and '.join(found)} when {own} is imported, for everybody in the process: do it in a function"
        self.require(not found, how)

    def test_it_leaves_what_everybody_shares_alone(self) -> None:
        """Building and using it seeds no shared generator and changes no setting of torch, numpy or the process."""
        states = []
        for seed in (1, 2):
            with seeded(seed), settings_kept():
                before = settings()
                self.exercise()
                after = settings()
                states.append(generators())
            for name, value in before.items():
                how = f"changes what {name} sets for the whole process, from {value} to {after[name]}"
                self.require(after[name] == value, how)
        for name in states[0]:
            how = f"calls {name} for the whole process: from there on everybody's random numbers repeat"
            self.require(states[0][name] != states[1][name], how)

    def exercise(self) -> None:
        """Build it and use it as it is going to be used."""
        self.build()

    @property
    def name(self) -> str:
        """How messages call it."""
        return self.component if isinstance(self.component, str) else self.component.__name__

    def offered(self) -> dict[str, Any]:
        """What the stages before it would offer to its constructor."""
        return {}

    def build(self, **changes: Any) -> Any:
        """Build the component as `slotaudio.compose` does, with some options changed."""
        return self.build_from(self.offered(), **changes)

    def build_from(self, offered: Mapping[str, Any], **changes: Any) -> Any:
        """Build the component after stages that offer something else."""
        spec = Spec(self.name, **{**self.options, **changes})
        if isinstance(self.component, str) and self.family in FAMILIES:
            return build(self.family, spec, **offered)
        factory = self._factory()
        return factory(**check_options(self.family, spec, factory, offered))

    def takes(self, parameter: str) -> bool:
        """Whether the constructor has a parameter of that name."""
        return parameter in inspect.signature(self._factory()).parameters

    def default(self, parameter: str) -> Any:
        """Return the default of a parameter of the constructor; None where there is none."""
        found = inspect.signature(self._factory()).parameters.get(parameter)
        return None if found is None or found.default is inspect.Parameter.empty else found.default

    def broken(self, how: str) -> NoReturn:
        """Raise `BrokenContract`."""
        raise BrokenContract(f"{self.family} {self.name!r} {how}")

    def require(self, condition: bool, how: str) -> None:
        """Break the contract unless `condition` holds."""
        if not condition:
            self.broken(how)

    def require_shape(self, what: str, found: torch.Tensor, expected: tuple[int, ...]) -> None:
        """Break the contract unless a tensor has the expected shape."""
        shape = tuple(found.shape)
        self.require(shape == expected, f"returns {what} of shape {shape} instead of {expected}")

    def _offer(self) -> Offer | None:
        return REGISTRIES[self.family].offer(self.component) if isinstance(self.component, str) else None

    def _factory(self) -> Callable[..., Any]:
        return REGISTRIES[self.family][self.component] if isinstance(self.component, str) else self.component


def _module(offer: Offer) -> str:
    return str(offer.target).partition(":")[0]


@functools.cache
def _listing(plugin: str) -> dict[str, Any]:
    """List everything in a fresh process with only this plug-in loaded; say what that imported."""
    environment = {**os.environ, "SLOTAUDIO_PLUGINS": "" if plugin == BUILTIN else plugin}
    done = subprocess.run(
        [sys.executable, "-c", _LISTING], env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    if done.returncode:
        raise BrokenContract(f"listing plug-in {plugin!r} fails: {done.stderr.strip()}")
    return json.loads(done.stdout)
