"""What the watch leaves in a run directory, a JSON object a line:

    warnings.jsonl   {"schema": 1, "step", "stratum", "kind": "divergence" | "length" | "phrase", "subject", "began",
                      "text", …}
    phrases.jsonl    {"schema": 1, "step", "stratum", "responses", "prompts", "reference_responses", "phrases": [{…}]}

`step` counts the steps that were done, as in `metrics.jsonl`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cgpo.storage.disk import append_line, write_atomically
from cgpo.storage.jsonl import SCHEMA, end_of_whole_lines, read_jsonl


class StepLines:
    """A file of lines that each belong to a step. Only one process may write."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def append(self, step: int, record: Mapping[str, Any]) -> None:
        """Writes a line.

        Raises:
            RunError: the disk is full, or the file cannot be written.
        """
        line = json.dumps({"schema": SCHEMA, "step": step, **record}, allow_nan=False)
        append_line(self._path, line, f"{self._path.name} of step {step}")

    def read(self) -> list[dict[str, Any]]:
        """The lines that can be read, in the order in which they were written."""
        return [line for line in read_jsonl(self._path).records if isinstance(line.get("step"), int)]

    def truncate_after(self, step: int) -> None:
        """Removes the lines of later steps, which will be made again, and what a kill left of a last line.

        Raises:
            RunError: the disk is full, or the file cannot be written.
        """
        if not self._path.is_file():
            return
        data = self._path.read_bytes()
        end, _ = end_of_whole_lines(data)
        kept = [line for line in data[:end].splitlines() if _step_of(line) <= step]
        whole = b"".join(line + b"\n" for line in kept)
        if whole != data:
            write_atomically(self._path, whole, f"{self._path.name} up to step {step}")


def _step_of(line: bytes) -> int:
    """The step of a line; a damaged one is kept, so that it can be looked at."""
    try:
        return int(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return -1
