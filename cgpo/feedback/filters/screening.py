"""What a filter is shown, and what it says."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cgpo.feedback.preparation.table import Ints, Table

MIN_USERS = 20
"""Filters that compare users with one another say nothing where there are fewer."""

Suspect = tuple[str, str, Ints]
"""Who (a user, a text, a policy), why, and which rows leave."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a filter says of the rows it was shown.

    Attributes:
        rule: its statistic and threshold, with numbers.
        tested: how many users (or targets) could be tested.
        suspects: what it found.
        note: why it was not run; may be empty.
    """

    rule: str
    tested: str
    suspects: list[Suspect]
    note: str = ""


def user_counts(table: Table) -> tuple[Ints, Ints]:
    """Rows and positive reactions of each user, [U]."""
    known = table.user >= 0
    rows = np.bincount(table.user[known], minlength=len(table.users))
    positives = np.bincount(table.user[known], weights=table.label[known], minlength=len(table.users))
    return rows, positives.astype(np.int64)


def rows_of(table: Table, user: int) -> Ints:
    """The rows of a user."""
    return np.flatnonzero(table.user == user)


def tested_text(table: Table, tested: int) -> str:
    """`22 of 797 users; 3 rows name no user`."""
    unknown = int((table.user < 0).sum())
    nameless = f"; {unknown:,} rows name no user" if unknown else ""
    return f"{tested:,} of {len(np.unique(table.user[table.user >= 0])):,} users{nameless}"
