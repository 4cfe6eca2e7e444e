"""What came of `cgpo feedback prepare`, and its report.json."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from cgpo.data.prepared_feedback import SCHEMA
from cgpo.feedback.filters.filters import FilterResult
from cgpo.feedback.preparation.logs import Log
from cgpo.feedback.preparation.settings import PrepareSettings
from cgpo.feedback.preparation.table import Table
from cgpo.feedback.preparation.upsampling import Upsampling

LISTED_FINDINGS = 1000
"""Findings of a filter in report.json; dropped.jsonl has every row of all of them."""


@dataclass(frozen=True, slots=True)
class Step:
    """Rows that are left after a part of the work."""

    name: str
    rows: int
    positives: int
    users: int

    @classmethod
    def of(cls, name: str, table: Table) -> Step:
        """Counts a table's rows."""
        return cls(name, len(table), table.positives, len(np.unique(table.user[table.user >= 0])))

    @property
    def rate(self) -> float | None:
        """The share of positive reactions."""
        return self.positives / self.rows if self.rows else None


@dataclass(frozen=True, slots=True)
class Outcome:
    """All that came of a preparation.

    Attributes:
        path: the log.
        settings: how it was prepared.
        log: what was read.
        repeated: rows the log held twice.
        border: Unix seconds where the held-out rows begin.
        steps: what was left after each part.
        period: the training period as it stands, on which p₀ is measured.
        train: rows to learn from.
        heldout: held-out rows.
        upsampling: copies of the training rows.
        filters: what the filters did.
        heldout_filters: what they did to held-out rows.
        dropped: reason → rows.
    """

    path: str
    settings: PrepareSettings
    log: Log
    repeated: int
    border: float
    steps: list[Step]
    period: Table
    train: Table
    heldout: Table
    upsampling: Upsampling
    filters: list[FilterResult]
    heldout_filters: list[FilterResult]
    dropped: dict[str, int]

    @property
    def true_rate(self) -> float:
        """p₀."""
        return self.period.rate

    @property
    def training_rate(self) -> float:
        """q."""
        return self.upsampling.after

    def notes(self) -> Iterator[str]:
        """What a reader should know."""
        if self.upsampling.note:
            yield self.upsampling.note
        if self.heldout.positives in (0, len(self.heldout)):
            yield (
                f"the held-out rows have reactions of one class only: {self.heldout.positives:,} positive of "
                f"{len(self.heldout):,}; AUROC cannot be measured on them"
            )
        nameless = int((self.period.user < 0).sum())
        if nameless:
            yield (
                f"{nameless:,} of {len(self.period):,} rows of the training period name no user: filters and caps by "
                "user cannot see them"
            )
        if self.heldout_filters:
            yield "held-out rows were filtered: they are not at the true rate"
        for result in self.filters:
            if result.note:
                yield f"filter {result.name}: {result.note}"


def report_json(outcome: Outcome) -> dict[str, Any]:
    """`report.json`."""
    train, heldout, upsampling = outcome.train, outcome.heldout, outcome.upsampling
    settings = asdict(outcome.settings)
    settings["log"]["hashed_users"] = settings["log"].pop("salt") is not None
    return {
        "schema": SCHEMA,
        "input": outcome.path,
        "true_rate": outcome.true_rate,
        "training_rate": outcome.training_rate,
        "counts": {
            "log_rows": outcome.log.rows,
            "bad_rows": outcome.log.bad,
            "repeated_rows": outcome.repeated,
            "train_rows": int((upsampling.copies > 0).sum()),
            "train_positives": int(((upsampling.copies > 0) & (train.label == 1)).sum()),
            "train_copies": int(upsampling.copies.sum()),
            "train_positive_copies": int(upsampling.copies[train.label == 1].sum()),
            "negatives_left_out": int((upsampling.copies == 0).sum()),
            "heldout_rows": len(heldout),
            "heldout_positives": heldout.positives,
        },
        "dropped": outcome.dropped,
        "steps": [asdict(step) for step in outcome.steps],
        "heldout": {
            "from": outcome.border,
            "to": float(heldout.time[-1]) if len(heldout) else None,
            "rate": heldout.rate,
            "filtered": bool(outcome.heldout_filters),
        },
        "train": {"from": float(train.time[0]), "to": float(train.time[-1])},
        "filters": [_filter_json(result) for result in outcome.filters],
        "heldout_filters": [_filter_json(result) for result in outcome.heldout_filters],
        "reactions": dict(outcome.log.reactions.found.most_common(100)),
        "notes": list(outcome.notes()),
        "settings": settings,
    }


def _filter_json(result: FilterResult) -> dict[str, Any]:
    return {
        "name": result.name,
        "rule": result.rule,
        "tested": result.tested,
        "rows": result.rows,
        "positives": result.positives,
        "findings": [asdict(finding) for finding in result.findings[:LISTED_FINDINGS]],
        "more_findings": max(0, len(result.findings) - LISTED_FINDINGS),
        "note": result.note,
    }
