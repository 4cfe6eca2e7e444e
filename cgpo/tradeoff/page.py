"""The trade-off for people: a page with one panel a measure, its numbers in a file, and a table for the terminal."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from cgpo.errors import RunError
from cgpo.report.changes import ChangeRow, change_text
from cgpo.report.charts import Chart
from cgpo.report.page import Page, Section, Table, write_page
from cgpo.report.points_chart import Axis, Point, PointSeries, points_chart
from cgpo.storage.disk import write_atomically
from cgpo.tradeoff.comparison import Tradeoff
from cgpo.tradeoff.differences import value_text

if TYPE_CHECKING:
    from rich.console import Console

PAGE_NAME = "tradeoff.html"
JSON_NAME = "tradeoff.json"

_TEXT = (
    "Each point is a run: its change on held-out prompts between the first and the last evaluation, paired by prompt, "
    "with intervals of both measures. Rates change in points; probes are rates of violations, so less is better. "
    "The reference itself lies at 0 on both axes."
)


def write_tradeoff(tradeoff: Tradeoff, folder: Path) -> None:
    """Writes the page and the numbers.

    Raises:
        RunError: a file cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"--output {folder}: no such folder can be made ({error.strerror})") from error
    text = json.dumps(tradeoff.as_json(), indent=2, ensure_ascii=False, allow_nan=False)
    write_atomically(folder / JSON_NAME, f"{text}\n".encode(), "the trade-off")
    write_page(folder / PAGE_NAME, page_of(tradeoff))


def print_table(tradeoff: Tradeoff, console: Console) -> None:
    """Prints the changes, a column for each label and a line for each measure and series, and the notes."""
    from rich.table import Table as TerminalTable
    from rich.text import Text

    labels = list(dict.fromkeys(label_text(tradeoff, number) for number in range(len(tradeoff.runs))))
    swept = tradeoff.different.label
    table = TerminalTable(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column(Text("change in points or units" if swept is None else tradeoff.different.short(swept)))
    for label in labels:
        table.add_column(Text(label), justify="right", no_wrap=True)
    for name in [tradeoff.x, *tradeoff.ys]:
        table.add_row(Text(name, style="bold"))
        for series, numbers in tradeoff.series.items():
            cells = [
                "\n".join(measure_text(tradeoff, n, name) for n in numbers if label_text(tradeoff, n) == label)
                for label in labels
            ]
            table.add_row(Text(f"  {series or 'all runs'}"), *map(Text, cells))
    console.print(f"changes in {tradeoff.stratum} against each run's own start; rates in points")
    console.print(table)
    for note in tradeoff.notes:
        console.print(Text(f"note: {note}"))


def page_of(tradeoff: Tradeoff) -> Page:
    """The page."""
    label = tradeoff.different.label
    facts = [
        ("stratum", tradeoff.stratum),
        ("points are labelled with", "–" if label is None else label),
        ("series differ in", ", ".join(tradeoff.different.series) or "nothing"),
    ]
    panels = [_panel(tradeoff, y) for y in tradeoff.ys]
    return Page(
        title="Trade-off between runs",
        status=f"{len(tradeoff.runs)} runs, changes of {tradeoff.x} against {', '.join(tradeoff.ys)}",
        facts=facts,
        warnings=tradeoff.notes,
        sections=[
            Section("What was gained, and what it cost", text=[_TEXT], charts=panels),
            Section("Changes", tables=[_changes_table(tradeoff)]),
            Section("Settings that differ", tables=[_settings_table(tradeoff)]),
        ],
    )


def _changes_table(tradeoff: Tradeoff) -> Table:
    rows = [
        [
            label_text(tradeoff, number),
            tradeoff.different.series_of(number) or "–",
            *(measure_text(tradeoff, number, name) for name in [tradeoff.x, *tradeoff.ys]),
            run.name,
        ]
        for number, run in enumerate(tradeoff.runs)
    ]
    label = tradeoff.different.label
    headers = ["" if label is None else tradeoff.different.short(label), "series", tradeoff.x, *tradeoff.ys, "run"]
    return Table(headers, rows)


def _settings_table(tradeoff: Tradeoff) -> Table:
    different = tradeoff.different.values
    rows = [
        [run.name, *(value_text(values[n]) for values in different.values())] for n, run in enumerate(tradeoff.runs)
    ]
    return Table(["run", *different], rows)


def label_text(tradeoff: Tradeoff, number: int) -> str:
    """The label of a run's point; a star marks a run that did not take all its steps."""
    return tradeoff.different.label_of(number) + ("*" if tradeoff.runs[number].stopped else "")


def measure_text(tradeoff: Tradeoff, number: int, name: str) -> str:
    """`+0.51 [+0.20, +0.80]`, the change of a measure in a run."""
    change = tradeoff.change(tradeoff.runs[number], name)
    return change_text(ChangeRow(name, "rate" if tradeoff.is_rate(name) else "mean", None, None, change))


def _panel(tradeoff: Tradeoff, y: str) -> Chart | None:
    series = [
        PointSeries(name, [p for number in numbers if (p := _point(tradeoff, number, y)) is not None], joined=True)
        for name, numbers in tradeoff.series.items()
    ]
    drawn = sum(len(curve.points) for curve in series)
    x_axis, y_axis = (Axis(f"change of {name}", rate=tradeoff.is_rate(name)) for name in (tradeoff.x, y))
    chart = points_chart(y, series, x_axis, y_axis, level=0.0)
    missing = len(tradeoff.runs) - drawn
    return chart if chart is None or not missing else replace(chart, note=f"not measured in {missing} of the runs")


def _point(tradeoff: Tradeoff, number: int, y: str) -> Point | None:
    run = tradeoff.runs[number]
    across, up = tradeoff.change(run, tradeoff.x), tradeoff.change(run, y)
    if across is None or across.estimate is None or up is None or up.estimate is None:
        return None
    return Point(
        across.estimate,
        up.estimate,
        up.low,
        up.high,
        across.low,
        across.high,
        label=f"{run.name} {run.stopped}".strip(),
        mark=label_text(tradeoff, number),
    )
