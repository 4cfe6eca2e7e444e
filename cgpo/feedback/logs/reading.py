"""Reading a log: every row checked, valid ones into a table and a file of texts, others into `dropped.jsonl`."""

from __future__ import annotations

import gzip
import json
import secrets
import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from cgpo.config import PromptSettings
from cgpo.data.prepared_feedback import SCHEMA
from cgpo.data.rows import RawRow, read_rows
from cgpo.errors import ConfigError, DataError, nearest, unknown_name
from cgpo.feedback.logs.rows import Reactions, RowReader
from cgpo.feedback.logs.table import Spill, Table, TableBuilder
from cgpo.feedback.settings import COLUMNS, LogSettings
from cgpo.feedback.values import BadRowError
from cgpo.storage.text import storable

SHOWN = 3
"""Examples of each reason that messages show."""

INPUT = "--input"
UPDATE_EVERY = 2000
RANDOM_SALT = 32
"""Bytes."""

NEEDED = {"prompt": ("prompt", "conversation"), "reaction": ("reaction",), "time": ("time",)}
"""Without any of these columns in any row, a log is none."""


class Dropped:
    """The list while it is written.

    Args:
        path: the file; made anew.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("w", encoding="utf-8")
        self.counts: Counter[str] = Counter()
        self.examples: dict[str, list[str]] = {}

    def add(self, row: str, reason: str, detail: str) -> None:
        """Lists a row.

        Args:
            row: file and row of the log.
            reason: the same words for all rows that have it.
            detail: what this row has.
        """
        line = {"schema": SCHEMA, "row": storable(row), "reason": reason, "detail": storable(detail)}
        self._file.write(json.dumps(line, ensure_ascii=False) + "\n")
        self.counts[reason] += 1
        examples = self.examples.setdefault(reason, [])
        if len(examples) < SHOWN:
            examples.append(f"{row}: {detail}")

    def table_text(self) -> str:
        """Counts and examples by reason, for a message."""
        lines = []
        for reason, count in self.counts.most_common():
            lines.append(f"  {count:,} × {reason}")
            lines += [f"      {example}" for example in self.examples[reason]]
        return "\n".join(lines)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._file.close()


@dataclass(frozen=True, slots=True)
class Log:
    """A log that was read.

    Attributes:
        table: its valid rows.
        rows: all rows, bad ones too.
        bad: rows that cannot be used.
        reactions: the values of reactions, counted.
    """

    table: Table
    rows: int
    bad: int
    reactions: Reactions


@dataclass(slots=True)
class _Columns:
    """Which of the columns were met in any row."""

    wanted: dict[str, str]
    seen: set[str] = field(default_factory=set)

    def note(self, row: RawRow) -> None:
        if len(self.seen) < 200:
            self.seen.update(map(str, row.values))

    def check(self, given: dict[str, str]) -> None:
        """Refuses a log that lacks a column in every row.

        Raises:
            DataError: with the columns there are and the nearest one.
        """
        for what, any_of in NEEDED.items():
            names = [self.wanted[name] for name in any_of]
            if not self.seen.intersection(names):
                raise DataError(_no_column(what, names, self.seen))
        for what, name in given.items():
            if name not in self.seen:
                raise DataError(_no_column(what, [name], self.seen))


def check_columns(columns: dict[str, str]) -> None:
    """Refuses `--column` for something that a log does not have.

    Raises:
        ConfigError: with what may be named.
    """
    for what in columns:
        if what not in COLUMNS:
            raise ConfigError(unknown_name("column", what, COLUMNS, f"--column {what}={columns[what]}"))


def _salt(settings: LogSettings) -> bytes | None:
    """What user ids are hashed with; None leaves them as they are."""
    if not settings.hash_users:
        return None
    # Nobody keeps it: the hashes tell users of this folder apart, but can be neither guessed nor linked elsewhere.
    return settings.salt or secrets.token_bytes(RANDOM_SALT)


def read_log(
    path: str, settings: LogSettings, spill: Spill, dropped: Dropped, update: Callable[[int, str], None]
) -> Log:
    """Reads all of a log.

    Args:
        path: a file, glob or folder.
        settings: what its rows mean.
        spill: gets the texts of valid rows.
        dropped: gets the rows that are bad.
        update: told of progress: rows read, and a note.

    Raises:
        DataError: it cannot be read, is empty, lacks a column, or too many rows are bad.
    """
    reader, builder = RowReader(settings), TableBuilder(_salt(settings))
    columns = _Columns({what: settings.columns.get(what, what) for what in COLUMNS})
    good = bad = 0

    def unreadable(problem: str) -> None:
        nonlocal bad
        bad += 1
        where, _, detail = problem.partition(": ")
        dropped.add(where, "not readable", detail)

    for row in read_rows(PromptSettings(path=path), INPUT, unreadable):
        columns.note(row)
        try:
            log_row = reader.read(row)
        except BadRowError as error:
            bad += 1
            dropped.add(row.where, error.reason, error.detail)
        else:
            good += 1
            builder.add(log_row, spill.add(log_row))
        if (good + bad) % UPDATE_EVERY == 0:
            update(good + bad, f"{bad:,} bad" if bad else "")
    _check(path, settings, good, bad, columns, dropped)
    return Log(builder.table(), good + bad, bad, reader.reactions)


def _check(path: str, settings: LogSettings, good: int, bad: int, columns: _Columns, dropped: Dropped) -> None:
    if not good + bad:
        raise DataError(f"{INPUT} {path}: there are no rows")
    if columns.seen:
        columns.check(settings.columns)
    if not good or bad > settings.max_bad_share * (good + bad):
        raise DataError(
            f"{INPUT} {path}: {bad:,} of {good + bad:,} rows cannot be used (--max-bad-share is "
            f"{settings.max_bad_share:g}):\n{dropped.table_text()}"
        )


def check_reactions(log: Log, settings: LogSettings) -> None:
    """Refuses a log with reactions of one class only.

    Raises:
        DataError: with the counts, the values and the nearest ones.
    """
    positives, rows = log.table.positives, len(log.table)
    if 0 < positives < rows:
        return
    counts = f"{positives:,} positive, {rows - positives:,} not"
    named = f" --positive is {','.join(settings.positive)}." if settings.positive else ""
    raise DataError(
        f"the reactions are of one class only: {counts}. Values found: {log.reactions.values_text()}.{named}"
        f"{log.reactions.nearest_positive()}"
    )


def _no_column(what: str, names: list[str], seen: set[str]) -> str:
    close = next((column for name in names if (column := nearest(name, seen))), None)
    meant = f" Did you mean --column {what}={close}?" if close else f" Name it: --column {what}=COLUMN."
    return f"{INPUT}: no row has a column {' or '.join(map(repr, names))}.{meant} Columns: {', '.join(sorted(seen))}"


def count_rows(path: str) -> int | None:
    """About how many rows there are, for the time left; None where it cannot be told quickly."""
    from glob import glob

    files = [Path(name) for name in glob(str(Path(path).expanduser()), recursive=True)]
    counts = [_count(file) for file in files if file.is_file()]
    known = [count for count in counts if count is not None]
    return sum(known) if known and len(known) == len(files) else None


def _count(file: Path) -> int | None:
    """Rows of a file, for the progress alone: None where that is not known. Reading says what is wrong with it."""
    import pyarrow
    import pyarrow.parquet

    name = file.name.lower()
    try:
        if name.endswith(".parquet"):
            return int(pyarrow.parquet.read_metadata(file).num_rows)
        if name.removesuffix(".gz").endswith((".jsonl", ".ndjson", ".csv", ".tsv")):
            with gzip.open(file) if name.endswith(".gz") else file.open("rb") as lines:
                return sum(chunk.count(b"\n") for chunk in iter(lambda: lines.read(1 << 20), b""))
    except (OSError, EOFError, zlib.error, pyarrow.ArrowException):
        return None
    return None
