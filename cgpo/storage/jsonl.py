"""Reading files with one JSON object a line, of which a killed run may have left the last one half-written."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SCHEMA = 1
"""Version of the line formats, the `schema` field of each line."""


@dataclass(frozen=True, slots=True)
class JsonLines:
    """What a file holds.

    Attributes:
        records: the readable objects, in order.
        problems: one sentence for each line that could not be read; a half-written last line is not a problem.
    """

    records: tuple[dict[str, Any], ...] = ()
    problems: tuple[str, ...] = ()


def read_jsonl(path: Path) -> JsonLines:
    """Reads every line that can be read. A file that does not exist has no lines."""
    if not path.exists():
        return JsonLines()
    lines = path.read_bytes().split(b"\n")
    records: list[dict[str, Any]] = []
    problems: list[str] = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        record = _parse(line)
        if record is None:
            # Without its newline a line was cut off by a kill: it is dropped, as the writer will do.
            if number < len(lines):
                problems.append(f"{path} line {number} is damaged: not a JSON object")
        elif record.get("schema", SCHEMA) != SCHEMA:
            problems.append(f"{path} line {number} has schema {record['schema']}; this version reads {SCHEMA}")
        else:
            records.append(record)
    return JsonLines(tuple(records), tuple(problems))


def end_of_whole_lines(data: bytes) -> tuple[int, bool]:
    """Where the readable part of a file ends, and whether a newline is missing there.

    A last line without its newline counts as whole if it is a complete JSON object.
    """
    end = data.rfind(b"\n") + 1
    if _parse(data[end:]) is None:
        return end, False
    return len(data), True


def _parse(line: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(line)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None
