"""Shows on standard error how far a file has been read: a bar, or plain lines now and then."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from judges.files.rows import InputRow
from judges.printing import say

if TYPE_CHECKING:
    from rich.progress import Progress

_PLAIN_SECONDS = 30.0


def progress(rows: Iterator[InputRow], total: int | None, before: int = 0) -> Iterator[InputRow]:
    """Passes rows on.

    Args:
        rows: what is read.
        total: `InputRow.done` of the last one, where that is known.
        before: rows of an earlier run of the command.
    """
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    from judges.terminal import open_console

    console = open_console(stderr=True)
    if not console.is_terminal:
        yield from _lines(rows, total, before)
        return
    columns = (TextColumn("judging"), BarColumn(), TextColumn("{task.percentage:.0f} %"), TimeRemainingColumn())
    with Progress(*columns, TextColumn("{task.fields[rows]} rows"), console=console, transient=True) as bar:
        yield from _bar(rows, total, before, bar)


def _bar(rows: Iterator[InputRow], total: int | None, before: int, bar: Progress) -> Iterator[InputRow]:
    task = bar.add_task("judging", total=total, rows=before)
    for count, row in enumerate(rows, start=before + 1):
        yield row
        bar.update(task, completed=row.done, rows=count)


def _lines(rows: Iterator[InputRow], total: int | None, before: int) -> Iterator[InputRow]:
    shown = time.monotonic()
    for count, row in enumerate(rows, start=before + 1):
        yield row
        if time.monotonic() - shown >= _PLAIN_SECONDS:
            shown = time.monotonic()
            share = f", {min(1.0, row.done / total):.0%} of the file" if total else ""
            say(f"judged about {count} rows{share}", file=sys.stderr)
