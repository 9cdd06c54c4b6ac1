"""Attributes of a suite by the names that it knows."""

import difflib
import inspect


def refuse_unknown(suite: type) -> None:
    """Refuse attributes that no suite reads: a misspelt one would leave the default in force.

    What a class annotates, writes in capitals or begins with an underscore is its own; so are functions, unless their
    names are close to one of the suite's.

    Raises:
        TypeError: names the attribute, and the one that was probably meant.
    """
    known = {name for base in suite.__mro__[1:] for name in (*vars(base), *inspect.get_annotations(base))}
    for name, value in vars(suite).items():
        own = name.startswith(("_", "test", "pytest")) or name != name.lower() or name in inspect.get_annotations(suite)
        if own or name in known:
            continue
        function = hasattr(value, "__get__")
        close = difflib.get_close_matches(name, known, n=1, cutoff=0.8 if function else 0.6)
        if close or not function:
            meant = f"did you mean {close[0]!r}?" if close else f"one of your own begins with an underscore: _{name}"
            raise TypeError(f"{suite.__name__} has an attribute {name!r} that no conformance suite knows; {meant}")
