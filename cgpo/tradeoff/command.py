"""`cgpo tradeoff`: reads runs, writes `tradeoff.html` and `tradeoff.json`, prints the table."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from cgpo.errors import RunError
from cgpo.tradeoff.outcome import Tradeoff, Wanted, compare_runs
from cgpo.tradeoff.page import label_text, measure_text, page_of
from cgpo.tradeoff.runs import CONFIG

PAGE_NAME = "tradeoff.html"
JSON_NAME = "tradeoff.json"


def run(args: argparse.Namespace) -> int:
    """Draws the trade-off between runs.

    Raises:
        ConfigError: there is nothing to compare, or a name is unknown.
        RunError: a file cannot be written.
    """
    found = compare_runs(args.runs, Wanted(args.x, args.y or (), args.stratum, args.label))
    folder = args.output or _usual_folder(args.runs)
    write(found, folder)
    console = Console()
    print_table(found, console)
    print(folder / PAGE_NAME)
    return 0


def write(found: Tradeoff, folder: Path) -> None:
    """Writes the page and the numbers.

    Raises:
        RunError: a file cannot be written.
    """
    from cgpo.report.page import write_page
    from cgpo.storage.disk import write_atomically

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"--output {folder}: no such folder can be made ({error.strerror})") from error
    text = json.dumps(found.as_json(), indent=2, ensure_ascii=False, allow_nan=False)
    write_atomically(folder / JSON_NAME, f"{text}\n".encode(), "the trade-off")
    write_page(folder / PAGE_NAME, page_of(found))


def print_table(found: Tradeoff, console: Console) -> None:
    """Prints the changes, a column for each label and a line for each measure and series, and what is to be known."""
    labels = list(dict.fromkeys(label_text(found, number) for number in range(len(found.runs))))
    swept = found.different.label
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column(Text("change in points or units" if swept is None else found.different.short(swept)))
    for label in labels:
        table.add_column(Text(label), justify="right", no_wrap=True)
    for name in [found.x, *found.ys]:
        table.add_row(Text(name, style="bold"))
        for series, numbers in found.series.items():
            cells = [
                "\n".join(measure_text(found, n, name) for n in numbers if label_text(found, n) == label)
                for label in labels
            ]
            table.add_row(Text(f"  {series or 'all runs'}"), *map(Text, cells))
    console.print(f"changes in {found.stratum} against each run's own start; rates in points", highlight=False)
    console.print(table)
    for note in found.notes:
        console.print(Text(f"note: {note}"))


def _usual_folder(paths: list[Path]) -> Path:
    """The sweep's folder where one was named, else the current one."""
    alone = len(paths) == 1 and not (paths[0] / CONFIG).is_file()
    return paths[0] if alone else Path()
