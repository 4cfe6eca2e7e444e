"""What evaluation.json holds, in words: tables in a terminal, and the page."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from cgpo.data.prepared_feedback import FeedbackRow
from cgpo.report.head_report import figures, interval_words, rate_words, report_section, warnings
from cgpo.report.page import Page, Section, Table
from cgpo.report.terminal import print_table


def moment(seconds: float | None) -> str:
    """`2025-03-01 12:00 UTC`."""
    return "unknown" if seconds is None else datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")


def facts(found: dict[str, Any]) -> list[tuple[str, str]]:
    """What was measured, with what."""
    time, report = found["time"], found["report"]
    rates = found["training_rate"]
    return [
        ("model", f"{found['model']}, head {found['head']} ({found['objective'] or 'origin unknown'})"),
        (
            "rates",
            "–" if rates is None else f"trained at {100 * rates:.3g} %, read at {100 * found['true_rate']:.3g} %",
        ),
        ("data", found["data"]),
        (
            "rows",
            f"{report['n']} scored, {report['missing']} missing, {found['truncated']} truncated to "
            f"{found['max_length']} tokens, {report['clusters']} users or single rows",
        ),
        ("time", f"{moment(time['from'])} to {moment(time['to'])}; training ended {moment(time['trained_until'])}"),
        ("intervals", f"{100 * found['confidence']:g} %"),
    ]


def all_warnings(found: dict[str, Any]) -> list[str]:
    """What to mind."""
    time, notes = found["time"], list(warnings(found["report"]))
    if time["later"] is None:
        notes.append(
            "nobody says when the model's training data ended, so these rows may be from before; --trained-on tells"
        )
    if time["later"] is False:
        notes.append(f"{time['not_later']} rows are not later than the training's last example (--allow-earlier)")
    if found["objective"] != "pointwise":
        origin = f"was trained on {found['objective']} data" if found["objective"] else "is of unknown origin"
        notes.append(f"the head gives no probability, it {origin}: no calibration")
    if found["truncated"]:
        total = found["report"]["n"] + found["report"]["missing"]
        notes.append(
            f"{found['truncated']} of {total} texts have more than {found['max_length']} tokens: the start of their "
            "prompts, or the end of their responses, was not seen (--max-length)"
        )
    return notes


def policy_table(found: dict[str, Any]) -> Table | None:
    """The numbers by policy, or None where rows have none."""
    if not found["by_policy"]:
        return None
    rows = [
        (
            policy,
            f"{own['positives']} / {own['n']}",
            "–" if own["rate"] is None else rate_words(own["rate"]),
            "–" if own["mean_probability"] is None else rate_words(own["mean_probability"]),
            interval_words(own["auroc"]),
        )
        for policy, own in found["by_policy"].items()
    ]
    return Table(("policy", "positives", "observed", "expected", "AUROC"), rows)


def print_evaluation(found: dict[str, Any]) -> None:
    """Prints it as tables."""
    from rich.console import Console

    console = Console()
    print_table(console, f"{found['head']} on later reactions", Table(("", ""), facts(found)))
    print_table(console, "", Table(("measure", "value (interval)"), figures(found["report"])))
    groups = [
        (str(i + 1), f"{g['positives']} / {g['n']}", interval_words(g["lift"], ".2f"))
        for i, g in enumerate(found["report"]["lift"])
    ]
    print_table(console, "lift by tenth of the scores, best first", Table(("tenth", "positives", "lift"), groups))
    if (policies := policy_table(found)) is not None:
        print_table(console, "by policy", policies)
    for text in all_warnings(found):
        console.print(f"warning: {text}", markup=False, highlight=False)


def evaluation_page(found: dict[str, Any], rows: Sequence[FeedbackRow], scores: Sequence[float | None]) -> Page:
    """evaluation.html."""
    lengths, labels = [float(len(row.response)) for row in rows], [row.label for row in rows]
    sections = [report_section(found["head"], found["report"], scores, lengths, labels)]
    if (policies := policy_table(found)) is not None:
        sections.append(Section("By policy", tables=[policies]))
    own = set(warnings(found["report"]))
    notes = [text for text in all_warnings(found) if text not in own]
    return Page("Reactions of later users", facts=facts(found), warnings=notes, sections=sections)
