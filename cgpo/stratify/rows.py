"""The rows of `--input`: read once to count and check them, and again to assign and write them, batch by batch."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cgpo.config import PromptSettings
from cgpo.data.filter import as_text
from cgpo.data.messages import messages_of
from cgpo.data.rows import Bad, RawRow, read_rows
from cgpo.errors import DataError
from cgpo.stratify.assignment import Assigner, Assignment, Item
from cgpo.stratify.definitions import UNASSIGNED
from cgpo.stratify.output import OutputFolder, Tally
from cgpo.tracking.progress import StageProgress
from judges.printing import say

SHOWN_BAD = 10


@dataclass(frozen=True, slots=True)
class Source:
    """Where rows come from.

    Attributes:
        path: file, folder or hub data set.
        split: of a hub data set or folder.
        prompt_column: column of the prompt.
    """

    path: str
    split: str
    prompt_column: str

    def rows(self, bad: Bad) -> Iterator[tuple[RawRow, Item]]:
        """Rows with a prompt; `bad` is told of the others."""
        for row in read_rows(PromptSettings(path=self.path, split=self.split), "--input", bad):
            if self.prompt_column not in row.values:
                bad(
                    f"{row.where}: no column {self.prompt_column!r}; it has {', '.join(map(str, row.values)) or 'none'}"
                )
                continue
            try:
                messages = messages_of(row.values[self.prompt_column], row.where)
            except DataError as error:
                bad(str(error))
                continue
            yield row, Item(messages, row.values)

    def count(self, max_bad_rate: float) -> tuple[int, list[str]]:
        """The number of rows with a prompt, and the problems of the first rows without one.

        Raises:
            DataError: there are no rows, or more than `max_bad_rate` of them cannot be used.
        """
        bad_rows = 0
        problems: list[str] = []

        def bad(problem: str) -> None:
            nonlocal bad_rows
            bad_rows += 1
            if len(problems) < SHOWN_BAD:
                problems.append(problem)

        good = sum(1 for _ in self.rows(bad))
        total = good + bad_rows
        if total == 0:
            raise DataError(f"--input {self.path}: there are no rows")
        more = [f"… and {bad_rows - len(problems)} more"] if bad_rows > len(problems) else []
        listed = "\n  ".join([*problems, *more])
        if bad_rows > max_bad_rate * total or not good:
            raise DataError(
                f"--input {self.path}: {bad_rows} of {total} rows cannot be used (--max-bad-rate is "
                f"{max_bad_rate:g}):\n  {listed}"
            )
        if bad_rows:
            say(f"left out: {bad_rows} of {total} rows that cannot be used:\n  {listed}", file=sys.stderr)
        return good, problems


@dataclass(frozen=True, slots=True)
class Truth:
    """A column that says the true stratum.

    Attributes:
        column: its name.
        names: its values → strata; a value that is not mapped is a stratum's name.
    """

    column: str
    names: Mapping[str, str]

    def of(self, row: RawRow) -> str | None:
        """The true stratum of a row; None where the column has no value."""
        value = row.values.get(self.column)
        return None if value is None else self.names.get(as_text(value), as_text(value))


def assign_rows(
    source: Source, total: int, assigner: Assigner, output: OutputFolder, key: str, truth: Truth | None
) -> Tally:
    """Assigns all rows and writes them.

    Args:
        source: the rows.
        total: how many have a prompt.
        assigner: tells their strata.
        output: where they are written.
        key: the column that the stratum is written to; its score goes to `<key>_score`.
        truth: what to compare with, if anything.

    Raises:
        DataError: a row has a column of that name already, or none has a true stratum.
    """
    tally = Tally()
    rows = source.rows(lambda problem: None)  # they have been counted and listed
    with StageProgress().task("assigned rows", total) as update:
        while batch := list(itertools.islice(rows, assigner.batch_size)):
            assignments = assigner.assign([item for _, item in batch])
            for (row, _), assignment in zip(batch, assignments, strict=True):
                output.write(assignment.stratum or UNASSIGNED, _with_stratum(row, assignment, key), row.where)
                tally.add(assignment, truth.of(row) if truth else None)
            update(tally.rows.total(), f"{tally.rows[UNASSIGNED]} unassigned")
    if truth and not tally.confusion:
        raise DataError(f"--truth {truth.column}: no row has a value in that column")
    return tally


def _with_stratum(row: RawRow, assignment: Assignment, key: str) -> dict[str, Any]:
    added = {key: assignment.stratum, f"{key}_score": assignment.score}
    for name, value in added.items():
        if name in row.values and row.values[name] != value:
            raise DataError(f"{row.where}: has a column {name!r} already; give what is added another name with --key")
    return {**row.values, **added}
