"""Filters for adversarial patterns. Each has a statistic, a threshold and words for what it drops; all are documented
in docs/feedback.md. They run in the order of `settings.FILTERS`; each sees what those before it left.

Rows that do not say their user can be seen by none of them but are never dropped for that.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

import numpy as np

from cgpo.feedback.filters.content import content
from cgpo.feedback.filters.rates import rate, share
from cgpo.feedback.filters.screening import Screening, Suspect
from cgpo.feedback.filters.windows import burst, coordinated
from cgpo.feedback.logs.table import Ints, Spill, Table
from cgpo.feedback.settings import FilterSettings


@dataclass(frozen=True, slots=True)
class Finding:
    """A suspect whose rows were dropped.

    Attributes:
        who: the user, or an excerpt of the text.
        rows: how many rows.
        positives: how many of them positive.
        reason: the numbers in words.
    """

    who: str
    rows: int
    positives: int
    reason: str


@dataclass(frozen=True, slots=True)
class FilterResult:
    """The outcome of a filter.

    Attributes:
        name: of the filter.
        rule: its statistic and threshold in words, with numbers.
        findings: who and what it suspects.
        finding: the number of the finding for each row that is dropped, −1 for others, [N] of the whole table.
        positives: positive reactions among the dropped rows.
        tested: how many users (or texts) could be tested, and how many not.
        note: why it could not be run, or what it could not see; may be empty.
    """

    name: str
    rule: str
    findings: list[Finding]
    finding: Ints
    positives: int
    tested: str
    note: str = ""

    @property
    def rows(self) -> int:
        """How many rows it dropped."""
        return int((self.finding >= 0).sum())

    def reason(self, row: int) -> str:
        """Why it dropped a row."""
        return self.findings[int(self.finding[row])].reason


_Filter = Callable[[Table, Spill, FilterSettings, int], Screening]


def run_filters(table: Table, spill: Spill, settings: FilterSettings, seed: int) -> list[FilterResult]:
    """Runs the chosen filters.

    Args:
        table: the rows.
        spill: their texts.
        settings: which run, and their thresholds.
        seed: of what is drawn.
    """
    left = np.arange(len(table))
    results = []
    for name in settings.names:
        part = table.take(left)
        screening = _FILTERS[name](part, spill, settings, seed)
        result = _result(name, table, left, screening)
        results.append(result)
        left = left[result.finding[left] < 0]
    return results


def filter_heldout(
    heldout: Table, dropped_users: Collection[str], spill: Spill, settings: FilterSettings, seed: int
) -> list[FilterResult]:
    """Filters held-out rows: those of users who left the training side, then by the same filters as there.

    Args:
        heldout: the rows.
        dropped_users: names of users all of whose training rows were dropped.
        spill: texts of the rows.
        settings: which filters run, and their thresholds.
        seed: of what is drawn.
    """
    suspects = [
        Suspect(name, "all training rows of this user were dropped", heldout.rows_of(number))
        for number, name in enumerate(heldout.users)
        if name in dropped_users
    ]
    known = Screening("all training rows of the user were dropped", f"{len(dropped_users):,} users", suspects)
    first = _result("known users", heldout, np.arange(len(heldout)), known)
    left = np.flatnonzero(first.finding < 0)
    later = run_filters(heldout.take(left), spill, settings, seed)
    return [first, *(_spread(result, left, len(heldout)) for result in later)]


def _spread(result: FilterResult, left: Ints, count: int) -> FilterResult:
    finding = np.full(count, -1, dtype=np.int64)
    finding[left] = result.finding
    return FilterResult(
        result.name, result.rule, result.findings, finding, result.positives, result.tested, result.note
    )


def _result(name: str, table: Table, left: Ints, screening: Screening) -> FilterResult:
    finding = np.full(len(table), -1, dtype=np.int64)
    findings: list[Finding] = []
    for who, reason, rows in screening.suspects:
        fresh = left[rows][finding[left[rows]] < 0]
        if not len(fresh):
            continue
        finding[fresh] = len(findings)
        findings.append(Finding(who, len(fresh), int(table.label[fresh].sum()), reason))
    positives = int(table.label[finding >= 0].sum())
    return FilterResult(name, screening.rule, findings, finding, positives, screening.tested, screening.note)


_FILTERS: dict[str, _Filter] = {
    "coordinated": coordinated,
    "share": share,
    "burst": burst,
    "rate": rate,
    "content": content,
}
