"""Tables of words for the terminal: a run's changes, the warnings of its watch, and any table of a page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cgpo.report.changes import SIDE_TITLES, ChangeRow, Changes, Sides, change_text, measure_text
from cgpo.report.overoptimisation import OverOptimisation, phrase_cells, read_overoptimisation
from cgpo.report.page import Table
from cgpo.report.run_files import read_changes, read_mapping
from cgpo.report.run_notes import signal_notes
from cgpo.storage.file_names import CONFIG_NAME, EVALUATIONS_NAME, METRICS_NAME, PAGE_NAME, ROLLOUTS_NAME
from cgpo.tracking.metrics import scan_metrics
from judges.printing import showable

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table as RichTable

PLACES = {"report": PAGE_NAME, "samples": ROLLOUTS_NAME, "held-out": EVALUATIONS_NAME, "numbers": METRICS_NAME}


def print_changes(console: Console, run_dir: Path) -> None:
    """Prints the changes between the run's first and last evaluation, and where its files are.

    Args:
        console: where to; a console without a terminal and one of 80 columns are fine.
        run_dir: the run's directory.
    """
    problems: list[str] = []
    config = read_mapping(run_dir / CONFIG_NAME, problems)
    changes = read_changes(run_dir, config, problems)
    steps, damaged = scan_metrics(run_dir / METRICS_NAME)
    warned = read_overoptimisation(run_dir, {}, [], problems).notes
    for problem in [*problems, *damaged, *signal_notes(steps, config), *warned]:
        console.print(problem, markup=False)
    if changes.strata:
        print_comparison(console, changes, _title(changes))
    else:
        console.print("No held-out evaluation was made (eval.before and eval.after ask for one).")
    for what, name in PLACES.items():
        if (run_dir / name).exists():
            console.print(f"{what + ':':<9} {run_dir / name}", markup=False)


def print_comparison(console: Console, changes: Changes, title: str) -> None:
    """Prints the table of two evaluations, or of one."""
    console.print(title, style="bold", markup=False)
    console.print(_table(changes, plain=console.options.ascii_only))
    print_sides(console, changes.sides)


def print_sides(console: Console, sides: Sides) -> None:
    """Prints safety violations and false refusals next to each other, where any judge measures them."""
    from rich.text import Text

    if not sides.rows:
        return
    plain = console.options.ascii_only
    table = _borderless()
    for header in ["", *SIDE_TITLES.values()]:
        table.add_column(header, overflow="fold")
    for stratum, texts in sides.rows:
        shown = [text.replace("–", "-").replace("→", "->") if plain else text for text in texts]
        table.add_row(Text(stratum, style="bold"), *(Text(text) for text in shown))
    console.print()
    console.print("Safety violations and false refusals", style="bold")
    console.print(table)
    if sides.note:
        console.print(sides.note, markup=False)


def print_phrases(console: Console, watched: OverOptimisation) -> None:
    """Prints the warnings, and the phrases that spread most surely."""
    from rich.text import Text

    if not (watched.warnings or watched.looks):
        return
    console.print("Over-optimisation", style="bold")
    for note in watched.notes:
        console.print(showable(note), markup=False)
    for look in watched.looks:
        if not look.rows:
            continue
        table = _borderless()
        table.add_column(f"{look.stratum}: phrases that spread, step {look.step}", overflow="fold")
        for header in ("place", "now", "reference", "times", "z"):
            table.add_column(header, justify="right", no_wrap=True)
        for row in look.rows:
            table.add_row(*(Text(cell) for cell in phrase_cells(row)))
        console.print(table)


def print_table(console: Console, title: str, table: Table) -> None:
    """Prints a table of a page; one without headers is names and what belongs to them."""
    from rich import box
    from rich.table import Table as RichTable
    from rich.text import Text

    from judges.terminal import print_beside

    if not any(table.headers):
        if title:
            console.print(Text(title, style="italic"))
        print_beside(console, [(Text(showable(name)), showable(text)) for name, text in table.rows])
        console.print()
        return
    drawn = RichTable(title=title or None, title_justify="left", box=box.SIMPLE)
    for number, header in enumerate(table.headers):
        drawn.add_column(header, justify="right" if number and len(table.headers) > 2 else "left", overflow="fold")
    for row in table.rows:
        drawn.add_row(*(Text(showable(cell)) for cell in row))
    console.print(drawn)


def _borderless() -> RichTable:
    from rich.table import Table as RichTable

    return RichTable(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")


def _table(changes: Changes, *, plain: bool) -> RichTable:
    from rich.text import Text

    table = _borderless()
    # Names may wrap in a narrow terminal; numbers may not.
    table.add_column("", overflow="fold")
    compared = changes.steps[1] is not None
    for header in ["before", "after", "change"] if compared else ["value"]:
        table.add_column(header, justify="right", no_wrap=True)
    for number, stratum in enumerate(changes.strata):
        if number:
            table.add_row()
        prompts = "" if stratum.n is None else f"{stratum.n} prompts"
        table.add_row(Text(stratum.stratum, style="bold"), Text(prompts, style="dim"))
        for row in (row for row in stratum.rows if not row.detail):
            cells = _cells(row, compared=compared)
            texts = [cell.replace("–", "-") if plain else cell for cell in cells]
            table.add_row(Text("  " + texts[0]), *(Text(text) for text in texts[1:]))
        if any(stratum.unknown):
            counts = ["-" if count is None else str(count) for count in stratum.unknown]
            table.add_row("  unknown", *(counts if compared else counts[:1]))
    return table


def _title(changes: Changes) -> str:
    first, last = changes.steps
    if last is None:
        return f"Held-out evaluation at step {first}"
    level = "" if changes.confidence is None else f", {changes.confidence * 100:g} % intervals"
    return f"What changed on held-out prompts, step {first} to {last} (rates in points{level})"


def _cells(row: ChangeRow, *, compared: bool) -> list[str]:
    values = [measure_text(row.before)]
    if compared:
        values += [measure_text(row.after), change_text(row)]
    name = row.label.removeprefix("judge ")
    return [f"  {name}" if name != row.label else name, *values]
