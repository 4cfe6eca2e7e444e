"""The summary of a judged file: tables, warnings and the exit status."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from judges.files import STANDARD
from judges.files.rows import Summary
from judges.printing import say

if TYPE_CHECKING:
    from rich.console import Console

_OUTCOMES = ("satisfied", "violated", "unknown", "not_applicable", "not_judged")
_SHOWN_REASONS = 3


def print_summary(summary: Summary, source: Path, output: Path) -> None:
    """Outcomes and costs by judge; malformed rows as warnings on standard error."""
    from judges.terminal import open_console

    for line, problem in summary.malformed:
        say(f"warning: {source} line {line}: {problem}", file=sys.stderr)
    if summary.malformed_rows > len(summary.malformed):
        say(f"warning: … {summary.malformed_rows} malformed rows in all", file=sys.stderr)
    console = open_console(stderr=output == STANDARD)
    _print_outcomes(summary, console)
    _print_reasons(summary, console)
    _print_costs(summary, console)
    where = "standard output" if output == STANDARD else output
    console.print(f"{summary.rows} rows written to {where}", markup=False)


def exit_status(summary: Summary, source: Path, max_unknown_rate: float) -> int:
    """0, or 1 with a message on standard error when the result is not what it should be."""
    problems = [
        f"judge {name!r} is unknown on {summary.unknown_rate(name):.1%} of the rows, more than {max_unknown_rate:.1%}"
        for name in summary.outcomes
        if summary.unknown_rate(name) > max_unknown_rate
    ]
    problems += [
        f"judge {name!r} is unknown on every row that it concerns{_commonest(summary, name)}"
        for name in summary.outcomes
        if summary.undecided(name)
    ]
    if summary.unreadable:
        problems.append(f"{source} was not read to its end: {summary.unreadable}")
    elif summary.malformed_rows == summary.rows:
        problems.append(f"{source}: all {summary.rows} rows are malformed; nothing was judged")
    for problem in problems:
        say(f"error: {problem}", file=sys.stderr)
    return 1 if problems else 0


def _print_outcomes(summary: Summary, console: Console) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table("judge", *(outcome.replace("_", " ") for outcome in _OUTCOMES), box=None, pad_edge=False)
    for name, counts in summary.outcomes.items():
        table.add_row(Text(name), *(str(counts[outcome]) for outcome in _OUTCOMES))
    rows = summary.satisfied
    table.add_row("all of them", *map(str, (rows[True], rows[False], rows[None])))
    console.print(table)


def _print_reasons(summary: Summary, console: Console) -> None:
    """Why judges were unknown: the commonest reasons of each."""
    for name, reasons in summary.unknown_reasons.items():
        console.print(f"why {name} was unknown:", markup=False)
        for reason, count in reasons.most_common(_SHOWN_REASONS):
            console.print(f"  {count} × {_one_line(reason)}", markup=False)
        if len(reasons) > _SHOWN_REASONS:
            shown = sum(count for _, count in reasons.most_common(_SHOWN_REASONS))
            console.print(f"  {summary.outcomes[name]['unknown'] - shown} × other reasons", markup=False)


def _commonest(summary: Summary, judge: str) -> str:
    reasons = summary.unknown_reasons.get(judge)
    return f", most often: {_one_line(reasons.most_common(1)[0][0])}" if reasons else ""


def _one_line(text: str) -> str:
    return " ".join(text.split()) or "no reason given"


def _print_costs(summary: Summary, console: Console) -> None:
    """What verdicts took; calls, tokens and cache hits only where there were any."""
    from rich.table import Table

    models_or_cache = any(cost.calls or cost.cached for cost in summary.costs.values())
    extra = ("from cache", "model calls", "tokens") if models_or_cache else ()
    table = Table("judge", "seconds of judging", "ms a verdict", *extra, box=None, pad_edge=False)
    for name, cost in summary.costs.items():
        made = cost.verdicts - cost.cached
        each = f"{1000 * cost.seconds / made:.2f}" if made else "–"
        counts = map(str, (cost.cached, cost.calls, cost.tokens) if models_or_cache else ())
        table.add_row(name, f"{cost.seconds:.2f}", each, *counts)
    if summary.costs:
        console.print(table)
