"""The report of a preparation: report.json, report.html for people, and tables in the terminal."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cgpo.data.prepared_feedback import SCHEMA
from cgpo.feedback.filters.chain import FilterResult
from cgpo.feedback.logs.reading import Log
from cgpo.feedback.logs.table import Table
from cgpo.feedback.preparation.contribution import Upsampling
from cgpo.feedback.preparation.split import time_text
from cgpo.feedback.settings import PrepareSettings
from cgpo.report.line_chart import Series, line_chart
from cgpo.report.page import Page, Section, render_page
from cgpo.report.page import Table as PageTable
from cgpo.report.terminal import print_table
from cgpo.statistics.intervals import rate_interval
from judges.printing import showable

if TYPE_CHECKING:
    from rich.console import Console


LISTED_FINDINGS = 1000
"""Findings of a filter in report.json; dropped.jsonl has every row of all of them."""

DAY = 86_400.0
STRETCHES = 60
"""Points of the curve over time, at most."""

SHOWN_FINDINGS = 20
"""Findings of a filter on the page; report.json has more, dropped.jsonl every row of all."""

CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Step:
    """Rows that are left after a part of the work."""

    name: str
    rows: int
    positives: int
    users: int

    @classmethod
    def of(cls, name: str, table: Table) -> Step:
        """Counts a table's rows."""
        return cls(name, len(table), table.positives, len(np.unique(table.user[table.user >= 0])))

    @property
    def rate(self) -> float | None:
        """The share of positive reactions."""
        return self.positives / self.rows if self.rows else None


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of a preparation.

    Attributes:
        path: the log.
        settings: how it was prepared.
        log: what was read.
        repeated: rows the log held twice.
        border: Unix seconds where the held-out rows begin.
        steps: what was left after each part.
        period: the training period as it stands, on which p₀ is measured.
        train: rows to learn from.
        heldout: held-out rows.
        upsampling: copies of the training rows.
        filters: what the filters did.
        heldout_filters: what they did to held-out rows.
        dropped: reason → rows.
    """

    path: str
    settings: PrepareSettings
    log: Log
    repeated: int
    border: float
    steps: list[Step]
    period: Table
    train: Table
    heldout: Table
    upsampling: Upsampling
    filters: list[FilterResult]
    heldout_filters: list[FilterResult]
    dropped: dict[str, int]

    @property
    def true_rate(self) -> float:
        """p₀."""
        return self.period.rate

    @property
    def training_rate(self) -> float:
        """q."""
        return self.upsampling.after

    def notes(self) -> Iterator[str]:
        """Sentences on what is missing, filtered or left as it was."""
        if self.upsampling.note:
            yield self.upsampling.note
        if self.heldout.positives in (0, len(self.heldout)):
            yield (
                f"the held-out rows have reactions of one class only: {self.heldout.positives:,} positive of "
                f"{len(self.heldout):,}; AUROC cannot be measured on them"
            )
        nameless = int((self.period.user < 0).sum())
        if nameless:
            yield (
                f"{nameless:,} of {len(self.period):,} rows of the training period name no user: filters and caps by "
                "user cannot see them"
            )
        if self.heldout_filters:
            yield "held-out rows were filtered: they are not at the true rate"
        for result in self.filters:
            if result.note:
                yield f"filter {result.name}: {result.note}"


def report_json(outcome: Outcome) -> dict[str, Any]:
    """`report.json`."""
    train, heldout, upsampling = outcome.train, outcome.heldout, outcome.upsampling
    settings = asdict(outcome.settings)
    del settings["log"]["salt"]  # a secret
    settings["log"]["hashed_users"] = settings["log"].pop("hash_users")
    settings["log"]["milliseconds"] = settings["log"].pop("time_unit") == "ms"
    return {
        "schema": SCHEMA,
        "input": outcome.path,
        "true_rate": outcome.true_rate,
        "training_rate": outcome.training_rate,
        "counts": {
            "log_rows": outcome.log.rows,
            "bad_rows": outcome.log.bad,
            "repeated_rows": outcome.repeated,
            "train_rows": int((upsampling.copies > 0).sum()),
            "train_positives": int(((upsampling.copies > 0) & (train.label == 1)).sum()),
            "train_copies": int(upsampling.copies.sum()),
            "train_positive_copies": int(upsampling.copies[train.label == 1].sum()),
            "negatives_left_out": int((upsampling.copies == 0).sum()),
            "heldout_rows": len(heldout),
            "heldout_positives": heldout.positives,
        },
        "dropped": outcome.dropped,
        "steps": [asdict(step) for step in outcome.steps],
        "heldout": {
            "from": outcome.border,
            "to": float(heldout.time[-1]) if len(heldout) else None,
            "rate": heldout.rate,
            "filtered": bool(outcome.heldout_filters),
        },
        "train": {"from": float(train.time[0]), "to": float(train.time[-1])},
        "filters": [_filter_json(result) for result in outcome.filters],
        "heldout_filters": [_filter_json(result) for result in outcome.heldout_filters],
        "reactions": dict(outcome.log.reactions.counts.most_common(100)),
        "notes": list(outcome.notes()),
        "settings": settings,
    }


def _filter_json(result: FilterResult) -> dict[str, Any]:
    return {
        "name": result.name,
        "rule": result.rule,
        "tested": result.tested,
        "rows": result.rows,
        "positives": result.positives,
        "findings": [asdict(finding) for finding in result.findings[:LISTED_FINDINGS]],
        "more_findings": max(0, len(result.findings) - LISTED_FINDINGS),
        "note": result.note,
    }


def report_page(outcome: Outcome) -> str:
    """`report.html`."""
    interval = rate_interval(outcome.period.positives, len(outcome.period), CONFIDENCE)
    facts = [
        ("log", outcome.path),
        ("true rate p₀", f"{outcome.true_rate:.4%} ({interval.low:.4%} to {interval.high:.4%})"),
        ("training rate q", f"{outcome.training_rate:.4%}"),
        ("held-out rate", f"{outcome.heldout.rate:.4%}"),
        ("training period", f"{time_text(outcome.period.time[0])} to {time_text(outcome.period.time[-1])}"),
        ("held-out rows begin", time_text(outcome.border)),
    ]
    sections = [
        Section("Rows", tables=[_steps_table(outcome)]),
        Section("Dropped", tables=[PageTable(["reason", "rows"], _dropped_rows(outcome))]),
        Section("Over time", charts=_charts(outcome)),
        Section("Rows of a user", tables=[_users_table(outcome.period)]),
        *(_filter_section(result, "Filter") for result in outcome.filters),
        *(_filter_section(result, "Held-out filter") for result in outcome.heldout_filters),
    ]
    return render_page(Page("Prepared feedback", "", facts, list(outcome.notes()), sections))


def print_report(console: Console, outcome: Outcome) -> None:
    """Prints the counts as tables."""
    from rich.text import Text

    print_table(console, "", _steps_table(outcome))
    if outcome.dropped:
        print_table(console, "", PageTable(["dropped", "rows", ""], [[*row, ""] for row in _dropped_rows(outcome)]))
    console.print(
        f"true rate {outcome.true_rate:.4%}, training rate {outcome.training_rate:.4%}; held-out rows begin "
        f"{time_text(outcome.border)}",
        highlight=False,
    )
    for note in outcome.notes():
        console.print(Text(showable(f"note: {note}")))


def _steps_table(outcome: Outcome) -> PageTable:
    copies, label = outcome.upsampling.copies, outcome.train.label
    total, positive = int(copies.sum()), int(copies[label == 1].sum())
    rows = [_row(step.name, step.rows, step.positives, step.users) for step in outcome.steps]
    rows.append(_row("train, with copies", total, positive, None))
    held = Step.of("held-out", outcome.heldout)
    rows.append(_row(held.name, held.rows, held.positives, held.users))
    return PageTable(["", "rows", "positive", "rate", "users"], rows)


def _row(name: str, rows: int, positives: int, users: int | None) -> list[str]:
    rate = f"{positives / rows:.3%}" if rows else "–"
    return [name, f"{rows:,}", f"{positives:,}", rate, "" if users is None else f"{users:,}"]


def _dropped_rows(outcome: Outcome) -> list[list[str]]:
    return [[reason, f"{count:,}"] for reason, count in sorted(outcome.dropped.items(), key=lambda pair: -pair[1])]


def _charts(outcome: Outcome) -> list[Any]:
    """Rate and rows per stretch of time, in days since the first row; training period and held-out rows."""
    start = float(outcome.period.time[0])
    last = float(outcome.heldout.time[-1] if len(outcome.heldout) else outcome.period.time[-1])
    days = max(1, math.ceil((last - start) / DAY / STRETCHES))
    parts = {"training period": outcome.period, "held-out": outcome.heldout}
    rates, counts = [], []
    for name, table in parts.items():
        stretch = ((table.time - start) / (days * DAY)).astype(np.int64)
        rows = np.bincount(stretch)
        positives = np.bincount(stretch, weights=table.label)
        places = np.flatnonzero(rows)
        rates.append(Series(name, [(int(p) * days, float(positives[p] / rows[p])) for p in places]))
        counts.append(Series(name, [(int(p) * days, float(rows[p])) for p in places]))
    unit = "day" if days == 1 else f"{days} days"
    return [
        line_chart(f"positive reactions per {unit}, from day 0 on", rates, rate=True),
        line_chart(f"rows per {unit}, from day 0 on", counts),
    ]


def _users_table(table: Table) -> PageTable:
    rows, positives = table.user_counts()
    groups = []
    low = 1
    while low <= rows.max(initial=0):
        high = low * 4 - 1
        inside = (rows >= low) & (rows <= high)
        if inside.any():
            count, total = int(inside.sum()), int(rows[inside].sum())
            groups.append([f"{low:,} – {high:,}", f"{count:,}", f"{total:,}", f"{positives[inside].sum() / total:.3%}"])
        low = high + 1
    return PageTable(["rows of a user", "users", "rows", "rate"], groups)


def _filter_section(result: FilterResult, title: str) -> Section:
    shown: Sequence[Any] = result.findings[:SHOWN_FINDINGS]
    more = len(result.findings) - len(shown)
    rows = [[finding.who, f"{finding.rows:,}", f"{finding.positives:,}", finding.reason] for finding in shown]
    text = [
        f"{result.rule}. Tested: {result.tested}. Dropped: {result.rows:,} rows, {result.positives:,} of them positive."
    ]
    if more > 0:
        text.append(f"The first {len(shown)} of {len(result.findings):,} findings:")
    tables = [PageTable(["found", "rows", "positive", "why"], rows)] if rows else []
    return Section(f"{title}: {result.name}", text, [result.note] if result.note else [], tables)
