"""The lift: how many times the base rate the highest-scored rows have."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from cgpo.statistics.intervals import Interval, responses_rate
from cgpo.statistics.resampling import CONFIDENCE, checked, checked_labels, cluster_index, equal_mass


@dataclass(frozen=True, slots=True)
class LiftGroup:
    """A group of rows of about the same score.

    Attributes:
        n: rows.
        positives: of them.
        low: smallest score.
        high: largest.
        rate: share of positives.
        lift: the rate over the base rate; its interval is that of the rate, the base rate (of all groups) taken as
            known. None without positives.
        captured: share of all positives in this group and those before it; None without positives.
    """

    n: int
    positives: int
    low: float
    high: float
    rate: Interval
    lift: Interval
    captured: float | None


def lift_by_decile(
    scores: Sequence[float],
    labels: Sequence[int],
    groups: int = 10,
    confidence: float = CONFIDENCE,
    clusters: Sequence[Hashable] | None = None,
) -> list[LiftGroup]:
    """Groups of equal size by score, the highest first. Equal scores are never parted, so groups may be fewer.

    Args:
        scores: finite, [n].
        labels: 1 or 0, [n].
        groups: how many.
        confidence: level in (0, 1).
        clusters: e.g. the user of each row, [n]; None: all different.

    Raises:
        ValueError: a score is not finite, or a label neither 0 nor 1.
    """
    values = checked(scores, "scores")
    y = checked_labels(labels, len(values))
    if not len(values):
        return []
    index, place = cluster_index(len(values), clusters), equal_mass(values, groups)
    base, total, captured = float(y.mean()), int(y.sum()), 0
    lifts = []
    for number in range(int(place.max()), -1, -1):
        rows = np.flatnonzero(place == number)
        rate = responses_rate(y[rows].tolist(), index[rows].tolist(), confidence)
        positives = int(y[rows].sum())
        captured += positives
        lifts.append(
            LiftGroup(
                n=len(rows),
                positives=positives,
                low=float(values[rows].min()),
                high=float(values[rows].max()),
                rate=rate,
                lift=_over(rate, base),
                captured=captured / total if total else None,
            )
        )
    return lifts


def _over(rate: Interval, base: float) -> Interval:
    if base == 0 or rate.estimate is None:
        return Interval(None, None, None, rate.n)
    low = None if rate.low is None else rate.low / base
    high = None if rate.high is None else rate.high / base
    return Interval(rate.estimate / base, low, high, rate.n)
