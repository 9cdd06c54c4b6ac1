"""`Spec`: a component by name with its options, in three spellings that mean the same."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from slotaudio.errors import UserError


@dataclass(frozen=True, init=False)
class Spec:
    """A component's name and the options of its constructor.

    ``Spec("slot_attention", iterations=5)``, the mapping ``{"name": "slot_attention",
    "iterations": 5}`` (TOML) and, without options, the string ``"slot_attention"`` are equal.
    """

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)

    def __init__(self, name: str, **options: Any) -> None:
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "options", options)

    @classmethod
    def of(cls, value: Any) -> "Spec":
        """Normalise any of the three spellings: a `Spec`, a name or a mapping with one.

        Raises:
            UserError: a mapping without ``name``, or something else altogether.
        """
        if isinstance(value, Spec):
            return value
        if isinstance(value, str):
            return cls(value)
        if isinstance(value, Mapping):
            options = dict(value)
            name = options.pop("name", None)
            if not isinstance(name, str):
                raise UserError(f'a component needs a name: {dict(value)!r} has no `name = "..."`')
            return cls(name, **options)
        raise UserError(f"a component is a name, a Spec or a mapping with a name, not {value!r}")

    def to_dict(self) -> dict[str, Any]:
        """Return the TOML and JSON form: ``{"name": ..., **options}``, nested specs included."""
        return {"name": self.name, **{key: _plain(value) for key, value in self.options.items()}}

    def updated(self, **options: Any) -> "Spec":
        """Return a copy with some options changed."""
        return Spec(self.name, **{**self.options, **options})


def _plain(value: Any) -> Any:
    if isinstance(value, Spec):
        return value.to_dict()
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value
