"""Pearson's and Spearman's correlation with intervals.

Rows that stand alone: Fisher's z, standard error 1/√(n − 3) for Pearson and √((1 + r²/2)/(n − 3)) for Spearman
(Bonett & Wright 2000, Psychometrika 65, 23–28). Rows in clusters: percentile bootstrap over clusters.

Few rows often stand in perfect order by chance, and z of ρ = 1 is infinite: there z is taken of a ρ half way to the
next one that n rows can have, 1 − 12/(n³ − n), of two neighbours swapped.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence

import numpy as np

from cgpo.statistics.intervals import Interval, normal_quantile
from cgpo.statistics.resampling import (
    CONFIDENCE,
    Floats,
    Ints,
    checked,
    cluster_index,
    cluster_sums,
    midranks,
    percentiles,
    resampled_sums,
)

FEWEST = 4
"""Fisher's z needs n − 3 > 0: with fewer points there is no interval."""

_ROUNDING = 1e-12
"""Share of a sum of squares below which a variance is rounding."""


def pearson(
    x: Sequence[float],
    y: Sequence[float],
    confidence: float = CONFIDENCE,
    clusters: Sequence[Hashable] | None = None,
) -> Interval:
    """Pearson's r.

    Args:
        x: finite, [n].
        y: finite, [n].
        confidence: level in (0, 1).
        clusters: e.g. the user of each row, [n]; None: all different.

    Returns:
        Its estimate is None with fewer than three points or where one side does not vary; bounds are None with fewer
        than four.

    Raises:
        ValueError: a value is not finite.
    """
    return _with_interval(_pair(x, y), confidence, clusters, lambda r: 1.0, 1.0)


def spearman(
    x: Sequence[float],
    y: Sequence[float],
    confidence: float = CONFIDENCE,
    clusters: Sequence[Hashable] | None = None,
) -> Interval:
    """Spearman's ρ: Pearson's r of the ranks, equal values sharing theirs. Arguments and result as `pearson`."""
    a, b = _pair(x, y)
    ranks = midranks(a), midranks(b)
    return _with_interval(ranks, confidence, clusters, lambda r: 1 + r * r / 2, largest_rank_correlation(len(a)))


def largest_rank_correlation(n: int) -> float:
    """Beyond which z is not taken of Spearman's ρ of n rows."""
    return 1 - 6 / (n**3 - n) if n >= FEWEST else 1.0


def correlation(x: Floats, y: Floats) -> float | None:
    """Pearson's r alone; None with fewer than three points or without variance."""
    if len(x) < 3 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return None
    a, b = x - x.mean(), y - y.mean()
    # Scaled first: squares of very small or large numbers would leave the range of a float.
    a, b = a / np.abs(a).max(), b / np.abs(b).max()
    return float(np.clip(a @ b / math.sqrt((a @ a) * (b @ b)), -1, 1))


def _pair(x: Sequence[float], y: Sequence[float]) -> tuple[Floats, Floats]:
    a, b = checked(x, "x"), checked(y, "y")
    if len(a) != len(b):
        raise ValueError(f"{len(a)} and {len(b)} values cannot be paired")
    return a, b


def _with_interval(
    pair: tuple[Floats, Floats],
    confidence: float,
    clusters: Sequence[Hashable] | None,
    factor: Callable[[float], float],
    largest: float,
) -> Interval:
    x, y = pair
    n, r = len(x), correlation(x, y)
    if r is None:
        return Interval(None, None, None, n)
    index = cluster_index(n, clusters)
    groups = int(index.max()) + 1
    if min(n, groups) < FEWEST:
        return Interval(r, None, None, n)
    if groups < n:
        low, high = percentiles(_bootstrapped(x, y, index), confidence)
        return Interval(r, min(low, r), max(high, r), n)
    within = max(-largest, min(largest, r))
    if abs(within) == 1:
        return Interval(r, r, r, n)
    half = normal_quantile(confidence) * math.sqrt(factor(r) / (n - 3))
    low, high = (math.tanh(math.atanh(within) + side) for side in (-half, half))
    return Interval(r, min(low, r), max(high, r), n)


def _bootstrapped(x: Floats, y: Floats, index: Ints) -> Floats:
    """r of each resample of clusters, from sums of standardised values, [R]."""
    a, b = (x - x.mean()) / x.std(), (y - y.mean()) / y.std()
    totals = resampled_sums(cluster_sums(np.stack([np.ones_like(a), a, b, a * a, b * b, a * b], axis=1), index))
    n, sa, sb, saa, sbb, sab = totals.T
    va, vb = n * saa - sa**2, n * sbb - sb**2
    # Where a resample does not vary, rounding leaves a little: no correlation of anything.
    varies = (va > _ROUNDING * n * saa) & (vb > _ROUNDING * n * sbb)
    r: Floats = np.divide(n * sab - sa * sb, np.sqrt(np.abs(va * vb)), out=np.full(len(n), np.nan), where=varies)
    return np.clip(r, -1.0, 1.0)
