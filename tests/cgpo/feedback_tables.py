"""Small logs as tables, for the tests of this folder."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from cgpo.feedback.logs.rows import LogRow
from cgpo.feedback.logs.table import Spill, Table, TableBuilder


def row(
    response: str,
    label: int,
    time: float,
    user: str | None = None,
    *,
    prompt: str = "Hello?",
    before: tuple[tuple[str, str], ...] = (),
    policy: str | None = None,
    conversation: str | None = None,
) -> LogRow:
    """A row; `before` are (user, assistant) turns before the prompt."""
    messages = [m for u, a in before for m in ({"role": "user", "content": u}, {"role": "assistant", "content": a})]
    messages.append({"role": "user", "content": prompt})
    return LogRow("log row 1", tuple(messages), response, label, time, user, policy, conversation)  # type: ignore[arg-type]


def table(rows: Iterable[LogRow]) -> Table:
    """A table without texts."""
    builder = TableBuilder()
    for number, found in enumerate(rows):
        builder.add(found, number)
    return builder.table()


def spilled(rows: Iterable[LogRow], spill: Spill) -> Table:
    """A table whose texts are in the file."""
    builder = TableBuilder()
    for found in rows:
        builder.add(found, spill.add(found))
    return builder.table()


def spill_in(folder: Path) -> Spill:
    """A file of texts."""
    return Spill(folder / "texts.tmp")
