"""Records of a run that belong to its steps: lines of JSON in a file, or a folder with a file a step.

A run that goes on from a checkpoint makes the later steps again, so what is recorded of them is taken back first.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cgpo.storage.disk import append_line, write_atomically
from cgpo.storage.file_names import step_of
from cgpo.storage.jsonl import SCHEMA, JsonLines, end_of_whole_lines, read_jsonl


class StepLines:
    """A file of JSON objects, a line each, with a field `step`. Only one process may write.

    Args:
        path: the file; made with the first line.
        what: what its lines hold, for messages, e.g. `the metrics`; by default the file's name.
    """

    def __init__(self, path: Path, what: str = "") -> None:
        self.path = path
        self._what = what or path.name

    def append(self, step: int, record: Mapping[str, Any]) -> None:
        """Writes a line and waits until it is on the disk.

        Raises:
            RunError: the disk is full, or the file cannot be written.
        """
        line = json.dumps({"schema": SCHEMA, "step": step, **record}, allow_nan=False)
        append_line(self.path, line, f"{self._what} of step {step}")

    def repair(self) -> None:
        """Removes what a kill left of a last line.

        Raises:
            RunError: the disk is full, or the file cannot be written.
        """
        self._rewrite(None, f"{self._what} without the half-written last line")

    def truncate_after(self, step: int) -> None:
        """Removes the lines of later steps, and what a kill left of a last line.

        Raises:
            RunError: the disk is full, or the file cannot be written.
        """
        self._rewrite(step, f"{self._what} up to step {step}")

    def _rewrite(self, last_step: int | None, what: str) -> None:
        if not self.path.is_file():
            return
        data = self.path.read_bytes()
        end, _ = end_of_whole_lines(data)
        lines = data[:end].splitlines()
        if last_step is not None:
            lines = [line for line in lines if _step_of(line) <= last_step]
        whole = b"".join(line + b"\n" for line in lines)
        if whole != data:
            write_atomically(self.path, whole, what)


def read_step_lines(path: Path) -> JsonLines:
    """The lines that can be read, in the order in which they were written; one without a step is a problem."""
    lines = read_jsonl(path)
    problems = [
        f"{path}: a line without `step`: {str(record)[:80]}" for record in lines.records if not _has_step(record)
    ]
    return JsonLines(tuple(filter(_has_step, lines.records)), (*lines.problems, *problems))


def step_files(folder: Path, suffix: str) -> dict[int, Path]:
    """Step → its file `step-000012<suffix>`, in the order of steps."""
    steps = ((step_of(path.name.removesuffix(suffix)), path) for path in folder.glob(f"*{suffix}"))
    return dict(sorted((step, path) for step, path in steps if step is not None))


def remove_step_files_after(folder: Path, suffix: str, step: int) -> None:
    """Deletes the files of later steps."""
    for later, path in step_files(folder, suffix).items():
        if later > step:
            path.unlink()


def _has_step(record: Mapping[str, Any]) -> bool:
    return isinstance(record.get("step"), int)


def _step_of(line: bytes) -> int:
    """The step of a line; a damaged line counts as the earliest, so that it is kept and can be looked at."""
    try:
        return int(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return -1
