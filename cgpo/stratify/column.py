"""By a column: the row itself says where it belongs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cgpo.data.filter import as_text
from cgpo.errors import DataError, unknown_name
from cgpo.stratify.assignment import Assignment, Item
from cgpo.stratify.definitions import NAME, UNASSIGNED

MOST_STRATA = 100
"""Distinct values above which a column is surely not one of strata."""


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
        self._found: set[str] = set()

    def assign(self, items: Sequence[Item]) -> list[Assignment]:
        """The mapped values; what is not mapped has no stratum.

        Raises:
            DataError: no row of the first batch has the column, or it has too many values for strata.
        """
        if not self._found and not any(self._column in item.values for item in items):
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
        self._found.add(name)
        if len(self._found) > MOST_STRATA:
            raise DataError(f"--column {self._column}: more than {MOST_STRATA} values; is it the right column?")
        return Assignment(name)
