"""Filter `burst`: a user reacts, or is active, in bursts that honest users do not have."""

from __future__ import annotations

import numpy as np

from cgpo.feedback.filters.types import MIN_USERS, Found, Suspect, rows_of, tested_text, user_counts, window_text
from cgpo.feedback.filters.user_rates import check_rates
from cgpo.feedback.filters.windows import excess_windows
from cgpo.feedback.preparation.settings import FilterSettings
from cgpo.feedback.preparation.spill import Spill
from cgpo.feedback.preparation.table import Ints, Table

CROWDED_LEVEL = 0.05
"""Crowded rows alone are no offence: the user must also react more than honest users, at this one-sided level."""


def burst(table: Table, spill: Spill, settings: FilterSettings, seed: int) -> Found:
    """A user's positive reactions crowd in a short time (`windows.py`), whose rows leave; or all of a user's rows do.

    The second catches bots that react to little of what they see: c of a user's n rows follow the one before within
    the window. Honest users' c is beta-binomial (`user_rates.py`, so that a service used in sessions has a high mean).
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
    findings = [(table.users[w.unit], window_text(w, "positive reactions"), w.rows) for w in windows]
    others = np.ones(len(table), dtype=np.bool_)
    for window in windows:
        others[window.rows] = False
    rows, _ = user_counts(table)
    return Found(
        f"at least {settings.min_user_positives} positive reactions of a user within {settings.burst_window:g} s, "
        f"Poisson tail × windows < {settings.significance:g}; or rows crowded so, false-discovery rate < "
        f"{settings.false_discovery_rate:g}, and more reactions than honest users, tail < {CROWDED_LEVEL:g}",
        tested_text(table, int((rows >= settings.min_user_rows).sum())),
        findings + _crowded(table.take(others), np.flatnonzero(others), settings),
    )


def _crowded(table: Table, places: Ints, settings: FilterSettings) -> list[Suspect]:
    """Users whose rows crowd and who react more; `places`: the rows' places in the whole table."""
    from scipy.stats import binom

    rows, positives = user_counts(table)
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
        (
            table.users[users[place]],
            f"{close[place]} of {rows[users[place]]} rows follow another within {settings.burst_window:g} s (honest "
            f"share {crowds.mean:.3f}), and {positives[users[place]]} are positive (honest rate {honest.mean:.3f})",
            places[rows_of(table, int(users[place]))],
        )
        for place in np.flatnonzero(crowds.suspected & eager & ~usual)
    ]


def _close_rows(table: Table, width: float) -> Ints:
    """How many rows of each user follow the user's row before within `width` seconds, [U]."""
    order = np.lexsort((table.time, table.user))
    user, time = table.user[order], table.time[order]
    close = (user[1:] == user[:-1]) & (user[1:] >= 0) & (time[1:] - time[:-1] <= width)
    return np.bincount(user[1:][close], minlength=len(table.users))
