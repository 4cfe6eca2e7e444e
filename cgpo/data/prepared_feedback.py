"""The folder that `cgpo feedback prepare` writes and others read.

    train.jsonl      rows to learn from, oldest first; `copies` says how often a row counts (upsampling)
    heldout.jsonl    later rows at the true rate, never upsampled
    dropped.jsonl    {"schema", "row", "reason", "detail"} for each row of the log that is in neither
    report.json      {"schema", "true_rate", "training_rate", "counts", "dropped", …}
    report.html      the same for people

A row: {"schema": 1, "prompt": [messages], "response": str, "label": 0|1, "time": Unix seconds, "user": str|null,
"policy": str|null, "copies": int ≥ 1}.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cgpo.data.messages import content, messages_of
from cgpo.errors import DataError
from judges import Message

SCHEMA = 1
TRAIN, HELDOUT, DROPPED, REPORT, PAGE = "train.jsonl", "heldout.jsonl", "dropped.jsonl", "report.json", "report.html"


@dataclass(frozen=True, slots=True)
class FeedbackRow:
    """A response and whether its user reacted.

    Attributes:
        prompt: the conversation before the response, oldest first.
        response: what the user saw.
        label: 1: reacted; 0: did not.
        time: Unix seconds.
        user: who, where the log says so.
        policy: which model answered, where the log says so.
        copies: how often the row counts in training, ≥ 1.
    """

    prompt: tuple[Message, ...]
    response: str
    label: int
    time: float
    user: str | None = None
    policy: str | None = None
    copies: int = 1

    def as_json(self) -> dict[str, Any]:
        """The row as it stands in the files."""
        return {
            "schema": SCHEMA,
            "prompt": [dict(message) for message in self.prompt],
            "response": self.response,
            "label": self.label,
            "time": self.time,
            "user": self.user,
            "policy": self.policy,
            "copies": self.copies,
        }


@dataclass(frozen=True, slots=True)
class Prepared:
    """A prepared folder.

    Attributes:
        folder: where it lies.
        true_rate: p₀, the share of positive reactions in the training period's log, before filters and caps.
        training_rate: q, their share in `train.jsonl`, each row counted `copies` times.
        report: all of `report.json`.
    """

    folder: Path
    true_rate: float
    training_rate: float
    report: Mapping[str, Any]

    def train(self) -> list[FeedbackRow]:
        """The rows to learn from, oldest first."""
        return list(read_feedback(self.folder / TRAIN))

    def heldout(self) -> list[FeedbackRow]:
        """Later rows at the true rate, oldest first."""
        return list(read_feedback(self.folder / HELDOUT))


def read_prepared(folder: Path) -> Prepared:
    """A folder that `cgpo feedback prepare` wrote.

    Raises:
        DataError: it is none, damaged, or of another version.
    """
    file = folder / REPORT
    missing = [name for name in (REPORT, TRAIN, HELDOUT) if not (folder / name).is_file()]
    if missing:
        raise DataError(
            f"{folder} is no prepared folder: it has no {missing[0]}. Make one: cgpo feedback prepare --input LOGS "
            f"--output {folder}"
        )
    try:
        report = json.loads(file.read_text(encoding="utf-8"))
        if report["schema"] != SCHEMA:
            raise DataError(f"{file} has schema {report['schema']}; this version reads {SCHEMA}")
        rates = {name: float(report[name]) for name in ("true_rate", "training_rate")}
        for name, rate in rates.items():
            if not 0 < rate < 1:
                raise DataError(f"{file}: {name} must lie strictly between 0 and 1; found {rate:g}")
        return Prepared(folder, report=report, **rates)
    except (OSError, ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
        raise DataError(f"{file} cannot be used: {type(error).__name__}: {error}") from error


def read_feedback(file: Path) -> Iterator[FeedbackRow]:
    """The rows of a `train.jsonl` or `heldout.jsonl`, one by one.

    Raises:
        DataError: a line is damaged; names it.
    """
    try:
        with file.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                yield _row(line, f"{file} row {number}")
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror or error}") from error


def _row(line: bytes, where: str) -> FeedbackRow:
    try:
        values = json.loads(line)
        if isinstance(values, dict) and "schema" not in values:
            raise DataError(
                f"{where} is no prepared row: it has no `schema`, only {', '.join(map(repr, values)) or 'nothing'}. "
                "Prepare a log first: cgpo feedback prepare --input LOGS --output DIR"
            )
        if values["schema"] != SCHEMA:
            raise DataError(f"{where}: schema {values['schema']}; this version reads {SCHEMA}")
        row = FeedbackRow(
            messages_of(values["prompt"], where),
            content(values["response"], where, "the response"),
            values["label"],
            float(values["time"]),
            values.get("user"),
            values.get("policy"),
            values.get("copies", 1),
        )
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
        raise DataError(f"{where} is damaged: {type(error).__name__}: {error}") from error
    if not math.isfinite(row.time) or not all(name is None or isinstance(name, str) for name in (row.user, row.policy)):
        raise DataError(f"{where}: time must be a finite number, user and policy text or null")
    if row.label not in (0, 1) or not isinstance(row.copies, int) or row.copies < 1:
        raise DataError(f"{where}: label must be 0 or 1, and copies at least 1; found {row.label} and {row.copies}")
    return row
