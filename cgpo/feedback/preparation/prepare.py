"""From logs of users' reactions to a prepared set, from which `cgpo reward` learns P[Love].

The order: every row is checked; rows are split in time; the true rate p₀ is measured on the training period as it
stands; conversations that are held out too leave the training side; then filters, caps and upsampling, which make the
training rate q. Held-out rows stay at the true rate.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cgpo.data.prepared_feedback import DROPPED, HELDOUT, PAGE, REPORT, SCHEMA, TRAIN
from cgpo.errors import DataError
from cgpo.feedback.filters.chain import FilterResult, filter_heldout, run_filters
from cgpo.feedback.logs.reading import INPUT, Dropped, Log, check_columns, check_reactions, count_rows, read_log
from cgpo.feedback.logs.table import Ints, Mask, Spill, Table
from cgpo.feedback.preparation.contribution import caps, upsample
from cgpo.feedback.preparation.report import Outcome, Step, report_json, report_page
from cgpo.feedback.preparation.split import split
from cgpo.feedback.settings import PrepareSettings
from cgpo.storage.disk import write_atomically, writing
from cgpo.storage.whole_folder import WholeFolder
from cgpo.tracking.progress import StageProgress, Update

CONTENTS = "the prepared feedback"
WRITE_UPDATE = 2000


def prepare(
    path: str,
    output: Path,
    settings: PrepareSettings,
    *,
    overwrite: bool = False,
    progress: StageProgress | None = None,
) -> Outcome:
    """Prepares logs.

    Args:
        path: a file, glob or folder of logs.
        output: the prepared folder.
        settings: how.
        overwrite: replace a prepared folder that is there.
        progress: where progress is shown; stderr by default.

    Raises:
        ConfigError: the folder exists, or a setting is wrong. DataError: the logs cannot be used. RunError: the disk
            is full.
    """
    check_columns(settings.log.columns)
    shown = progress or StageProgress()
    with WholeFolder(output, CONTENTS, replace=overwrite, marker=REPORT) as folder, writing(CONTENTS, output):
        with Spill(folder.path / "texts.tmp") as spill, Dropped(folder.path / DROPPED) as dropped:
            job = _Preparation(settings, spill, dropped, shown)
            outcome = job.run(path, folder.path)
        report = report_json(outcome)
        write_atomically(folder.path / REPORT, json.dumps(report, indent=1).encode(), CONTENTS)
        write_atomically(folder.path / PAGE, report_page(outcome).encode("utf-8", "backslashreplace"), CONTENTS)
        folder.finish()
    return outcome


@dataclass(frozen=True, slots=True)
class _Preparation:
    settings: PrepareSettings
    spill: Spill
    dropped: Dropped
    progress: StageProgress

    def run(self, path: str, folder: Path) -> Outcome:
        log = self._read(path)
        table, repeated = self._without_repetitions(log.table)
        steps = [Step.of("valid rows", table)]
        sides = split(table, self.settings.split)
        period = table.take(sides.period)
        self._drop(table, sides.gap, "gap", "between the training rows and the held-out ones")
        self._drop(table, sides.shared, "conversation on both sides", "its conversation is held out too")
        train = table.take(sides.train)
        steps += [Step.of("training period", period), Step.of("… conversations not held out", train)]
        filtered = run_filters(train, self.spill, self.settings.filters, self.settings.seed)
        before, train = train, self._apply(train, filtered, "filter: ")
        steps.append(Step.of("… after filters", train))
        dropped_users = before.present_users() - train.present_users()
        train = self._cap(train)
        steps.append(Step.of("… after caps", train))
        heldout, heldout_filtered = self._heldout(table.take(sides.heldout), dropped_users)
        _check_classes(train, steps)
        upsampling = upsample(train, self.settings.upsampling, self.settings.seed)
        self._write(folder / TRAIN, train, upsampling.copies)
        self._write(folder / HELDOUT, heldout, np.ones(len(heldout), dtype=np.int64))
        return Outcome(
            path, self.settings, log, repeated, sides.border, steps, period, train, heldout, upsampling, filtered,
            heldout_filtered, dict(self.dropped.counts),
        )  # fmt: skip

    def _read(self, path: str) -> Log:
        with _task(self.progress, "log rows read", count_rows(path)) as update:
            log = read_log(path, self.settings.log, self.spill, self.dropped, update)
            update(log.rows, "")
        check_reactions(log, self.settings.log)
        return log

    def _without_repetitions(self, table: Table) -> tuple[Table, int]:
        """Rows that a log holds twice: one user, conversation, response, reaction and time, all the same."""
        _, first = np.unique(table.row_hash, return_index=True)
        repeated = np.ones(len(table), dtype=np.bool_)
        repeated[first] = False
        repeated &= table.user >= 0
        self._drop(table, repeated, "repeated row", "the log holds this very row before")
        return table.take(~repeated), int(repeated.sum())

    def _heldout(self, heldout: Table, dropped_users: set[str]) -> tuple[Table, list[FilterResult]]:
        if not self.settings.filter_heldout:
            return heldout, []
        filtered = filter_heldout(heldout, dropped_users, self.spill, self.settings.filters, self.settings.seed)
        return self._apply(heldout, filtered, "held-out filter: "), filtered

    def _apply(self, table: Table, filtered: list[FilterResult], prefix: str) -> Table:
        left = np.ones(len(table), dtype=np.bool_)
        for result in filtered:
            rows = np.flatnonzero(result.finding >= 0)
            self._list(table, rows, prefix + result.name, result.reason)
            left[rows] = False
        return table.take(left)

    def _cap(self, table: Table) -> Table:
        left = np.ones(len(table), dtype=np.bool_)
        for reason, detail, over in caps(table, self.settings.caps, self.settings.seed):
            self._drop(table, over, reason, detail)
            left &= ~over
        return table.take(left)

    def _drop(self, table: Table, rows: Mask, reason: str, detail: str) -> None:
        self._list(table, np.flatnonzero(rows), reason, lambda row: detail)

    def _list(self, table: Table, rows: Ints, reason: str, detail: Callable[[int], str]) -> None:
        for row, texts in zip(rows, self.spill.read(table.place[rows]), strict=True):
            self.dropped.add(texts["where"], reason, detail(row))

    def _write(self, file: Path, table: Table, copies: Ints) -> None:
        rows = np.flatnonzero(copies)
        with _task(self.progress, f"rows of {file.name} written", len(rows)) as update, file.open("wb") as out:
            for number, (row, texts) in enumerate(zip(rows, self.spill.read(table.place[rows]), strict=True), start=1):
                out.write(_line(table, int(row), texts, int(copies[row])))
                if number % WRITE_UPDATE == 0:
                    update(number, "")


def _line(table: Table, row: int, texts: dict[str, object], copies: int) -> bytes:
    user, policy = int(table.user[row]), int(table.policy[row])
    values = {
        "schema": SCHEMA,
        "prompt": texts["prompt"],
        "response": texts["response"],
        "label": int(table.label[row]),
        "time": float(table.time[row]),
        "user": table.users[user] if user >= 0 else None,
        "policy": table.policies[policy] if policy >= 0 else None,
        "copies": copies,
    }
    return json.dumps(values, ensure_ascii=False).encode() + b"\n"


def _check_classes(train: Table, steps: list[Step]) -> None:
    if 0 < train.positives < len(train):
        return
    listed = "; ".join(f"{step.name}: {step.rows:,} rows, {step.positives:,} positive" for step in steps)
    raise DataError(
        f"{INPUT}: after filters and caps the training rows have reactions of one class only ({listed}). See --filters "
        "and the caps"
    )


@contextmanager
def _task(progress: StageProgress, title: str, total: int | None) -> Iterator[Update]:
    """A task, also where nobody knows how long it is."""
    if total:
        with progress.task(title, total) as update:
            yield update
    else:
        progress.message(f"{title}: how many there are is not known beforehand")
        yield lambda done, note: None
