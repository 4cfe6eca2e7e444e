"""Filters `share` and `rate`: users who react far more, or far less, than honest users do (`user_rates.py`)."""

from __future__ import annotations

import numpy as np

from cgpo.feedback.filters.types import MIN_USERS, Found, rows_of, tested_text, user_counts
from cgpo.feedback.filters.user_rates import check_rates
from cgpo.feedback.preparation.settings import FilterSettings
from cgpo.feedback.preparation.spill import Spill
from cgpo.feedback.preparation.table import Table

SHARE_LEVEL = 1e-3
"""A large share alone is no offence: heavy users have one."""


def share(table: Table, spill: Spill, settings: FilterSettings, seed: int) -> Found:
    """One user gives a large share of all positive reactions, and not as an honest user with many rows would."""
    from scipy.stats import betabinom

    rows, positives = user_counts(table)
    shares = positives / max(1, table.positives)
    large = np.flatnonzero((positives >= settings.min_user_positives) & (shares > settings.max_user_share))
    present = np.flatnonzero(rows)
    rule = (
        f"a user's share of all positive reactions > {settings.max_user_share:g}, and beta-binomial tail of their rate "
        f"< {SHARE_LEVEL:g}"
    )
    counted = tested_text(table, len(large))
    if len(present) < MIN_USERS:
        return Found(rule, counted, [], f"not run: fewer than {MIN_USERS} users")
    honest = check_rates(positives[present], rows[present], settings.false_discovery_rate)
    tails = betabinom.sf(positives[large] - 1, rows[large], honest.a, honest.b)
    findings = [
        (
            table.users[user],
            f"{shares[user]:.1%} of all positive reactions: {positives[user]} in {rows[user]} rows, where honest users "
            f"have {honest.mean:.4f} (tail {tail:.1e})",
            rows_of(table, int(user)),
        )
        for user, tail in zip(large, tails, strict=True)
        if tail < SHARE_LEVEL
    ]
    return Found(rule, counted, findings)


def rate(table: Table, spill: Spill, settings: FilterSettings, seed: int) -> Found:
    """A user's rate is far from what honest users have, in either direction (`user_rates.py`)."""
    rows, positives = user_counts(table)
    users = np.flatnonzero(rows)
    level = settings.false_discovery_rate
    rule = f"two-sided beta-binomial tail of a user's positive reactions; false-discovery rate < {level:g}"
    tested = tested_text(table, int((rows >= settings.min_user_rows).sum()))
    if len(users) < MIN_USERS:
        return Found(rule, tested, [], f"not run: fewer than {MIN_USERS} users")
    found = check_rates(positives[users], rows[users], level, settings.min_user_rows)
    findings = [
        (
            table.users[user],
            f"{positives[user]} of {rows[user]} rows positive; users' mean is {found.mean:.4f}, spread "
            f"{found.spread:.4f}; tail {tail:.1e}",
            rows_of(table, int(user)),
        )
        for user, tail in zip(users[found.suspected], found.tails[found.suspected], strict=True)
    ]
    return Found(f"{rule}; honest mean {found.mean:.4f}, spread {found.spread:.4f}", tested, findings)
