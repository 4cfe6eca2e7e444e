"""Types of the arguments (`kwargs`) of instructions."""

from __future__ import annotations

from typing import Annotated, Literal

from annotated_types import Ge, MinLen
from pydantic import StringConstraints

Relation = Literal["less than", "at least"]
"""How a count is compared with its threshold."""

Count = Annotated[int, Ge(0)]
Ordinal = Annotated[int, Ge(1)]
Text = Annotated[str, StringConstraints(pattern=r"\S")]
"""Something to look for: a text of spaces alone would be found anywhere."""
Words = Annotated[list[Text], MinLen(1)]


def compare(actual: int, relation: Relation, threshold: int) -> bool:
    """Does `actual` stand in `relation` to `threshold`?"""
    return actual < threshold if relation == "less than" else actual >= threshold
