"""Does a value fit a type annotation? Signatures are the schema of recipes and of `compose`."""

import inspect
import types
from collections.abc import Callable, Mapping, Sequence
from numbers import Integral, Real
from typing import Any, Literal, Union, get_args, get_origin

from slotaudio.errors import WrongOptions

_PLAIN: dict[Any, tuple[type, ...]] = {int: (Integral,), float: (Real,), str: (str,), bool: (bool,)}
_SEQUENCES = (tuple, list, Sequence)


def signature_of(factory: Callable[..., Any]) -> inspect.Signature:
    """Return a constructor's signature, with annotations that are written as strings evaluated.

    ``from __future__ import annotations`` makes strings of all of them. A name that only type checkers import
    accepts anything.
    """
    unknown: dict[str, Any] = {}
    while True:
        try:
            return inspect.signature(factory, locals=unknown, eval_str=True)
        except NameError as error:
            if error.name is None or error.name in unknown:
                return inspect.signature(factory)
            unknown[error.name] = Any
        except Exception:  # an annotation may be any expression
            return inspect.signature(factory)


def fits(annotation: Any, value: Any) -> bool:
    """Whether `value` may be what `annotation` asks for; annotations beyond plain values accept anything.

    An int is a float, as in Python; a bool is no number; a list, which is all that TOML has, is a tuple.
    """
    origin, arguments = get_origin(annotation), get_args(annotation)
    if annotation is None or annotation is type(None):
        return value is None
    if origin is Literal:
        return value in arguments
    if origin in (Union, types.UnionType):
        return any(fits(argument, value) for argument in arguments)
    if origin in _SEQUENCES:
        if not isinstance(value, (list, tuple)):
            return False
        wanted = [arguments[0]] * len(value) if origin is not tuple or arguments[-1:] == (...,) else arguments
        return len(wanted) == len(value) and all(map(fits, wanted, value))
    if annotation in _PLAIN:
        return isinstance(value, _PLAIN[annotation]) and (annotation is bool or not isinstance(value, bool))
    return True


def fitted(annotation: Any, value: Any) -> Any:
    """Return a value that `fits` in the very type asked for: TOML has no tuples, and people write 1 for 1.0."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (Union, types.UnionType):
        return fitted(next(argument for argument in arguments if fits(argument, value)), value)
    if annotation is float:
        return float(value)
    if origin in _SEQUENCES:
        wanted = [arguments[0]] * len(value) if origin is not tuple or arguments[-1:] == (...,) else arguments
        items = map(fitted, wanted, value)
        return tuple(items) if origin is tuple else list(items)
    return value


def check_arguments(factory: Callable[..., Any], arguments: Mapping[str, Any]) -> None:
    """Refuse arguments that are not what the annotations of a signature ask for.

    Raises:
        WrongOptions: one does not fit; names it.
    """
    for name, parameter in signature_of(factory).parameters.items():
        if name in arguments and not fits(parameter.annotation, arguments[name]):
            raise WrongOptions(f"{name} = {arguments[name]!r} is not {readable(parameter.annotation)}")


def readable(annotation: Any) -> str:
    """Write an annotation for people: choices as a list, module paths left out."""
    if get_origin(annotation) is Literal:
        return "one of " + ", ".join(map(repr, get_args(annotation)))
    return inspect.formatannotation(annotation).replace("collections.abc.", "").replace("typing.", "")
