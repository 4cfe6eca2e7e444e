"""How often honest users react, and which users are far from that.

Users differ, so their numbers of positive reactions are not binomial but beta-binomial: user u's rate is drawn from
Beta(a, b), their k_u of n_u rows from Binomial(n_u, rate). a and b are fitted by maximum likelihood to the users who
are not suspected; who is suspected follows from a and b. The fit begins without the tenth of the users with the
highest rates, so that always-loving users do not make themselves normal, and is repeated until nothing changes.

Suspected: the two-sided tail probability of k_u is small after Benjamini and Hochberg's (1995) control of the
false-discovery rate over all tested users.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cgpo.feedback.table import Ints, Mask

Floats = npt.NDArray[np.float64]

TRIMMED_SHARE = 0.1
ROUNDS = 20


@dataclass(frozen=True, slots=True)
class UserRates:
    """What was found.

    Attributes:
        mean: a / (a + b), the honest users' mean rate.
        spread: standard deviation of their rates.
        tails: two-sided tail probability of each tested user, [U].
        suspected: [U].
    """

    mean: float
    spread: float
    tails: Floats
    suspected: Mask


def check_rates(positives: Ints, rows: Ints, level: float) -> UserRates:
    """Tests users.

    Args:
        positives: k of each user, [U].
        rows: n of each user, [U].
        level: false-discovery rate.
    """
    rates = positives / rows
    suspected = rates > np.quantile(rates, 1 - TRIMMED_SHARE)
    a, b = _fit(positives[~suspected], rows[~suspected])
    tails = _tails(positives, rows, a, b)
    for _ in range(ROUNDS):
        before, suspected = suspected, discoveries(tails, level)
        if np.array_equal(before, suspected):
            break
        a, b = _fit(positives[~suspected], rows[~suspected])
        tails = _tails(positives, rows, a, b)
    mean = a / (a + b)
    return UserRates(mean, float(np.sqrt(mean * (1 - mean) / (a + b + 1))), tails, discoveries(tails, level))


def discoveries(tails: Floats, level: float) -> Mask:
    """Benjamini and Hochberg's procedure, [U]."""
    order = np.argsort(tails, kind="stable")
    limits = level * np.arange(1, len(tails) + 1) / max(1, len(tails))
    under = np.flatnonzero(tails[order] <= limits)
    found = np.zeros(len(tails), dtype=np.bool_)
    if len(under):
        found[order[: under[-1] + 1]] = True
    return found


def _tails(positives: Ints, rows: Ints, a: float, b: float) -> Floats:
    from scipy.stats import betabinom

    pairs, inverse = np.unique(np.stack([positives, rows]), axis=1, return_inverse=True)
    k, n = pairs
    low, high = betabinom.cdf(k, n, a, b), betabinom.sf(k - 1, n, a, b)
    found: Floats = np.clip(2 * np.minimum(low, high), 0.0, 1.0)[inverse.ravel()]
    return found


def _fit(positives: Ints, rows: Ints) -> tuple[float, float]:
    """Maximum likelihood of a and b, over mean and concentration a + b between 0.5 and 10⁴."""
    from scipy.optimize import minimize
    from scipy.special import betaln

    pairs, counts = np.unique(np.stack([positives, rows]), axis=1, return_counts=True)
    k, n = pairs
    pooled = (positives.sum() + 0.5) / (rows.sum() + 1)

    def loss(parameters: Floats) -> float:
        a, b = _parameters(parameters)
        return -float(np.sum(counts * (betaln(k + a, n - k + b) - betaln(a, b))))

    start = np.array([np.log(pooled / (1 - pooled)), np.log(20.0)])
    bounds = [(-12.0, 12.0), (np.log(0.5), np.log(1e4))]
    return _parameters(minimize(loss, start, method="L-BFGS-B", bounds=bounds).x)


def _parameters(parameters: Floats) -> tuple[float, float]:
    mean, total = 1 / (1 + np.exp(-parameters[0])), np.exp(parameters[1])
    return float(mean * total), float((1 - mean) * total)
