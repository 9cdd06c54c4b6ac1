"""Planted defects: components that break one contract each, and the check that has to catch it.

Every module holds a healthy component of one family and subclasses of it that each do one thing wrong.
"""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Defect:
    """One broken component.

    Args:
        family: whose suite it is put through.
        component: the class.
        caught_by: the check that must fail.
        attributes: of the suite, beside those that the healthy component passes with.
    """

    family: str
    component: type
    caught_by: str
    attributes: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return f"{self.family}-{self.component.__name__}"
