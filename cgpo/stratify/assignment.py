"""Assigning a row to a stratum: what all ways have in common, and the way by a column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from cgpo.data.filter import as_text
from cgpo.errors import DataError, unknown_name
from cgpo.stratify.definitions import NAME, UNASSIGNED
from judges import Message

MOST_STRATA = 100
"""Distinct values above which a column is surely not one of strata."""


@dataclass(frozen=True, slots=True)
class Item:
    """A row to assign.

    Attributes:
        messages: its prompt; empty for a method that does not look at it.
        values: its columns.
    """

    messages: tuple[Message, ...]
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Assignment:
    """The stratum of a row, or why it has none.

    Attributes:
        stratum: its stratum, or None.
        score: how far the best stratum is ahead of the second; None where there is nothing to measure.
        reason: why it has no stratum, in few words: rows are counted by it.
    """

    stratum: str | None
    score: float | None = None
    reason: str = ""


class Assigner(Protocol):
    """Assigns rows."""

    batch_size: int
    """Rows it likes to have at once."""

    def assign(self, items: Sequence[Item]) -> list[Assignment]:
        """One assignment for each row, in order."""

    def close(self) -> None:
        """Frees what it holds."""


def best(scores: Mapping[str, float], margin: float) -> Assignment:
    """The stratum with the highest score, if it is `margin` ahead of the second; a tie is never decided."""
    ranked = sorted(scores, key=lambda name: -scores[name])
    ahead = scores[ranked[0]] - scores[ranked[1]]
    if ahead < margin or ahead == 0:
        gap = f"less than {margin:g}" if margin else "no difference"
        return Assignment(None, ahead, f"{gap} between {' and '.join(sorted(ranked[:2]))}")
    return Assignment(ranked[0], ahead)


class ByColumn:
    """Reads the stratum from a column.

    Args:
        column: its name.
        names: value → stratum; empty: every value is the name of a stratum.
    """

    batch_size = 1024

    def __init__(self, column: str, names: Mapping[str, str]) -> None:
        self._column = column
        self._names = names
        self._strata: set[str] = set()

    def assign(self, items: Sequence[Item]) -> list[Assignment]:
        """The mapped values; what is not mapped has no stratum.

        Raises:
            DataError: no row of the first batch has the column, or it has too many values for strata.
        """
        if not self._strata and not any(self._column in item.values for item in items):
            columns = sorted({str(column) for item in items for column in item.values})
            raise DataError(unknown_name("column", self._column, columns, "--column"))
        return [self._one(item) for item in items]

    def close(self) -> None: ...

    def _one(self, item: Item) -> Assignment:
        value = item.values.get(self._column)
        if value is None:
            return Assignment(None, reason=f"no value in {self._column}")
        text = as_text(value)
        name = self._names.get(text) if self._names else text
        if name is None:
            return Assignment(None, reason=f"{self._column} = {text[:40]!r} is not mapped")
        if not NAME.fullmatch(name) or name == UNASSIGNED:
            return Assignment(None, reason=f"{self._column} = {text[:40]!r} is no stratum's name; use --map")
        self._strata.add(name)
        if len(self._strata) > MOST_STRATA:
            raise DataError(f"--column {self._column}: more than {MOST_STRATA} values; is it the right column?")
        return Assignment(name)
