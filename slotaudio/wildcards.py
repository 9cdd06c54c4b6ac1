"""What names and wildcards such as ``encoder.*`` mean, upper and lower case apart on every system."""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from fnmatch import fnmatchcase

from slotaudio.errors import UserError


def fits(name: str, patterns: Iterable[str]) -> bool:
    """Tell whether one of the patterns is or covers the name."""
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def check_patterns(patterns: Sequence[str], names: Iterable[str], option: str) -> None:
    """Raise unless each pattern fits one of the names of a model's weights.

    Raises:
        UserError: one fits none.
    """
    names = list(names)
    for pattern in patterns:
        if not any(fits(name, [pattern]) for name in names):
            near = ", ".join(get_close_matches(pattern, names, n=4, cutoff=0.0))
            raise UserError(f"{option}: no weight of the model is named {pattern!r}; near it are {near}")
