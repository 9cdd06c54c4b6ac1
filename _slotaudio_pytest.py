"""The pytest plug-in of slotaudio: what is installed in the header, and how thorough the conformance suite is.

A module of its own beside the package, as hypothesis has one: pytest imports it before anything else, and
jaxtyping's ``--jaxtyping-packages=slotaudio,...`` refuses to instrument a package that is imported already.
"""

import os
from typing import Any


def pytest_addoption(parser: Any) -> None:
    """Add ``--conformance-examples``."""
    parser.getgroup("slotaudio").addoption(
        "--conformance-examples",
        type=int,
        metavar="N",
        help="cases that slotaudio.testing draws for every property, instead of each suite's own number",
    )


def pytest_configure(config: Any) -> None:
    """Hand the option to `slotaudio.testing.drawing`, which is imported later."""
    examples = config.getoption("--conformance-examples")
    if examples is not None:
        os.environ["SLOTAUDIO_CONFORMANCE_EXAMPLES"] = str(max(1, examples))


def pytest_report_header(config: Any) -> str | None:
    """Say which slotaudio and which of its plug-ins are tested; reports of failures need both."""
    if config.get_verbosity() < 0:
        return None
    from slotaudio import __version__
    from slotaudio.errors import SlotaudioError
    from slotaudio.pluginmanager import BUILTIN, plugin_manager

    try:
        manager = plugin_manager()
    except SlotaudioError as error:
        return f"slotaudio: {__version__}, {error}"
    found = [f"{name} {origin.version}" for name, origin in manager.distributions.items() if name != BUILTIN]
    failed = [f"{name} (failed)" for name in manager.failures]
    return f"slotaudio: {__version__}, plug-ins: {', '.join(found + failed) or 'none'}"
