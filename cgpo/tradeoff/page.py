"""The trade-off as a page and as a table: one panel a measure, its change against that of the x measure."""

from __future__ import annotations

from dataclasses import replace

from cgpo.report.changes import ChangeRow, change_text
from cgpo.report.charts import Chart
from cgpo.report.page import Page, Section, Table
from cgpo.report.points_chart import Axis, Point, PointSeries, points_chart
from cgpo.tradeoff.differences import value_text
from cgpo.tradeoff.outcome import Tradeoff

_TEXT = (
    "Each point is a run: its change on held-out prompts between the first and the last evaluation, paired by prompt, "
    "with intervals of both measures. Rates change in points; probes are rates of violations, so less is better. "
    "The reference itself lies at 0 on both axes."
)


def page_of(found: Tradeoff) -> Page:
    """The page."""
    label = found.different.label
    facts = [
        ("stratum", found.stratum),
        ("points are labelled with", "–" if label is None else label),
        ("series differ in", ", ".join(found.different.series) or "nothing"),
    ]
    return Page(
        title="Trade-off between runs",
        status=f"{len(found.runs)} runs, changes of {found.x} against {', '.join(found.ys)}",
        facts=facts,
        warnings=found.notes,
        sections=[
            Section("What was gained, and what it cost", text=[_TEXT], charts=[_panel(found, y) for y in found.ys]),
            Section("Changes", tables=[_changes_table(found)]),
            Section("Settings that differ", tables=[_settings_table(found)]),
        ],
    )


def _changes_table(found: Tradeoff) -> Table:
    rows = [
        [
            label_text(found, number),
            found.different.series_of(number) or "–",
            *(measure_text(found, number, name) for name in [found.x, *found.ys]),
            run.name,
        ]
        for number, run in enumerate(found.runs)
    ]
    label = found.different.label
    headers = ["" if label is None else found.different.short(label), "series", found.x, *found.ys, "run"]
    return Table(headers, rows)


def _settings_table(found: Tradeoff) -> Table:
    different = found.different.values
    rows = [[run.name, *(value_text(values[n]) for values in different.values())] for n, run in enumerate(found.runs)]
    return Table(["run", *different], rows)


def label_text(found: Tradeoff, number: int) -> str:
    """What a run's point is labelled with; a star marks a run that did not take all its steps."""
    return found.different.label_of(number) + ("*" if found.runs[number].stopped else "")


def measure_text(found: Tradeoff, number: int, name: str) -> str:
    """`+0.51 [+0.20, +0.80]`, the change of a measure in a run."""
    change = found.change(found.runs[number], name)
    return change_text(ChangeRow(name, "rate" if found.is_rate(name) else "mean", None, None, change))


def _panel(found: Tradeoff, y: str) -> Chart | None:
    series = [
        PointSeries(name, [p for number in numbers if (p := _point(found, number, y)) is not None], joined=True)
        for name, numbers in found.series.items()
    ]
    drawn = sum(len(one.points) for one in series)
    x_axis, y_axis = (Axis(f"change of {name}", rate=found.is_rate(name)) for name in (found.x, y))
    chart = points_chart(y, series, x_axis, y_axis, level=0.0)
    missing = len(found.runs) - drawn
    return chart if chart is None or not missing else replace(chart, note=f"not measured in {missing} of the runs")


def _point(found: Tradeoff, number: int, y: str) -> Point | None:
    run = found.runs[number]
    across, up = found.change(run, found.x), found.change(run, y)
    if across is None or across.estimate is None or up is None or up.estimate is None:
        return None
    said = f"{run.name} {run.stopped}".strip()
    return Point(
        across.estimate,
        up.estimate,
        up.low,
        up.high,
        across.low,
        across.high,
        label=said,
        mark=label_text(found, number),
    )
