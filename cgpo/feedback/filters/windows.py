"""Filters `burst` and `coordinated`: more positive reactions in little time than honest users give.

Both look for windows of time in which a unit (a user, a text) has far more positive reactions than its rows there
explain. For each window [t, t + width] that begins at a positive reaction: of the unit's rows in it, m, k are positive.
Without an attack k is about Poisson with mean

    λ = m · max(p₀, (K − k + S·p₀) / (M − m + S))

where p₀ is the population's rate, K of the unit's M rows are positive, and S = 100 rows stand for the population where
the unit has few others (so that a second attack does not excuse the first). Conditional on m: people come in sessions,
so that many rows in little time mean nothing. The window counts when P(X ≥ k) times the number of windows looked at
(Bonferroni) is below the significance.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cgpo.feedback.filters.rates import check_rates
from cgpo.feedback.filters.screening import MIN_USERS, Screening, Suspect, tested_text
from cgpo.feedback.logs.near_duplicates import group
from cgpo.feedback.logs.table import Ints, Mask, Spill, Table
from cgpo.feedback.settings import FilterSettings

PRIOR_ROWS = 100.0

CROWDED_LEVEL = 0.05
"""Crowded rows alone are no offence: the user must also react more than honest users, at this one-sided level."""

LONGEST_EXCERPT = 80
FEW_OCCASIONS = 2
"""A user most of whose positive reactions are coordinated, on so many occasions or more, leaves with all rows."""


@dataclass(frozen=True, slots=True)
class Window:
    """An excess.

    Attributes:
        unit: which unit.
        rows: places of its rows within the window, [m].
        positives: k.
        expected: λ.
        tail: P(X ≥ k), times the number of windows looked at, at most 1.
    """

    unit: int
    rows: Ints
    positives: int
    expected: float
    tail: float


def excess_windows(
    units: Ints, time: npt.NDArray[np.float64], label: Ints, *, width: float, rate: float, least: int, level: float
) -> list[Window]:
    """Windows with an excess, those of a unit in order of time; they may overlap.

    Args:
        units: unit of each row, negative: none, [N].
        time: seconds, [N].
        label: 0 or 1, [N].
        width: seconds.
        rate: p₀.
        least: positive reactions a window must have.
        level: significance after Bonferroni.
    """
    from scipy.stats import poisson

    spans = list(_spans(units, time, label, least))
    looked_at = sum(int(label[rows].sum()) for _, rows in spans)
    windows: list[Window] = []
    for unit, rows in spans:
        for inside, count, expected in _windows(rows, time, label, width, rate):
            if count < least:
                continue
            tail = min(1.0, float(poisson.sf(count - 1, expected)) * looked_at)
            if tail < level:
                windows.append(Window(unit, inside, count, expected, tail))
    return windows


def _spans(units: Ints, time: npt.NDArray[np.float64], label: Ints, least: int) -> list[tuple[int, Ints]]:
    """The rows of each unit with enough positives, in order of time."""
    order = np.lexsort((time, units))
    order = order[units[order] >= 0]
    if not len(order):
        return []
    ordered = units[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    positives = np.add.reduceat(label[order], starts)
    ends = np.r_[starts[1:], len(order)]
    return [
        (int(ordered[start]), order[start:end])
        for start, end, count in zip(starts, ends, positives, strict=True)
        if count >= least
    ]


def _windows(
    rows: Ints, time: npt.NDArray[np.float64], label: Ints, width: float, rate: float
) -> list[tuple[Ints, int, float]]:
    """Rows, positives and expected positives of each window of a unit."""
    times, labels = time[rows], label[rows]
    before = np.r_[0, np.cumsum(labels)]
    starts = np.flatnonzero(labels)
    ends = np.searchsorted(times, times[starts] + width, side="right")
    windows = []
    for start, end in zip(starts, ends, strict=True):
        count, inside = int(before[end] - before[start]), int(end - start)
        outside = (before[-1] - count + PRIOR_ROWS * rate) / (len(rows) - inside + PRIOR_ROWS)
        windows.append((rows[start:end], count, inside * max(rate, float(outside))))
    return windows


def window_text(window: Window, what: str) -> str:
    """The numbers of an excess in words."""
    return (
        f"{window.positives} {what} in {len(window.rows)} rows where {window.expected:.2g} are expected "
        f"(tail × windows {window.tail:.1e})"
    )


def burst(table: Table, spill: Spill, settings: FilterSettings, seed: int) -> Screening:
    """A user's positive reactions crowd in a short time, whose rows leave; or all of a user's rows do.

    The second catches bots that react to little of what they see: c of a user's n rows follow the one before within
    the window. Honest users' c is beta-binomial (`rates.py`, so that a service used in sessions has a high mean).
    A user beyond that, who also reacts more than honest users (binomial tail < 0.05), leaves.
    """
    windows = excess_windows(
        table.user,
        table.time,
        table.label,
        width=settings.burst_window,
        rate=table.rate,
        least=settings.min_user_positives,
        level=settings.significance,
    )
    suspects = [Suspect(table.users[w.unit], window_text(w, "positive reactions"), w.rows) for w in windows]
    others = np.ones(len(table), dtype=np.bool_)
    for window in windows:
        others[window.rows] = False
    rows, _ = table.user_counts()
    return Screening(
        f"at least {settings.min_user_positives} positive reactions of a user within {settings.burst_window:g} s, "
        f"Poisson tail × windows < {settings.significance:g}; or rows crowded so, false-discovery rate < "
        f"{settings.false_discovery_rate:g}, and more reactions than honest users, tail < {CROWDED_LEVEL:g}",
        tested_text(table, int((rows >= settings.min_user_rows).sum())),
        suspects + _crowded(table.take(others), np.flatnonzero(others), settings),
    )


def _crowded(table: Table, places: Ints, settings: FilterSettings) -> list[Suspect]:
    """Users whose rows crowd and who react more; `places`: the rows' places in the whole table."""
    from scipy.stats import binom

    rows, positives = table.user_counts()
    users = np.flatnonzero(rows >= 2)  # with one row nothing can crowd
    if len(users) < MIN_USERS:
        return []
    close = _close_rows(table, settings.burst_window)[users]
    level = settings.false_discovery_rate
    crowds = check_rates(close, rows[users] - 1, level, settings.min_user_rows - 1)
    honest = check_rates(positives[users], rows[users], level)
    eager = binom.sf(positives[users] - 1, rows[users], honest.mean) < CROWDED_LEVEL
    usual = close / (rows[users] - 1) <= crowds.mean
    return [
        Suspect(
            table.users[users[place]],
            f"{close[place]} of {rows[users[place]]} rows follow another within {settings.burst_window:g} s (honest "
            f"share {crowds.mean:.3f}), and {positives[users[place]]} are positive (honest rate {honest.mean:.3f})",
            places[table.rows_of(int(users[place]))],
        )
        for place in np.flatnonzero(crowds.suspected & eager & ~usual)
    ]


def _close_rows(table: Table, width: float) -> Ints:
    """How many rows of each user follow the user's row before within `width` seconds, [U]."""
    order = np.lexsort((table.time, table.user))
    user, time = table.user[order], table.time[order]
    close = (user[1:] == user[:-1]) & (user[1:] >= 0) & (time[1:] - time[:-1] <= width)
    return np.bincount(user[1:][close], minlength=len(table.users))


def coordinated(table: Table, spill: Spill, settings: FilterSettings, seed: int) -> Screening:
    """Many users react to one target within a short time (a user counts once in it).

    A target is nearly one text, or whatever one of several policies writes.
    """
    texts = group(table.signature)
    named = (table.user >= 0) & (table.label == 1)
    by_text = _excess(table, texts, settings)
    several = len(np.unique(table.policy[table.policy >= 0])) > 1
    by_policy = _excess(table, table.policy, settings) if several else []
    suspects: list[Suspect] = []
    for window, targets in [*((w, texts) for w in by_text), *((w, table.policy) for w in by_policy)]:
        end = table.time[window.rows[0]] + settings.coordination_window
        inside = (table.time >= table.time[window.rows[0]]) & (table.time <= end)
        rows = np.flatnonzero((targets == window.unit) & named & inside)
        if len(np.unique(table.user[rows])) >= settings.min_coordinated_users:
            who = _target(table, spill, window, targets)
            suspects.append(Suspect(who, window_text(window, "users reacted"), rows))
    suspects += _conspirators(table, suspects, settings.coordination_window)
    return Screening(
        f"at least {settings.min_coordinated_users} users react to nearly one text, or to one policy, within "
        f"{settings.coordination_window:g} s; Poisson tail × windows < {settings.significance:g}",
        f"{len(np.unique(texts)):,} texts, {len(table.policies):,} policies",
        suspects,
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
    firsts = np.zeros(len(table), dtype=np.bool_)
    firsts[rows] = True
    firsts[rows[1:][again]] = False
    return firsts


def _conspirators(table: Table, targets: list[Suspect], width: float) -> list[Suspect]:
    """Users most of whose positive reactions are coordinated, and that more than once."""
    _, positives = table.user_counts()
    inside = np.unique(np.concatenate([target.rows for target in targets])) if targets else np.zeros(0, dtype=np.int64)
    suspects = []
    for user in np.unique(table.user[inside]):
        rows = inside[table.user[inside] == user]
        occasions = 1 + int((np.diff(table.time[rows]) > width).sum())
        if occasions >= FEW_OCCASIONS and 2 * len(rows) > positives[user]:
            reason = f"{len(rows)} of {positives[user]} positive reactions are coordinated, on {occasions} occasions"
            suspects.append(Suspect(table.users[user], reason, table.rows_of(int(user))))
    return suspects
