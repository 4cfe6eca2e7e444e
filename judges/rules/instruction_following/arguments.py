"""Types of the arguments (`kwargs`) of instructions."""

from __future__ import annotations

from typing import Annotated, Literal

from annotated_types import Ge, MinLen
from pydantic import StringConstraints

from judges.errors import JudgesError

Relation = Literal["less than", "at least"]
"""How a count is compared with its threshold."""

Count = Annotated[int, Ge(0)]
Ordinal = Annotated[int, Ge(1)]
Text = Annotated[str, StringConstraints(pattern=r"[^\s\p{Default_Ignorable_Code_Point}]")]
"""Something to look for: a text of spaces, or of signs that nobody sees, would be found anywhere."""
Words = Annotated[list[Text], MinLen(1)]


def compare(actual: int, relation: Relation, threshold: int) -> bool:
    """Does `actual` stand in `relation` to `threshold`?"""
    return actual < threshold if relation == "less than" else actual >= threshold


def check_bounds(*, exactly: int | None = None, at_least: int | None = None, at_most: int | None = None) -> None:
    """Raises JudgesError unless the bounds ask for something that can be followed."""
    if exactly is None and at_least is None and at_most is None:
        raise JudgesError("one of `exactly`, `at_least` and `at_most` is needed")
    if exactly is not None and not (at_least is None and at_most is None):
        raise JudgesError("`exactly` stands alone, without `at_least` and `at_most`")
    if at_least is not None and at_most is not None and at_least > at_most:
        raise JudgesError(f"`at_least` {at_least} is above `at_most` {at_most}")


def wanted(exactly: int | None = None, at_least: int | None = None, at_most: int | None = None) -> str:
    """The bounds in words."""
    bounds = (("exactly", exactly), ("at least", at_least), ("at most", at_most))
    return " and ".join(f"{word} {bound}" for word, bound in bounds if bound is not None)


def within(actual: int, exactly: int | None, at_least: int | None, at_most: int | None) -> bool:
    """Does `actual` keep all bounds that are given?"""
    if exactly is not None:
        return actual == exactly
    return (at_least is None or actual >= at_least) and (at_most is None or actual <= at_most)
