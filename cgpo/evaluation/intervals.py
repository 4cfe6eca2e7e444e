"""Intervals beside the numbers of an evaluation.

| quantity | interval |
|---|---|
| rate | Wilson's score interval |
| change of a rate, paired by prompt | Newcombe 1998 (Statistics in Medicine 17, 2635–2650), method 10: Wilson's intervals of the two rates, combined with the correlation of the pairs |
| mean, and change of a mean, paired | percentile bootstrap over prompts, seeded |

The bootstrap is not used for rates: with 60 prompts of which none changed, every resample says "no change" and its
interval is a point.
"""  # noqa: E501 - a table row cannot be broken

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

RESAMPLES = 4000
_SEED = 20240930
_CHUNK = 2_000_000


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with its bounds; None where n is too small to have one.

    Attributes:
        estimate: the rate, the mean or the change (after − before).
        low: lower bound.
        high: upper bound.
        n: prompts it rests on.
    """

    estimate: float | None
    low: float | None
    high: float | None
    n: int


def rate_interval(count: int, n: int, confidence: float) -> Interval:
    """Wilson's score interval of count / n.

    Args:
        count: successes, 0 … n.
        n: trials; 0 gives no estimate.
        confidence: level in (0, 1), e.g. 0.95.
    """
    if not 0 <= count <= n:
        raise ValueError(f"count {count} is not between 0 and n = {n}")
    if n == 0:
        return Interval(None, None, None, 0)
    z = _quantile(confidence)
    p = count / n
    scale = 1 + z * z / n
    centre = (p + z * z / (2 * n)) / scale
    half = z / scale * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    # At 0 and n the bound is exactly 0 or 1; rounding must not put the rate outside of its own interval.
    return Interval(p, 0.0 if count == 0 else centre - half, 1.0 if count == n else centre + half, n)


def rate_change(before: Sequence[bool], after: Sequence[bool], confidence: float) -> Interval:
    """Change of a rate on the same prompts, after − before (Newcombe 1998, method 10).

    Args:
        before: whether each prompt's response was a success, [n].
        after: the same prompts in the same order, [n].
        confidence: level in (0, 1).
    """
    pairs = list(zip(before, after, strict=True))
    n = len(pairs)
    if n == 0:
        return Interval(None, None, None, 0)
    first = rate_interval(sum(before), n, confidence)
    second = rate_interval(sum(after), n, confidence)
    p1, low1, high1 = _known(first)
    p2, low2, high2 = _known(second)
    phi = _correlation(sum(b and a for b, a in pairs), sum(before), sum(after), n)
    change = p2 - p1
    down = _combined(p2 - low2, high1 - p1, phi)
    up = _combined(high2 - p2, p1 - low1, phi)
    return Interval(change, change - down, change + up, n)


def mean_interval(values: Sequence[float], confidence: float) -> Interval:
    """Mean with its percentile bootstrap interval (4,000 resamples, always the same ones for the same n).

    Args:
        values: finite numbers, one a prompt. One value alone has a mean but no interval.
        confidence: level in (0, 1).
    """
    import numpy as np

    n = len(values)
    if n == 0:
        return Interval(None, None, None, 0)
    data = np.asarray(values, dtype=np.float64)
    if n == 1:
        return Interval(float(data[0]), None, None, 1)
    generator = np.random.default_rng(_SEED)
    means = np.empty(RESAMPLES)
    rows = max(1, _CHUNK // n)
    for start in range(0, RESAMPLES, rows):
        size = (min(rows, RESAMPLES - start), n)
        means[start : start + size[0]] = data[generator.integers(0, n, size=size)].mean(axis=1)
    tail = (1 - confidence) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return Interval(float(data.mean()), float(low), float(high), n)


def mean_change(before: Sequence[float], after: Sequence[float], confidence: float) -> Interval:
    """Change of a mean on the same prompts, after − before: the bootstrap interval of the differences.

    Args:
        before: one finite number a prompt, [n].
        after: the same prompts in the same order, [n].
        confidence: level in (0, 1).
    """
    return mean_interval([a - b for b, a in zip(before, after, strict=True)], confidence)


def _quantile(confidence: float) -> float:
    return NormalDist().inv_cdf((1 + confidence) / 2)


def _known(interval: Interval) -> tuple[float, float, float]:
    assert interval.estimate is not None
    assert interval.low is not None
    assert interval.high is not None
    return interval.estimate, interval.low, interval.high


def _combined(a: float, b: float, phi: float) -> float:
    return math.sqrt(max(0.0, a * a - 2 * phi * a * b + b * b))


def _correlation(both: int, before: int, after: int, n: int) -> float:
    """φ of the 2 × 2 table of pairs, with Newcombe's continuity correction of a positive numerator."""
    product = before * (n - before) * after * (n - after)
    if product == 0:
        return 0.0
    neither = n - before - after + both
    numerator: float = both * neither - (before - both) * (after - both)
    if numerator > 0:
        numerator = max(0.0, numerator - n / 2)
    return numerator / math.sqrt(product)
