"""The table printed at the end of a run: what changed on held-out prompts, and where report and samples lie."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cgpo.report.changes import ChangeRow, change_text, measure_text
from cgpo.report.overoptimisation import read_overoptimisation
from cgpo.report.run_files import Changes, read_changes, read_mapping
from cgpo.report.sides import TITLES, Sides
from cgpo.report.signal_notes import signal_notes
from cgpo.tracking.metrics import scan_metrics

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

PLACES = {"report": "report.html", "samples": "rollouts", "held-out": "evaluations", "numbers": "metrics.jsonl"}


def print_changes(console: Console, run_dir: Path) -> None:
    """Prints what changed between the run's first and last evaluation, and where its files are.

    Args:
        console: where to; a console without a terminal and one of 80 columns are fine.
        run_dir: the run's directory.
    """
    problems: list[str] = []
    config = read_mapping(run_dir / "config.yaml", problems)
    changes = read_changes(run_dir, config, problems)
    steps, damaged = scan_metrics(run_dir / "metrics.jsonl")
    warned = read_overoptimisation(run_dir, {}, [], problems).notes
    for problem in [*problems, *damaged, *signal_notes(steps, config), *warned]:
        console.print(problem, markup=False, highlight=False)
    if changes.strata:
        print_comparison(console, changes, _title(changes))
    else:
        console.print("No held-out evaluation was made (eval.before and eval.after ask for one).", highlight=False)
    for what, name in PLACES.items():
        if (run_dir / name).exists():
            # A path is one word: wrapped, it could not be clicked or copied.
            console.print(f"{what + ':':<9} {run_dir / name}", markup=False, highlight=False, soft_wrap=True)


def print_comparison(console: Console, changes: Changes, title: str) -> None:
    """Prints the table of two evaluations, or of one."""
    console.print(title, style="bold", markup=False, highlight=False)
    console.print(_table(changes, plain=console.options.ascii_only))
    print_sides(console, changes.sides)


def print_sides(console: Console, sides: Sides) -> None:
    """Prints safety violations and false refusals next to each other, where any judge measures them."""
    from rich.table import Table
    from rich.text import Text

    if not sides.rows:
        return
    plain = console.options.ascii_only
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    for header in ["", *TITLES.values()]:
        table.add_column(header, overflow="fold")
    for stratum, texts in sides.rows:
        shown = [text.replace("–", "-").replace("→", "->") if plain else text for text in texts]
        table.add_row(Text(stratum, style="bold"), *(Text(text) for text in shown))
    console.print()
    console.print("Safety violations and false refusals", style="bold", highlight=False)
    console.print(table)
    if sides.note:
        console.print(sides.note, markup=False, highlight=False)


def _table(changes: Changes, *, plain: bool) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(
        box=None,
        padding=(0, 2, 0, 0),
        pad_edge=False,
        header_style="dim",
    )
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
