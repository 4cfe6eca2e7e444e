"""The form of what a filter suspects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from cgpo.feedback.logs.table import Ints, Table

MIN_USERS = 20
"""Filters that compare users with one another say nothing where there are fewer."""


class Suspect(NamedTuple):
    """A user, a text or a policy whose rows leave.

    Attributes:
        who: its name, or an excerpt of the text.
        reason: the numbers in words.
        rows: their places.
    """

    who: str
    reason: str
    rows: Ints


@dataclass(frozen=True, slots=True)
class Screening:
    """The suspects of a filter among the rows it was given.

    Attributes:
        rule: its statistic and threshold, with numbers.
        tested: how many users (or targets) could be tested.
        suspects: whom or what it suspects.
        note: why it was not run; may be empty.
    """

    rule: str
    tested: str
    suspects: list[Suspect]
    note: str = ""


def tested_text(table: Table, tested: int) -> str:
    """`22 of 797 users; 3 rows name no user`."""
    unknown = int((table.user < 0).sum())
    nameless = f"; {unknown:,} rows name no user" if unknown else ""
    return f"{tested:,} of {len(np.unique(table.user[table.user >= 0])):,} users{nameless}"
