"""The output of `cgpo stratify`: a file of rows for each stratum, and counts of them, with reasons and accuracy."""

from __future__ import annotations

import datetime
import decimal
import json
from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Self

from cgpo.errors import DataError
from cgpo.storage.disk import writing
from cgpo.storage.whole_folder import WholeFolder
from cgpo.stratify.assignment import Assignment
from cgpo.stratify.definitions import UNASSIGNED
from judges.printing import showable

if TYPE_CHECKING:
    from rich.console import Console


SUMMARY = "summary.json"
CONTENTS = "the assigned rows"

SHOWN_REASONS = 5
LONGEST_TRUTH = 40


class OutputFolder:
    """The folder; see `WholeFolder`.

    Args:
        folder: must not exist, or be empty.

    Raises:
        ConfigError: it holds something.
        RunError: it cannot be written, or another process writes it.
    """

    def __init__(self, folder: Path) -> None:
        self._whole = WholeFolder(folder, CONTENTS)
        self._stack = ExitStack()
        self._files: dict[str, IO[bytes]] = {}

    def write(self, name: str, row: Mapping[str, Any], where: str) -> None:
        """Appends a row to `<name>.jsonl`.

        Args:
            name: the file's name without its suffix.
            row: the row.
            where: its place in the input, for messages.

        Raises:
            DataError: it holds what JSON cannot.
            RunError: the disk is full.
        """
        line = _json(row, where)
        with writing(CONTENTS, self._whole.folder):
            if name not in self._files:
                self._files[name] = self._stack.enter_context((self._whole.path / f"{name}.jsonl").open("wb"))
            self._files[name].write(line)

    def finish(self, summary: Mapping[str, Any]) -> None:
        """Makes the folder appear."""
        with writing(CONTENTS, self._whole.folder):
            (self._whole.path / SUMMARY).write_bytes(_json(summary, SUMMARY, indent=2))
            self._stack.close()
        self._whole.finish()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._stack.close()
        self._whole.__exit__(*exception)


def _json(tree: Mapping[str, Any], where: str, indent: int | None = None) -> bytes:
    def plain(value: Any) -> Any:
        if isinstance(value, (datetime.date, datetime.time)):
            return value.isoformat()
        if isinstance(value, decimal.Decimal):
            return str(value)
        raise DataError(f"{where}: holds a {type(value).__name__}, which JSON has no form for; leave that column out")

    try:
        return json.dumps(tree, ensure_ascii=False, default=plain, indent=indent).encode() + b"\n"
    except UnicodeEncodeError:  # a lone surrogate: JSON's own escape keeps it
        return json.dumps(tree, default=plain, indent=indent).encode() + b"\n"


@dataclass
class Tally:
    """Counts.

    Attributes:
        rows: stratum (or `unassigned`) → rows.
        reasons: why rows have no stratum → rows.
        confusion: (true stratum, assigned stratum or `unassigned`) → rows.
    """

    rows: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    confusion: Counter[tuple[str, str]] = field(default_factory=Counter)

    def add(self, assignment: Assignment, truth: str | None) -> None:
        """Counts a row; `truth` is its true stratum where that is known."""
        name = assignment.stratum or UNASSIGNED
        self.rows[name] += 1
        if assignment.stratum is None:
            self.reasons[assignment.reason] += 1
        if truth is not None:
            self.confusion[truth, name] += 1

    @property
    def assigned(self) -> int:
        """Rows that have a stratum."""
        return self.rows.total() - self.rows[UNASSIGNED]

    @property
    def right(self) -> int:
        """Rows assigned to their true stratum."""
        return sum(count for (truth, name), count in self.confusion.items() if truth == name)

    @property
    def compared(self) -> tuple[int, int]:
        """Rows whose truth is known: all, and those that have a stratum."""
        known = self.confusion.total()
        return known, known - sum(count for (_, name), count in self.confusion.items() if name == UNASSIGNED)

    def as_json(self) -> dict[str, Any]:
        """For `summary.json`."""
        known, assigned = self.compared
        summary: dict[str, Any] = {"rows": dict(self.rows), "unassigned": dict(self.reasons.most_common(100))}
        if known:
            summary["truth"] = {
                "known": known,
                "assigned": assigned,
                "right": self.right,
                "confusion": [[truth, name, count] for (truth, name), count in sorted(self.confusion.items())],
            }
        return summary


def print_tally(console: Console, tally: Tally) -> None:
    """Prints the counts as a table, and the comparison where there is one."""
    from rich.markup import escape
    from rich.table import Table

    table = Table("stratum", box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("rows", justify="right")
    table.add_column("share", justify="right")
    total = tally.rows.total()
    for name in [*sorted(set(tally.rows) - {UNASSIGNED}), UNASSIGNED]:
        table.add_row(name, f"{tally.rows[name]:,}", f"{tally.rows[name] / total:.1%}")
    console.print(table)
    for reason, count in tally.reasons.most_common(SHOWN_REASONS):
        console.print(f"  {UNASSIGNED}, {count:,}: {escape(reason)}")
    if len(tally.reasons) > SHOWN_REASONS:
        console.print(f"  {UNASSIGNED}: {len(tally.reasons) - SHOWN_REASONS} further reasons in summary.json")
    if tally.confusion:
        _print_comparison(console, tally)


def _print_comparison(console: Console, tally: Tally) -> None:
    from rich.table import Table
    from rich.text import Text

    known, assigned = tally.compared
    share = f", {tally.right / assigned:.1%} of the {assigned:,} assigned" if assigned < known and assigned else ""
    console.print(f"right: {tally.right:,} of {known:,} ({tally.right / known:.1%}){share}")
    truths = sorted({truth for truth, _ in tally.confusion})
    names = [*sorted({name for _, name in tally.confusion} - {UNASSIGNED}), UNASSIGNED]
    table = Table("truth ↓  assigned →", box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for name in names:
        table.add_column(name, justify="right")
    for truth in truths:
        shown = Text(showable(truth)[:LONGEST_TRUTH])  # a column of the user's: no markup, any length
        table.add_row(shown, *(f"{tally.confusion[truth, name]:,}" for name in names))
    console.print(table)
