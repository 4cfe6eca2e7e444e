"""`metrics.jsonl`: one line a step, `{"schema": 1, "step": 12, "metrics": {"math/satisfied_rate": 0.43, …}}`.

Names are `<stratum>/<quantity>[/<judge>]`, `time/<phase>` in seconds, `tokens/<kind>`, and `<part>/<quantity>` for
the whole run (`train/loss`). A number that is not known or not finite is `null`, never 0.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from numbers import Integral
from pathlib import Path
from typing import SupportsFloat

from cgpo.errors import DataError
from cgpo.storage.step_files import StepLines, read_step_lines

Metrics = Mapping[str, float | None]


class MetricsFile:
    """Appends to a metrics file and, on resume, takes back the steps after the checkpoint.

    Only one process may write. Opening repairs what a kill left: a half-written last line is removed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lines = StepLines(path, "the metrics")
        self._lines.repair()

    def append(self, step: int, metrics: Mapping[str, SupportsFloat | None]) -> None:
        """Writes one step and waits until it is on the disk. NaN and infinity become `null`.

        Raises:
            RunError: the disk is full, or the file cannot be written.
        """
        self._lines.append(step, {"metrics": {name: as_number(value) for name, value in metrics.items()}})

    def truncate_after(self, step: int) -> None:
        """Removes the lines of later steps: they were made by a run whose end was lost, and will be made again."""
        self._lines.truncate_after(step)


def read_metrics(path: Path) -> dict[int, dict[str, float | None]]:
    """Step → metrics, in the order of steps. A half-written last line is left out.

    Raises:
        DataError: a line in the middle is damaged, or has another schema version.
    """
    steps, problems = scan_metrics(path)
    if problems:
        raise DataError("\n".join(problems))
    return steps


def scan_metrics(path: Path) -> tuple[dict[int, dict[str, float | None]], list[str]]:
    """Like `read_metrics`, but returns what can be read together with one sentence per problem."""
    lines = read_step_lines(path)
    problems = list(lines.problems)
    steps: dict[int, dict[str, float | None]] = {}
    for line in lines.records:
        if isinstance(metrics := line.get("metrics"), dict):
            steps[line["step"]] = metrics
        else:
            problems.append(f"{path}: a line without `metrics`: {str(line)[:80]}")
    return dict(sorted(steps.items())), problems


def as_number(value: SupportsFloat | None) -> float | int | None:
    """A number JSON can hold: integers stay integers, what is not finite becomes None."""
    if value is None:
        return None
    if isinstance(value, Integral):
        return int(value)
    number = float(value)
    return number if math.isfinite(number) else None
