"""What correlation.json holds, in words: tables in a terminal, and the page."""

from __future__ import annotations

from typing import Any

from cgpo.report.charts import Chart
from cgpo.report.head_report import interval_words
from cgpo.report.page import Page, Section, Table
from cgpo.report.points_chart import Axis, Point, PointSeries, points_chart
from cgpo.report.terminal import print_table


def print_correlation(found: dict[str, Any]) -> None:
    """Prints it as tables."""
    from rich.console import Console

    console = Console()
    print_table(console, f"{found['score']} offline against what was observed", policy_table(found))
    print_table(console, "", Table(("over policies", f"{100 * found['confidence']:g} % interval"), numbers(found)))
    for text in found["warnings"]:
        console.print(f"warning: {text}", markup=False, highlight=False)


def policy_table(found: dict[str, Any]) -> Table:
    """The numbers of each policy, and r without it."""
    rows = [
        (
            one["policy"],
            f"{one['responses']} to {one['prompts']}",
            str(one["missing"]),
            interval_words(one["offline"], ".4g"),
            interval_words(one["observed"], ".4g"),
            _number(found["leave_one_out"][one["policy"]]),
        )
        for one in found["policies"]
    ]
    return Table(("policy", "responses to prompts", "missing", "offline", "observed", "r without it"), rows)


def numbers(found: dict[str, Any]) -> list[tuple[str, str]]:
    """The correlations."""
    known = [r for r in found["leave_one_out"].values() if r is not None]
    method = "every order tried" if found["p_value_exact"] else "orders drawn"
    return [
        ("policies", str(found["n"])),
        ("Pearson r", interval_words(found["pearson"], "+.2f")),
        ("  if all numbers were exact", interval_words(found["pearson_exact_numbers"], "+.2f")),
        ("Spearman ρ", interval_words(found["spearman"], "+.2f")),
        ("p, permutation test", "unknown" if found["p_value"] is None else f"{found['p_value']:.2g} ({method})"),
        ("Pearson r, one left out", f"{min(known):+.2f} to {max(known):+.2f}" if known else "unknown"),
    ]


def correlation_page(found: dict[str, Any]) -> Page:
    """correlation.html."""
    text = (
        "Each point is a policy with the intervals of both numbers. The interval of r holds that there are few "
        "policies, and that each policy's numbers are uncertain.",
    )
    section = Section(
        "Policies",
        text=text,
        tables=[Table(("over policies", "value (interval)"), numbers(found)), policy_table(found)],
        charts=[plot(found)],
    )
    status = f"{found['score']} of {found['model']}" if found["model"] else f"scores in the column {found['score']}"
    return Page("Offline and online", status, warnings=found["warnings"], sections=[section])


def plot(found: dict[str, Any]) -> Chart | None:
    """Offline against observed."""
    points = [
        Point(
            one["offline"]["estimate"],
            one["observed"]["estimate"],
            one["observed"]["low"],
            one["observed"]["high"],
            one["offline"]["low"],
            one["offline"]["high"],
            one["policy"],
        )
        for one in found["policies"]
    ]
    return points_chart(
        "offline against observed", [PointSeries("policies", points)], Axis(found["score"]), Axis("observed")
    )


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:+.2f}"
