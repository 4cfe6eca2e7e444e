"""Filters `share` and `rate`: users who react far more, or far less, than honest users do.

Users differ, so the numbers k_u of reactions among n_u rows are not binomial but beta-binomial, and some users are not
honest:

    P(k_u) = (1 − ε) · BetaBinomial(k_u; n_u, a, b) + ε / (n_u + 1),   ε ≤ 0.1

The second part, any rate with equal chance, takes up users who would otherwise make themselves normal. a, b and ε are
fitted by maximum likelihood. Suspected: the two-sided tail probability of k_u in the first part is small after
Benjamini and Hochberg's (1995) control of the false-discovery rate over all tested users.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cgpo.feedback.filters.screening import MIN_USERS, Screening, Suspect, tested_text
from cgpo.feedback.logs.table import Ints, Mask, Spill, Table
from cgpo.feedback.settings import FilterSettings

Floats = npt.NDArray[np.float64]

MAX_DISHONEST = 0.1
"""The largest ε: a tenth of the users. More would take whole groups of honest users who react readily."""

SHARE_LEVEL = 1e-3
"""A large share alone is no offence: heavy users have one."""


@dataclass(frozen=True, slots=True)
class UserRates:
    """The honest users' rates, and who is far from them.

    Attributes:
        a: of the honest users' Beta(a, b).
        b: the same.
        tails: two-sided tail probability of each user, [U].
        suspected: among the tested users, [U].
    """

    a: float
    b: float
    tails: Floats
    suspected: Mask

    @property
    def mean(self) -> float:
        """The honest users' mean rate."""
        return self.a / (self.a + self.b)

    @property
    def spread(self) -> float:
        """The standard deviation of their rates."""
        return float(np.sqrt(self.mean * (1 - self.mean) / (self.a + self.b + 1)))


def check_rates(positives: Ints, rows: Ints, level: float, least: int = 1) -> UserRates:
    """Fits a and b to all users, and tests those with enough rows.

    Args:
        positives: k of each user, [U].
        rows: n of each user, at least 1, [U].
        level: false-discovery rate.
        least: rows of a user who is tested.
    """
    a, b = _fit(positives, rows)
    tails = _tails(positives, rows, a, b)
    suspected = np.zeros(len(rows), dtype=np.bool_)
    suspected[rows >= least] = discoveries(tails[rows >= least], level)
    return UserRates(a, b, tails, suspected)


def discoveries(tails: Floats, level: float) -> Mask:
    """Benjamini and Hochberg's procedure, [U]."""
    order = np.argsort(tails, kind="stable")
    limits = level * np.arange(1, len(tails) + 1) / max(1, len(tails))
    under = np.flatnonzero(tails[order] <= limits)
    discovered = np.zeros(len(tails), dtype=np.bool_)
    if len(under):
        discovered[order[: under[-1] + 1]] = True
    return discovered


def _tails(positives: Ints, rows: Ints, a: float, b: float) -> Floats:
    from scipy.stats import betabinom

    pairs, inverse = np.unique(np.stack([positives, rows]), axis=1, return_inverse=True)
    k, n = pairs
    low, high = betabinom.cdf(k, n, a, b), betabinom.sf(k - 1, n, a, b)
    tails: Floats = np.clip(2 * np.minimum(low, high), 0.0, 1.0)[inverse.ravel()]
    return tails


def _fit(positives: Ints, rows: Ints) -> tuple[float, float]:
    """Maximum likelihood of a and b, over mean, concentration a + b between 0.5 and 10⁴, and ε."""
    from scipy.optimize import minimize
    from scipy.special import betaln, gammaln

    pairs, counts = np.unique(np.stack([positives, rows]), axis=1, return_counts=True)
    k, n = pairs
    ways = gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1)
    anything = -np.log(n + 1)

    def loss(parameters: Floats) -> float:
        a, b = _parameters(parameters)
        honest = np.log1p(-parameters[2]) + ways + betaln(k + a, n - k + b) - betaln(a, b)
        return -float(np.sum(counts * np.logaddexp(honest, np.log(parameters[2]) + anything)))

    rates = positives / rows
    usual = float(np.clip((np.median(rates) + np.average(rates, weights=rows)) / 2, 1e-4, 1 - 1e-4))
    bounds = [(-12.0, 12.0), (np.log(0.5), np.log(1e4)), (1e-6, MAX_DISHONEST)]
    starts = [np.array([np.log(usual / (1 - usual)), np.log(total), 0.02]) for total in (5.0, 50.0, 500.0)]
    fits = [minimize(loss, start, method="L-BFGS-B", bounds=bounds) for start in starts]
    return _parameters(min(fits, key=lambda fit: float(fit.fun)).x)


def _parameters(parameters: Floats) -> tuple[float, float]:
    mean, total = 1 / (1 + np.exp(-parameters[0])), np.exp(parameters[1])
    return float(mean * total), float((1 - mean) * total)


def share(table: Table, spill: Spill, settings: FilterSettings, seed: int) -> Screening:
    """One user gives a large share of all positive reactions, and not as an honest user with many rows would."""
    from scipy.stats import betabinom

    rows, positives = table.user_counts()
    shares = positives / max(1, table.positives)
    large = np.flatnonzero((positives >= settings.min_user_positives) & (shares > settings.max_user_share))
    present = np.flatnonzero(rows)
    rule = (
        f"a user's share of all positive reactions > {settings.max_user_share:g}, and beta-binomial tail of their rate "
        f"< {SHARE_LEVEL:g}"
    )
    counted = tested_text(table, len(large))
    if len(present) < MIN_USERS:
        return Screening(rule, counted, [], f"not run: fewer than {MIN_USERS} users")
    honest = check_rates(positives[present], rows[present], settings.false_discovery_rate)
    tails = betabinom.sf(positives[large] - 1, rows[large], honest.a, honest.b)
    suspects = [
        Suspect(
            table.users[user],
            f"{shares[user]:.1%} of all positive reactions: {positives[user]} in {rows[user]} rows, where honest users "
            f"have {honest.mean:.4f} (tail {tail:.1e})",
            table.rows_of(int(user)),
        )
        for user, tail in zip(large, tails, strict=True)
        if tail < SHARE_LEVEL
    ]
    return Screening(rule, counted, suspects)


def rate(table: Table, spill: Spill, settings: FilterSettings, seed: int) -> Screening:
    """A user's rate is far from what honest users have, in either direction."""
    rows, positives = table.user_counts()
    users = np.flatnonzero(rows)
    level = settings.false_discovery_rate
    rule = f"two-sided beta-binomial tail of a user's positive reactions; false-discovery rate < {level:g}"
    tested = tested_text(table, int((rows >= settings.min_user_rows).sum()))
    if len(users) < MIN_USERS:
        return Screening(rule, tested, [], f"not run: fewer than {MIN_USERS} users")
    honest = check_rates(positives[users], rows[users], level, settings.min_user_rows)
    suspects = [
        Suspect(
            table.users[user],
            f"{positives[user]} of {rows[user]} rows positive; users' mean is {honest.mean:.4f}, spread "
            f"{honest.spread:.4f}; tail {tail:.1e}",
            table.rows_of(int(user)),
        )
        for user, tail in zip(users[honest.suspected], honest.tails[honest.suspected], strict=True)
    ]
    return Screening(f"{rule}; honest mean {honest.mean:.4f}, spread {honest.spread:.4f}", tested, suspects)
