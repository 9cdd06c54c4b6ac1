"""slotaudio: slot-centric audio separation from interchangeable components.

Importing this package loads neither torch nor any plug-in; public names load on first use (PEP 562).
"""

import importlib
import sys
from importlib.metadata import PackageNotFoundError, version
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pluggy

hookimpl = pluggy.HookimplMarker("slotaudio")
"""Marks a function of a plug-in as the implementation of a slotaudio hook."""

try:
    __version__ = version("slotaudio")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0+unknown"

_PUBLIC = {
    "Spec": "slotaudio.spec",
    "compose": "slotaudio.compose",
    "build": "slotaudio.compose",
    "preset": "slotaudio.recipe",
    "export": "slotaudio.exporting",
    "SlotModel": "slotaudio.model",
    "Separator": "slotaudio.separation.separator",
    "SlotaudioError": "slotaudio.errors",
    "UserError": "slotaudio.errors",
}

__all__ = [
    "Separator",
    "SlotModel",
    "SlotaudioError",
    "Spec",
    "UserError",
    "__version__",
    "build",
    "compose",
    "export",
    "hookimpl",
    "preset",
]

if TYPE_CHECKING:
    from slotaudio.compose import build, compose
    from slotaudio.errors import SlotaudioError, UserError
    from slotaudio.exporting import export
    from slotaudio.model import SlotModel
    from slotaudio.recipe import preset
    from slotaudio.separation.separator import Separator
    from slotaudio.spec import Spec


class _Package(ModuleType):
    """Keep `compose` the function: importing the module that holds it would put the module in its place."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in _PUBLIC and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return getattr(importlib.import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module 'slotaudio' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
