"""Filter `coordinated`: many users react to one target within a short time."""

from __future__ import annotations

import numpy as np

from cgpo.feedback.filters.types import Found, Suspect, rows_of, user_counts, window_text
from cgpo.feedback.filters.windows import Window, excess_windows
from cgpo.feedback.preparation.near_duplicates import group
from cgpo.feedback.preparation.settings import FilterSettings
from cgpo.feedback.preparation.spill import Spill
from cgpo.feedback.preparation.table import Ints, Mask, Table

LONGEST_EXCERPT = 80

FEW_OCCASIONS = 2
"""A user most of whose positive reactions are coordinated, on so many occasions or more, leaves with all rows."""


def coordinated(table: Table, spill: Spill, settings: FilterSettings, seed: int) -> Found:
    """Many users react to one target within a short time (`windows.py`; a user counts once in it).

    A target is nearly one text, or whatever one of several policies writes.
    """
    texts = group(table.signature)
    named = (table.user >= 0) & (table.label == 1)
    by_text = _excess(table, texts, settings)
    several = len(np.unique(table.policy[table.policy >= 0])) > 1
    by_policy = _excess(table, table.policy, settings) if several else []
    findings: list[Suspect] = []
    for window, targets in [*((w, texts) for w in by_text), *((w, table.policy) for w in by_policy)]:
        end = table.time[window.rows[0]] + settings.coordination_window
        inside = (table.time >= table.time[window.rows[0]]) & (table.time <= end)
        rows = np.flatnonzero((targets == window.unit) & named & inside)
        if len(np.unique(table.user[rows])) >= settings.min_coordinated_users:
            findings.append((_target(table, spill, window, targets), window_text(window, "users reacted"), rows))
    findings += _conspirators(table, findings, settings.coordination_window)
    return Found(
        f"at least {settings.min_coordinated_users} users react to nearly one text, or to one policy, within "
        f"{settings.coordination_window:g} s; Poisson tail × windows < {settings.significance:g}",
        f"{len(np.unique(texts)):,} texts, {len(table.policies):,} policies",
        findings,
    )


def _excess(table: Table, targets: Ints, settings: FilterSettings) -> list[Window]:
    first = _firsts(table, targets, settings.coordination_window)
    counted = (table.user >= 0) & (first | (table.label == 0))
    return excess_windows(
        np.where(counted, targets, -1),
        table.time,
        first.astype(np.int64),
        width=settings.coordination_window,
        rate=table.rate,
        least=settings.min_coordinated_users,
        level=settings.significance,
    )


def _target(table: Table, spill: Spill, window: Window, targets: Ints) -> str:
    if targets is table.policy:
        return f"policy {table.policies[window.unit]}"
    (response,) = spill.responses(table.place[[window.unit]])
    return response if len(response) <= LONGEST_EXCERPT else f"{response[:LONGEST_EXCERPT]}…"


def _firsts(table: Table, targets: Ints, width: float) -> Mask:
    """Positive reactions of a user to a target that come more than `width` seconds after the one before, [N]."""
    rows = np.flatnonzero((table.user >= 0) & (table.label == 1))
    rows = rows[np.lexsort((table.time[rows], table.user[rows], targets[rows]))]
    same = (targets[rows[1:]] == targets[rows[:-1]]) & (table.user[rows[1:]] == table.user[rows[:-1]])
    again = same & (table.time[rows[1:]] - table.time[rows[:-1]] <= width)
    found = np.zeros(len(table), dtype=np.bool_)
    found[rows] = True
    found[rows[1:][again]] = False
    return found


def _conspirators(table: Table, findings: list[Suspect], width: float) -> list[Suspect]:
    """Users most of whose positive reactions are coordinated, and that more than once."""
    _, positives = user_counts(table)
    inside = np.unique(np.concatenate([rows for _, _, rows in findings])) if findings else np.zeros(0, dtype=np.int64)
    found = []
    for user in np.unique(table.user[inside]):
        mine = inside[table.user[inside] == user]
        occasions = 1 + int((np.diff(table.time[mine]) > width).sum())
        if occasions >= FEW_OCCASIONS and 2 * len(mine) > positives[user]:
            reason = f"{len(mine)} of {positives[user]} positive reactions are coordinated, on {occasions} occasions"
            found.append((table.users[user], reason, rows_of(table, int(user))))
    return found
