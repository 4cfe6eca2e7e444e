"""The report of `cgpo feedback prepare` for people: report.html, and tables in the terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from cgpo.feedback.filters.filters import FilterResult
from cgpo.feedback.preparation.report import Outcome, Step
from cgpo.feedback.preparation.split import time_text
from cgpo.feedback.preparation.table import Ints, Table
from cgpo.feedback.preparation.terminal import print_table
from cgpo.report.charts import Series, line_chart
from cgpo.report.page import Page, Section, render_page
from cgpo.report.page import Table as PageTable
from cgpo.statistics.intervals import rate_interval
from cgpo.storage.text import showable

if TYPE_CHECKING:
    from rich.console import Console

DAY = 86_400.0
STRETCHES = 60
"""Points of the curve over time, at most."""

SHOWN_FINDINGS = 20
"""Findings of a filter on the page; report.json has more, dropped.jsonl every row of all."""

CONFIDENCE = 0.95


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
    known = table.user >= 0
    rows: Ints = np.bincount(table.user[known], minlength=len(table.users))
    positives = np.bincount(table.user[known], weights=table.label[known], minlength=len(table.users))
    found = []
    low = 1
    while low <= rows.max(initial=0):
        high = low * 4 - 1
        inside = (rows >= low) & (rows <= high)
        if inside.any():
            count, total = int(inside.sum()), int(rows[inside].sum())
            found.append([f"{low:,} – {high:,}", f"{count:,}", f"{total:,}", f"{positives[inside].sum() / total:.3%}"])
        low = high + 1
    return PageTable(["rows of a user", "users", "rows", "rate"], found)


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
