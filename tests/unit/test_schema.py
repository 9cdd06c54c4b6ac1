"""Which values fit which annotations."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import pytest

from slotaudio.compose import check_options
from slotaudio.errors import WrongOptions
from slotaudio.schema import check_arguments, fits, fitted, readable
from slotaudio.spec import Spec


@pytest.mark.parametrize(
    ("annotation", "fitting", "misfits"),
    [
        (int, [0, -3, np.int64(3)], [1.5, True, "3", None]),
        (float, [0, 1.5, np.float32(2)], [False, "1.5", None]),
        (bool, [True, False], [0, 1, "true"]),
        (str, ["", "x"], [3, None]),
        (int | None, [3, None], ["3", 2.5]),
        (Literal["a", "b"], ["a", "b"], ["c", 1]),
        (tuple[float, float], [(0.9, 0.999), [1, 2]], [(1.0,), (1.0, 2.0, 3.0), 1.0, ("a", 1.0)]),
        (tuple[int, ...], [(), (1, 2, 3), [4]], [("a",), 4]),
        (Sequence[str], [["a"], ()], ["a", [1]]),
        (str | Mapping[str, Any], ["x", {"a": 1}], []),
        (Any, [None, object()], []),
    ],
)
def test_fits(annotation, fitting, misfits):
    assert [value for value in fitting if not fits(annotation, value)] == []
    assert [value for value in misfits if fits(annotation, value)] == []


@pytest.mark.parametrize(
    ("annotation", "value", "expected"),
    [
        (float, 1, 1.0),
        (float | None, 1, 1.0),
        (float | None, None, None),
        (int | Sequence[float], [1, 2], [1.0, 2.0]),
        (tuple[float, float], [0, 1], (0.0, 1.0)),
        (tuple[int, ...], [1, 2, 3], (1, 2, 3)),
        (str | Mapping[str, Any], {"name": "x"}, {"name": "x"}),
    ],
)
def test_fitted(annotation, value, expected):
    assert repr(fitted(annotation, value)) == repr(expected)


def test_arguments_are_checked_against_a_signature():
    def hear(overlap: float = 0.5, threads: "int | None" = None, model=None): ...

    check_arguments(hear, {"overlap": 1, "threads": None, "model": object(), "self": 3})
    with pytest.raises(WrongOptions, match=r"overlap = '0\.5' is not float"):
        check_arguments(hear, {"overlap": "0.5"})
    with pytest.raises(WrongOptions, match=r"threads = 1\.5 is not int \| None"):
        check_arguments(hear, {"threads": 1.5})


def test_readable():
    assert readable(int) == "int"
    assert readable(Literal["a", "b"]) == "one of 'a', 'b'"
    assert readable(tuple[int, ...]) == "tuple[int, ...]"


POSTPONED = """
from __future__ import annotations
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    from nowhere import Table

class Base:
    def __init__(self, steps: int = 3, table: Table | None = None, rate: float = 1.0):
        pass

class Derived(Base):
    pass
"""


def test_annotations_that_are_strings_check_options_too():
    names: dict = {}
    exec(POSTPONED, names)
    with pytest.raises(WrongOptions, match=r"steps = 'many' is not int\. It takes \(steps: int = 3, "):
        check_options("matcher", Spec("mine", steps="many"), names["Derived"])
    checked = check_options("matcher", Spec("mine", table="anything", rate=2), names["Derived"])
    assert str(checked) == "{'table': 'anything', 'rate': 2.0}"


def test_an_annotation_that_is_no_type_checks_nothing():
    def odd(steps: "1 / 0" = 3):
        pass

    assert check_options("matcher", Spec("odd", steps="many"), odd) == {"steps": "many"}
