"""Options of `slotaudio evaluate` that would change nothing, or say two things about one."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from slotaudio.cli.options import refuse_unused
from slotaudio.errors import UserError

if TYPE_CHECKING:
    from slotaudio.evaluation.rows import Row

_ALSO = {
    "--mixtures": "size",
    "--seconds": "seconds",
    "--long": "seconds",
    "--sources": "sources",
    "--seed": "seed",
    "--list": "mixtures",
}
"""Options of the data set that the command has a name of its own for."""


def tables(assignments: Sequence[str]) -> dict[str, Any]:
    """Return the tables that ``--set KEY=VALUE`` fills: ``data`` and ``frontend``.

    Raises:
        UserError: another table, or see `slotaudio.toml.set_value`.
    """
    from slotaudio.toml import set_value

    found: dict[str, Any] = {"data": {}, "frontend": {"name": "slotaudio/stft"}}
    for assignment in assignments:
        if assignment.partition(".")[0] not in found:
            raise UserError(f"--set {assignment}: the tables are data and frontend, as in --set data.length=min")
        set_value(found, assignment)
    return found


def refuse_twice(given: Mapping[str, object], options: Mapping[str, Any]) -> None:
    """Refuse what is said by an option of the command, and by ``--set`` again.

    Args:
        given: values of the command's options by their names; None where one was not given.
        options: of the data set, by ``--set``.

    Raises:
        UserError: something is said twice, or ``--set`` gives the mixtures another rate than the models'.
    """
    for name, key in _ALSO.items():
        if given.get(name) is not None and key in options:
            raise UserError(f"{name} {given[name]} and --set data.{key}={options[key]} say the same: give one of them")
    if "rate" in options:
        raise UserError(f"--set data.rate={options['rate']}: mixtures have the sample rate of what separates them")


def refuse_unheard(given: Mapping[str, bool], options: Mapping[str, Any], listed: str) -> None:
    """Refuse what decides about mixtures that are drawn, where they are listed.

    Args:
        given: by name, whether an option of the command was given.
        options: of the data set, by ``--set``.
        listed: the option that gave the list.

    Raises:
        UserError: something was given that changes no mixture of a list.
    """
    from slotaudio.data.folder import DRAWN

    of_data = {f"--set data.{key}={options[key]}": True for key in DRAWN if key in options}
    refuse_unused({**given, **of_data}, f"the mixtures are those of {listed}")


def refuse_masks(rows: "Sequence[Row]", masks: str) -> None:
    """Refuse masks that no row uses.

    Args:
        rows: of all that is evaluated.
        masks: what ``--masks`` gave, or nothing.

    Raises:
        UserError: all models have masks of their own.
    """
    chosen = any(row.mask != "own" and (row.system, row.informed) != ("oracle", True) for row in rows)
    systems = " and ".join(dict.fromkeys(row.system for row in rows if row.mask == "own"))
    refuse_unused({"--masks": bool(masks) and not chosen}, f"{systems} makes its own")
