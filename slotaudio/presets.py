"""Presets: the recipes that slotaudio and its plug-ins bring, by name; listing them imports no component."""

import tomllib
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from slotaudio.errors import UserError
from slotaudio.registry import Offer, Offers


class Presets(Offers):
    """A view of the recipes of all plug-ins."""

    form = '"package:path/to/file.toml"'

    def is_target(self, target: object) -> bool:
        """Tell whether a plug-in may offer this."""
        return super().is_target(target) and str(target).endswith(".toml")

    def table(self, offer: Offer) -> Mapping[str, Any]:
        """Read a recipe as it stands in its package.

        Raises:
            UserError: the file is missing or no TOML; names the plug-in.
        """
        package, _, path = offer.target.partition(":")
        try:
            return tomllib.loads(files(package).joinpath(path).read_text(encoding="utf-8"))
        except (Exception, SystemExit) as error:  # finding a resource imports foreign code
            raise UserError(
                f"recipe {offer.name!r} of plug-in {offer.plugin!r} cannot be read from {offer.target!r}: "
                f"{type(error).__name__}: {error}"
            ) from None


PRESETS = Presets("recipe")


def presets(plugin: str | None = None) -> list[str]:
    """Return the names of the recipes, of one plug-in (``"slotaudio"`` is the built-in one) or of all."""
    return list(dict.fromkeys(offer.name for offer in PRESETS.offers() if plugin in (None, offer.plugin)))
