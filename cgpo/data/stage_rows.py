"""Rows of a stage's data set: read, parsed one by one, and refused or counted where they cannot be used."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from cgpo.config import PromptSettings, RowSourceSettings
from cgpo.data.rows import RawRow, read_rows
from cgpo.errors import ConfigError, DataError, unknown_name

NAMED_PROBLEMS = 10
"""Bad rows that a message names; of the others it says how many."""

Given = TypeVar("Given")
Row = TypeVar("Row")


def stage_rows(settings: RowSourceSettings, where: str) -> tuple[list[RawRow], list[str]]:
    """The first `size` rows of a stage's data set, and a sentence for each line that is no row.

    Raises:
        ConfigError: no data set is named. DataError: it cannot be read, is empty, or has fewer rows.
    """
    if settings.path is None:
        raise ConfigError(f"{where}.path is not set: name a JSONL or Parquet file, or a data set on the hub")
    source = PromptSettings(path=settings.path, name=settings.name, split=settings.split)
    unreadable: list[str] = []
    rows = list(itertools.islice(read_rows(source, where, unreadable.append), settings.size))
    if not rows and not unreadable:
        raise DataError(f"{where}: {settings.path!r} is empty, it has no rows")
    if settings.size is not None and len(rows) < settings.size:
        raise DataError(f"{where}.size: {settings.size} rows asked for, but {settings.path!r} has {len(rows)}")
    return rows, unreadable


def parse_rows(
    rows: Iterable[Given],
    parse: Callable[[Given], Row],
    settings: RowSourceSettings,
    where: str,
    unreadable: Sequence[str] = (),
) -> tuple[list[Row], list[str]]:
    """Rows as `parse` reads them, and a sentence for each that it refused, after those that could not be read.

    Raises:
        DataError: some are bad and `bad_rows` is `stop`, or all are; says how many and names the first.
    """
    good: list[Row] = []
    problems = list(unreadable)
    for row in rows:
        try:
            good.append(parse(row))
        except DataError as error:
            problems.append(str(error))
    if problems and (settings.bad_rows == "stop" or not good):
        hint = f"\nMend them, or leave them out with {where}.bad_rows=drop" if good else ""
        head = f"{where}: {len(problems)} of {len(good) + len(problems)} rows cannot be used"
        raise DataError("\n".join([head, *problem_lines(problems)]) + hint)
    return good, problems


def problem_lines(problems: list[str]) -> list[str]:
    """The first problems, a line each, and how many more there are."""
    more = len(problems) - NAMED_PROBLEMS
    return [f"  {problem}" for problem in problems[:NAMED_PROBLEMS]] + ([f"  … and {more} more"] if more > 0 else [])


def column(row: RawRow, name: str) -> Any:
    """The value of a cell.

    Raises:
        DataError: the row has no such column; names the nearest one.
    """
    if name not in row.values:
        raise DataError(unknown_name("column", name, map(str, row.values), row.where))
    return row.values[name]
