"""What tomllib leaves out: changing one value from the command line, and writing a table back."""

import json
import tomllib
from collections.abc import Mapping
from typing import Any

from slotaudio.errors import UserError


def set_value(table: dict[str, Any], assignment: str) -> None:
    """Change one value of nested tables: ``bottleneck.iterations=5``.

    Values are written as in TOML; what is not TOML and is no list or quotation either is taken as a string, so
    that names and paths need no quotes in a shell. Tables that are missing are made, and a component
    that was given by its bare name becomes a table with that name.

    Raises:
        UserError: no ``=``, an empty key, a value that was meant as TOML and is none, or a key below a plain value.
    """
    dotted, equals, text = assignment.partition("=")
    keys = [key.strip() for key in dotted.split(".")]
    if not equals or not all(keys):
        raise UserError(
            f"--set {assignment!r}: write KEY=VALUE, for example --set bottleneck.iterations=5",
            page="reference/recipes",
        )
    for depth, key in enumerate(keys[:-1], start=1):
        inner = table.get(key, {})
        if isinstance(inner, str):
            inner = {"name": inner}
        if not isinstance(inner, dict):
            raise UserError(f"--set {assignment!r}: {'.'.join(keys[:depth])} is {inner!r}, not a table")
        table[key] = inner
        table = inner
    table[keys[-1]] = _value(assignment, text.strip())


def _value(assignment: str, text: str) -> Any:
    try:
        parsed = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError as error:
        if text in ("True", "False"):
            raise UserError(f"--set {assignment!r}: TOML writes {text.lower()}") from None
        if not text or text[0] in "\"'[{":
            raise UserError(f"--set {assignment!r}: {text!r} is not a TOML value: {error}") from None
        return text
    # dates are meant as names, and a line break would smuggle in other keys
    return parsed["value"] if list(parsed) == ["value"] and isinstance(parsed["value"], _TYPES) else text


_TYPES = (str, bool, int, float, list, dict)


def dump(table: Mapping[str, Any]) -> str:
    """Write a table as TOML; `tomllib.loads` gives it back. Values that are None are left out."""
    plain = [f"{_key(key)} = {_text(value)}" for key, value in table.items() if not _is_table(value)]
    sections = [_section(_key(key), value) for key, value in table.items() if _is_table(value)]
    return "\n\n".join(filter(None, ["\n".join(line for line in plain if line), *sections])) + "\n"


def _is_table(value: Any) -> bool:
    return isinstance(value, Mapping) or value is None


def _section(name: str, table: Mapping[str, Any] | None) -> str:
    if table is None:
        return ""
    nested = bool(table) and all(isinstance(value, Mapping) for value in table.values())
    if nested:  # [data.train], [data.validation]
        return "\n\n".join(_section(f"{name}.{_key(key)}", value) for key, value in table.items())
    lines = [f"{_key(key)} = {_text(value)}" for key, value in table.items() if value is not None]
    return "\n".join([f"[{name}]", *lines])


def _key(key: str) -> str:
    return key if key.isascii() and key.replace("-", "").replace("_", "").isalnum() else _quoted(key)


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        inner = ", ".join(f"{_key(key)} = {_text(item)}" for key, item in value.items() if item is not None)
        return "{" + inner + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_text, value)) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, float)):
        return repr(value)  # inf, nan and exponents are spelt as in Python
    return _quoted(str(value))


def _quoted(text: str) -> str:
    """JSON's escapes are TOML's, except that JSON leaves DEL as it is."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
