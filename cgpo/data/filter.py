"""Rows of a data set by the values of their columns, so that several strata can share one data set."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from cgpo.data.rows import RawRow
from cgpo.errors import DataError, unknown_name

SHOWN_VALUES = 12


def rows_where(rows: Iterable[RawRow], wanted: Mapping[str, Any], where: str) -> Iterator[RawRow]:
    """The rows whose columns have the wanted values, in order.

    Args:
        rows: the rows of a data set.
        wanted: column → the value it must have, or a list of values of which it must have one.
        where: the setting, for messages, such as `strata.math.prompts.where`.

    Raises:
        DataError: no row matches: the column does not exist, or it has other values (named with their counts).
    """
    if not wanted:
        yield from rows
        return
    matched, total = 0, 0
    columns: set[str] = set()
    values: dict[str, Counter[str]] = {column: Counter() for column in wanted}
    for row in rows:
        total += 1
        columns |= set(map(str, row.values))
        if all(_matches(row.values.get(column), value) for column, value in wanted.items()):
            matched += 1
            yield row
        elif not matched:
            for column, seen in values.items():
                if column in row.values and (len(seen) < SHOWN_VALUES or as_text(row.values[column]) in seen):
                    seen[as_text(row.values[column])] += 1
    for column in wanted:  # a column that no row has is not one that is null in every row
        if total and column not in columns:
            raise DataError(unknown_name("column", column, columns, where))
    if total and not matched:
        raise DataError(_no_match(wanted, values, where))


def as_text(value: Any) -> str:
    """A value as a CSV or a command line writes it: `true`, `3`, `maths`."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _matches(value: Any, wanted: Any) -> bool:
    if isinstance(wanted, list):
        return any(_matches(value, one) for one in wanted)
    if isinstance(value, bool) != isinstance(wanted, bool) and not isinstance(value, str):
        return False
    # A CSV has no types: its cell "3" is the number 3 of the settings.
    return bool(value == wanted) or (isinstance(value, str) and wanted is not None and value == as_text(wanted))


def _no_match(wanted: Mapping[str, Any], values: Mapping[str, Counter[str]], where: str) -> str:
    shown = "; ".join(
        f"{column} has {', '.join(f'{value[:40]!r} ({count} rows)' for value, count in seen.most_common())}"
        for column, seen in values.items()
    )
    conditions = ", ".join(f"{column} = {value!r}" for column, value in wanted.items())
    return f"{where}: no row has {conditions}. What there is, at most {SHOWN_VALUES} values a column: {shown}"
