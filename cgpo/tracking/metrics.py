"""`metrics.jsonl`: one line a step, `{"schema": 1, "step": 12, "metrics": {"math/satisfied_rate": 0.43, …}}`.

Names are `<stratum>/<quantity>[/<judge>]`, `time/<phase>` in seconds, `tokens/<kind>`, and `<part>/<quantity>` for
the whole run (`train/loss`). A number that is not known or not finite is `null`, never 0.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from numbers import Integral
from pathlib import Path
from typing import SupportsFloat

from cgpo.errors import DataError
from cgpo.storage.disk import append_line, write_atomically
from cgpo.storage.jsonl import SCHEMA, end_of_whole_lines, read_jsonl

Metrics = Mapping[str, float | None]


class MetricsFile:
    """Appends to a metrics file and, on resume, takes back the steps after the checkpoint.

    Only one process may write. Opening repairs what a kill left: a half-written last line is removed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if path.is_file():
            self._repair()

    def append(self, step: int, metrics: Mapping[str, SupportsFloat | None]) -> None:
        """Writes one step and waits until it is on the disk. NaN and infinity become `null`.

        Raises:
            RunError: the disk is full, or the file cannot be written.
        """
        numbers = {name: as_number(value) for name, value in metrics.items()}
        line = json.dumps({"schema": SCHEMA, "step": step, "metrics": numbers}, allow_nan=False)
        append_line(self.path, line, f"the metrics of step {step}")

    def truncate_after(self, step: int) -> None:
        """Removes the lines of later steps: they were made by a run whose end was lost, and will be made again."""
        if not self.path.is_file():
            return
        lines = self.path.read_bytes().splitlines(keepends=True)
        kept = [line for line in lines if _step_of(line) <= step]
        if len(kept) < len(lines):
            write_atomically(self.path, b"".join(kept), f"the metrics up to step {step}")

    def _repair(self) -> None:
        data = self.path.read_bytes()
        end, newline_missing = end_of_whole_lines(data)
        if newline_missing or end != len(data):
            whole = data[:end] + (b"\n" if newline_missing else b"")
            write_atomically(self.path, whole, "the metrics without the half-written last line")


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
    found = read_jsonl(path)
    problems = list(found.problems)
    steps: dict[int, dict[str, float | None]] = {}
    for record in found.records:
        step, metrics = record.get("step"), record.get("metrics")
        if isinstance(step, int) and isinstance(metrics, dict):
            steps[step] = metrics
        else:
            problems.append(f"{path}: a line without `step` or `metrics`: {str(record)[:80]}")
    return dict(sorted(steps.items())), problems


def as_number(value: SupportsFloat | None) -> float | int | None:
    """A number JSON can hold: integers stay integers, what is not finite becomes None."""
    if value is None:
        return None
    if isinstance(value, Integral):
        return int(value)
    number = float(value)
    return number if math.isfinite(number) else None


def _step_of(line: bytes) -> int:
    """The step of a line; a damaged line counts as the earliest, so that it is kept and can be looked at."""
    try:
        return int(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return -1
