"""Do probabilities mean what they say?

    ECE = Σ_b n_b/n · |mean probability in b − share of positives in b|
    Brier = mean (p − y)²                          skill = 1 − Brier / Brier of the base rate for every row

Bins hold equally many rows: at a base rate of 2 % bins of equal width would put nearly everything into the first.
ECE is never 0 on finite data even of a perfectly calibrated model; `ece_if_calibrated` is what such a model would
have here (labels drawn from its own probabilities). The bootstrap has the same bias once more, so its spread is taken
around the estimate, not its quantiles as they are; and where the estimate is no larger than what chance gives a
perfectly calibrated model in 95 of 100 cases, the interval reaches down to 0.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from cgpo.statistics.intervals import Interval, mean_interval, responses_rate
from cgpo.statistics.resampling import (
    CONFIDENCE,
    Floats,
    Ints,
    checked,
    checked_labels,
    cluster_index,
    cluster_sums,
    equal_mass,
    percentiles,
    resampled_sums,
)

BINS = 10
_SIMULATIONS = 200
_SEED = 20250514


@dataclass(frozen=True, slots=True)
class Bin:
    """Rows of about the same probability.

    Attributes:
        low: smallest probability.
        high: largest.
        n: rows.
        mean_probability: what the model expects.
        rate: the observed share of positives, with its interval.
    """

    low: float
    high: float
    n: int
    mean_probability: float
    rate: Interval

    @property
    def ratio(self) -> float | None:
        """Expected over observed; None where nothing was observed."""
        return self.mean_probability / self.rate.estimate if self.rate.estimate else None


@dataclass(frozen=True, slots=True)
class Calibration:
    """How well probabilities fit what happened.

    Attributes:
        n: rows.
        base_rate: share of positives.
        mean_probability: over all rows; equal to the base rate when calibrated in the large.
        ece: expected calibration error.
        ece_if_calibrated: mean and 95 % quantile of the ECE that a perfectly calibrated model would have on these rows.
        brier: Brier score.
        brier_skill: against the base rate for every row; unknown where one class is missing.
        bins: lowest probabilities first.
    """

    n: int
    base_rate: Interval
    mean_probability: float
    ece: Interval
    ece_if_calibrated: tuple[float, float]
    brier: Interval
    brier_skill: Interval
    bins: tuple[Bin, ...]


def calibration(
    probabilities: Sequence[float],
    labels: Sequence[int],
    bins: int = BINS,
    confidence: float = CONFIDENCE,
    clusters: Sequence[Hashable] | None = None,
    binning: Callable[[Floats, int], Ints] = equal_mass,
) -> Calibration:
    """Calibration of probabilities against labels.

    Args:
        probabilities: in [0, 1], [n]; n ≥ 1.
        labels: 1 or 0, [n].
        bins: how many.
        confidence: level in (0, 1).
        clusters: e.g. the user of each row, [n]; None: all different.
        binning: `equal_mass` or `equal_width` of `cgpo.statistics.resampling`.

    Raises:
        ValueError: nothing to measure, or a value out of range.
    """
    p = checked(probabilities, "probabilities")
    if not len(p) or p.min() < 0 or p.max() > 1:
        raise ValueError("there must be a probability, and all within [0, 1]")
    y = checked_labels(labels, len(p))
    index, place = cluster_index(len(p), clusters), binning(p, bins)
    keys = index.tolist()
    perfect = _if_calibrated(p, place)
    return Calibration(
        n=len(p),
        base_rate=responses_rate(y.tolist(), keys, confidence),
        mean_probability=float(p.mean()),
        ece=_ece(p - y, place, index, perfect[1], confidence),
        ece_if_calibrated=perfect,
        brier=mean_interval(((p - y) ** 2).tolist(), confidence, keys),
        brier_skill=_skill(p, y, confidence, keys),
        bins=tuple(_bin(p[place == b], y[place == b], index[place == b], confidence) for b in range(place.max() + 1)),
    )


def _skill(p: Floats, y: Floats, confidence: float, keys: Sequence[Hashable]) -> Interval:
    """By how much the squared error is below the base rate's, as a share of it; the base rate is taken as known."""
    rate = float(y.mean())
    if rate in (0.0, 1.0):
        return Interval(None, None, None, len(p))
    gains = ((y - rate) ** 2 - (p - y) ** 2) / (rate * (1 - rate))
    return mean_interval(gains.tolist(), confidence, keys)


def _bin(p: Floats, y: Floats, index: Ints, confidence: float) -> Bin:
    rate = responses_rate(y.tolist(), index.tolist(), confidence)
    return Bin(float(p.min()), float(p.max()), len(p), float(p.mean()), rate)


def _ece(gaps: Floats, place: Ints, index: Ints, by_chance: float, confidence: float) -> Interval:
    n = len(gaps)
    columns = np.zeros((n, int(place.max()) + 2))
    columns[np.arange(n), place] = gaps
    columns[:, -1] = 1
    sums = cluster_sums(columns, index)
    ece = float(np.abs(sums.sum(axis=0)[:-1]).sum() / n)
    if len(sums) == 1:
        return Interval(ece, None, None, n)
    totals = resampled_sums(sums)
    resampled = np.abs(totals[:, :-1]).sum(axis=1) / totals[:, -1]
    low, high = (bound - float(resampled.mean()) for bound in percentiles(resampled, confidence))
    return Interval(ece, 0.0 if ece <= by_chance else max(0.0, ece + low), min(1.0, ece + high), n)


def _if_calibrated(p: Floats, place: Ints) -> tuple[float, float]:
    generator = np.random.default_rng(_SEED)
    errors = [
        np.abs(np.bincount(place, weights=p - (generator.random(len(p)) < p))).sum() / len(p)
        for _ in range(_SIMULATIONS)
    ]
    return float(np.mean(errors)), float(np.quantile(errors, 0.95))
