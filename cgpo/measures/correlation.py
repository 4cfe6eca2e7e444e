"""Pearson's and Spearman's correlation with intervals.

Rows that stand alone: Fisher's z, standard error 1/√(n − 3) for Pearson and √((1 + r²/2)/(n − 3)) for Spearman
(Bonett & Wright 2000, Psychometrika 65, 23–28). Rows in clusters: percentile bootstrap over clusters.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from statistics import NormalDist

import numpy as np

from cgpo.evaluation.intervals import Interval
from cgpo.measures.resampling import (
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
    return _with_interval(_pair(x, y), confidence, clusters, lambda r: 1.0)


def spearman(
    x: Sequence[float],
    y: Sequence[float],
    confidence: float = CONFIDENCE,
    clusters: Sequence[Hashable] | None = None,
) -> Interval:
    """Spearman's ρ: Pearson's r of the ranks, equal values sharing theirs. Arguments and result as `pearson`."""
    a, b = _pair(x, y)
    return _with_interval((midranks(a), midranks(b)), confidence, clusters, lambda r: 1 + r * r / 2)


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
    if abs(r) == 1:
        return Interval(r, r, r, n)
    half = NormalDist().inv_cdf((1 + confidence) / 2) * math.sqrt(factor(r) / (n - 3))
    return Interval(r, math.tanh(math.atanh(r) - half), math.tanh(math.atanh(r) + half), n)


def _bootstrapped(x: Floats, y: Floats, index: Ints) -> Floats:
    """r of each resample of clusters, from sums of standardised values, [R]."""
    a, b = (x - x.mean()) / x.std(), (y - y.mean()) / y.std()
    totals = resampled_sums(cluster_sums(np.stack([np.ones_like(a), a, b, a * a, b * b, a * b], axis=1), index))
    n, sa, sb, saa, sbb, sab = totals.T
    with np.errstate(divide="ignore", invalid="ignore"):
        r: Floats = (n * sab - sa * sb) / np.sqrt((n * saa - sa**2) * (n * sbb - sb**2))
    return r
