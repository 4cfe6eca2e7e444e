"""The table printed at the end of a run: what changed on held-out prompts, and where report and samples lie."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cgpo.tracking.changes import (
    ChangeRow,
    Evaluation,
    StratumChange,
    change_text,
    compare_evaluations,
    first_and_last,
    measure_text,
)

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

PLACES = {"report": "report.html", "samples": "rollouts", "held-out": "evaluations", "numbers": "metrics.jsonl"}


def print_changes(
    console: Console, evaluations: Sequence[Evaluation], run_dir: Path, confidence: float | None = None
) -> None:
    """Prints what changed between the first and the last evaluation, and where the run's files are.

    Args:
        console: where to; a console without a terminal and one of 80 columns are fine.
        evaluations: the lines of `evaluation.jsonl`, parsed.
        run_dir: the run's directory.
        confidence: level of the intervals, for the caption.
    """
    strata = compare_evaluations(evaluations)
    if strata:
        before, after = first_and_last(evaluations)
        console.print(_table(strata, before, after, confidence, plain=console.options.ascii_only))
    else:
        console.print("No held-out evaluation was made (eval.before and eval.after ask for one).", highlight=False)
    for what, name in PLACES.items():
        if (run_dir / name).exists():
            # A path is one word: wrapped, it could not be clicked or copied.
            console.print(f"{what + ':':<9} {run_dir / name}", markup=False, highlight=False, soft_wrap=True)


def _table(
    strata: Sequence[StratumChange],
    before: Evaluation | None,
    after: Evaluation | None,
    confidence: float | None,
    *,
    plain: bool,
) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(
        title=_title(before, after, confidence),
        title_style="bold",
        title_justify="left",
        box=None,
        padding=(0, 2, 0, 0),
        pad_edge=False,
        header_style="dim",
    )
    # Names may wrap in a narrow terminal; numbers may not.
    table.add_column("", overflow="fold")
    for header in _headers(before, after):
        table.add_column(header, justify="right", no_wrap=True)
    for number, stratum in enumerate(strata):
        if number:
            table.add_row()
        prompts = "" if stratum.n is None else f"{stratum.n} prompts"
        table.add_row(Text(stratum.stratum, style="bold"), Text(prompts, style="dim"))
        for row in stratum.rows:
            cells = _cells(row, with_after=after is not None)
            texts = [cell.replace("–", "-") if plain else cell for cell in cells]
            table.add_row(Text("  " + texts[0]), *(Text(text) for text in texts[1:]))
        if any(stratum.unknown):
            counts = ["-" if count is None else str(count) for count in stratum.unknown]
            table.add_row("  unknown", *(counts if after is not None else counts[:1]))
    return table


def _title(before: Evaluation | None, after: Evaluation | None, confidence: float | None) -> str:
    first = int((before or {}).get("step", 0))
    if after is None:
        return f"Held-out evaluation at step {first}"
    level = "" if confidence is None else f", {confidence * 100:g} % intervals"
    return f"What changed on held-out prompts, step {first} to {int(after.get('step', 0))} (rates in points{level})"


def _headers(before: Evaluation | None, after: Evaluation | None) -> list[str]:
    return ["value"] if after is None else ["before", "after", "change"]


def _cells(row: ChangeRow, *, with_after: bool) -> list[str]:
    values = [measure_text(row.before, row.kind)]
    if with_after:
        values += [measure_text(row.after, row.kind), change_text(row)]
    name = row.label.removeprefix("judge ")
    return [f"  {name}" if name != row.label else name, *values]
