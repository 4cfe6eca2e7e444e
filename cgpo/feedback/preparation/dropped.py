"""Which rows of a log are not used, and why: each listed in `dropped.jsonl` and counted by reason."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Self

from cgpo.data.prepared_feedback import SCHEMA
from cgpo.storage.text import storable

SHOWN = 3
"""Examples of each reason that messages show."""


class Dropped:
    """The list while it is written.

    Args:
        path: the file; made anew.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("w", encoding="utf-8")
        self.counts: Counter[str] = Counter()
        self.examples: dict[str, list[str]] = {}

    def add(self, row: str, reason: str, detail: str) -> None:
        """Lists a row.

        Args:
            row: file and row of the log.
            reason: the same words for all rows that have it.
            detail: what this row has.
        """
        line = {"schema": SCHEMA, "row": storable(row), "reason": reason, "detail": storable(detail)}
        self._file.write(json.dumps(line, ensure_ascii=False) + "\n")
        self.counts[reason] += 1
        examples = self.examples.setdefault(reason, [])
        if len(examples) < SHOWN:
            examples.append(f"{row}: {detail}")

    def table_text(self) -> str:
        """Counts and examples by reason, for a message."""
        lines = []
        for reason, count in self.counts.most_common():
            lines.append(f"  {count:,} × {reason}")
            lines += [f"      {example}" for example in self.examples[reason]]
        return "\n".join(lines)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._file.close()
