"""AUROC: the probability that a positive scores above a negative (a tie counts half), with its interval.

    A = 1/(mn) Σ_i Σ_j [x_i > y_j] + ½ [x_i = y_j]

Variance: DeLong, DeLong & Clarke-Pearson 1988 (Biometrics 44, 837–845) by midranks; with clusters, Obuchowski 1997
(Biometrics 53, 567–578), which is DeLong's where each row is a cluster of its own. Bounds are taken on the logit of A,
so that they stay within (0, 1), with Student's t of the smaller class (its rows, or clusters, less one): with eight
positives the normal quantile held the truth in 91 of 100 simulated cases only. Where the variance says nothing (perfect
order, or a class of one row) Wilson's interval over the smaller class stands in: placements lie in [0, 1], so their
mean varies no more than a rate does.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import NDArray

from cgpo.statistics.intervals import Interval, rate_interval
from cgpo.statistics.odds import logit, sigmoid
from cgpo.statistics.resampling import CONFIDENCE, Floats, Ints, checked, checked_labels, cluster_index, midranks

Bools = NDArray[np.bool_]


def auroc(
    scores: Sequence[float],
    labels: Sequence[int],
    confidence: float = CONFIDENCE,
    clusters: Sequence[Hashable] | None = None,
) -> Interval:
    """AUROC of scores against labels.

    Args:
        scores: finite, [n]; their scale does not matter.
        labels: 1 (positive) or 0, [n].
        confidence: level in (0, 1).
        clusters: e.g. the user of each row, [n]; None, whole or in it: rows that stand alone.

    Returns:
        Its estimate is None where only one class is there.

    Raises:
        ValueError: a score is not finite, or a label neither 0 nor 1.
    """
    from scipy.special import stdtrit

    values = checked(scores, "scores")
    positive = checked_labels(labels, len(values)) == 1
    m, n = int(positive.sum()), int((~positive).sum())
    if m == 0 or n == 0:
        return Interval(None, None, None, m + n)
    placed = _placements(values, positive)
    area = float(placed[positive].mean())
    index = cluster_index(len(values), clusters)
    groups = [len(np.unique(index[side])) for side in (positive, ~positive)]
    variance = _variance(placed, positive, index, area) if min(groups) > 1 else 0.0
    if variance <= 0 or not 0 < area < 1:
        smaller = min(groups)
        wilson = rate_interval(area * smaller, smaller, confidence)
        return Interval(area, wilson.low, wilson.high, m + n)
    half = float(stdtrit(min(groups) - 1, (1 + confidence) / 2)) * math.sqrt(variance) / (area * (1 - area))
    centre = logit(area)
    return Interval(area, sigmoid(centre - half), sigmoid(centre + half), m + n)


def _placements(values: Floats, positive: Bools) -> Floats:
    """Of a positive the share of negatives below it, of a negative the share of positives above it, [n]."""
    ranks = midranks(values)
    placed = np.empty(len(values))
    for side, sign in ((positive, 1.0), (~positive, -1.0)):
        below = (ranks[side] - midranks(values[side])) / (~side).sum()
        placed[side] = below if sign > 0 else 1 - below
    return placed


def _variance(placed: Floats, positive: Bools, index: Ints, area: float) -> float:
    """Obuchowski's variance of A. The centred sums of a cluster's positives and of its negatives may go together."""
    clusters = int(index.max()) + 1
    sides = []
    variance = 0.0
    for side in (positive, ~positive):
        size = side.sum()
        centred = np.bincount(index[side], weights=placed[side] - area, minlength=clusters)
        groups = len(np.unique(index[side]))
        variance += float(groups / (groups - 1) * (centred @ centred) / size**2)
        sides.append(centred / size)
    return variance + 2 * float(clusters / (clusters - 1) * (sides[0] @ sides[1]))
