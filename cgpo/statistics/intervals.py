"""Intervals beside the numbers of an evaluation.

| quantity | interval |
|---|---|
| rate | Wilson's score interval |
| change of a rate, paired by prompt | Newcombe 1998 (Statistics in Medicine 17, 2635–2650), method 10: Wilson's intervals of the two rates, combined with the correlation of the pairs |
| mean, and change of a mean, paired | percentile bootstrap over prompts, seeded |
| rate, or its change, with several responses to a prompt | percentile bootstrap over prompts, seeded |

Responses to one prompt resemble each other, so with several of them prompts are what is resampled, each with all its
responses. For rates with one response to a prompt the bootstrap is not used: with 60 prompts of which none changed,
every resample says "no change" and its interval is a point. Where that happens with several responses (all prompts say
the same), Wilson's or Newcombe's interval over prompts, one response of each, takes its place: wide, but honest.
"""  # noqa: E501 - a table row cannot be broken

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

_RESAMPLES = 4000
_SEED = 20240930


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with its bounds; None where n is too small to have one.

    Attributes:
        estimate: the rate, the mean or the change (after − before).
        low: lower bound.
        high: upper bound.
        n: responses (of a change, pairs of them) it rests on.
    """

    estimate: float | None
    low: float | None
    high: float | None
    n: int


def rate_interval(count: float, n: int, confidence: float) -> Interval:
    """Wilson's score interval of count / n.

    Args:
        count: successes, 0 … n. Halves (ties) may be among them: what is counted then varies less than a yes or no of
            the same mean, so the interval errs on the wide side.
        n: trials; 0 gives no estimate.
        confidence: level in (0, 1), e.g. 0.95.
    """
    if not 0 <= count <= n:
        raise ValueError(f"count {count} is not between 0 and n = {n}")
    if n == 0:
        return Interval(None, None, None, 0)
    z = normal_quantile(confidence)
    p = count / n
    scale = 1 + z * z / n
    centre = (p + z * z / (2 * n)) / scale
    half = z / scale * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    # At 0 and n the bound is exactly 0 or 1; rounding must not put the rate outside of its own interval.
    return Interval(p, 0.0 if count == 0 else centre - half, 1.0 if count == n else centre + half, n)


def responses_rate(values: Sequence[float], prompts: Sequence[Hashable], confidence: float) -> Interval:
    """A rate over responses: Wilson's interval, or the bootstrap over prompts where a prompt has several.

    Args:
        values: 1 (success), 0, or 0.5 (a tie) of each response, [n].
        prompts: the prompt of each, [n].
        confidence: level in (0, 1).
    """
    distinct = len(set(prompts))
    if distinct == len(values):
        return rate_interval(sum(values), len(values), confidence)
    if len(set(values)) > 1 and distinct > 1:
        bootstrap = mean_interval(values, confidence, prompts)
        if bootstrap.low != bootstrap.high:
            return bootstrap
    rate = sum(values) / len(values)
    over_prompts = rate_interval(rate * distinct, distinct, confidence)
    return Interval(rate, over_prompts.low, over_prompts.high, len(values))


def rate_change(
    before: Sequence[bool], after: Sequence[bool], confidence: float, prompts: Sequence[Hashable] | None = None
) -> Interval:
    """Change of a rate on the same prompts, after − before.

    Args:
        before: whether each response was a success, [n].
        after: the same prompts in the same order, [n].
        confidence: level in (0, 1).
        prompts: the prompt of each pair, [n]; None: all different.
    """
    pairs = list(zip(before, after, strict=True))
    if prompts is None or len(set(prompts)) == len(pairs):
        return _newcombe(pairs, confidence)
    differences = [float(a) - float(b) for b, a in pairs]
    if len(set(differences)) > 1 and len(set(prompts)) > 1:
        bootstrap = mean_interval(differences, confidence, prompts)
        if bootstrap.low != bootstrap.high:
            return bootstrap
    firsts = dict(reversed(list(zip(prompts, pairs, strict=True))))
    over_prompts = _newcombe(list(firsts.values()), confidence)
    mean = sum(differences) / len(differences)
    low, high = over_prompts.low, over_prompts.high
    assert low is not None
    assert high is not None
    return Interval(mean, min(low, mean), max(high, mean), len(pairs))


def _newcombe(pairs: Sequence[tuple[bool, bool]], confidence: float) -> Interval:
    """Newcombe 1998, method 10, of pairs (before, after)."""
    n = len(pairs)
    if n == 0:
        return Interval(None, None, None, 0)
    before, after = sum(b for b, _ in pairs), sum(a for _, a in pairs)
    p1, low1, high1 = _known(rate_interval(before, n, confidence))
    p2, low2, high2 = _known(rate_interval(after, n, confidence))
    phi = _correlation(sum(b and a for b, a in pairs), before, after, n)
    change = p2 - p1
    down = _combined(p2 - low2, high1 - p1, phi)
    up = _combined(high2 - p2, p1 - low1, phi)
    return Interval(change, change - down, change + up, n)


def mean_interval(values: Sequence[float], confidence: float, prompts: Sequence[Hashable] | None = None) -> Interval:
    """Mean with its percentile bootstrap interval (4,000 resamples, always the same ones for as many prompts).

    Args:
        values: finite numbers, one a response. Those of a single prompt have a mean but no interval.
        confidence: level in (0, 1).
        prompts: the prompt of each; prompts are resampled, each with all its responses. None: all different.
    """
    import numpy as np

    from cgpo.statistics.resampling import cluster_index

    n = len(values)
    if n == 0:
        return Interval(None, None, None, 0)
    data, cluster = np.asarray(values, dtype=np.float64), cluster_index(n, prompts)
    bounds = ratio_interval(np.bincount(cluster, weights=data).tolist(), np.bincount(cluster).tolist(), confidence)
    return Interval(float(data.mean()), bounds.low, bounds.high, n)


def ratio_interval(numerators: Sequence[float], denominators: Sequence[float], confidence: float) -> Interval:
    """Σ numerators / Σ denominators with its percentile bootstrap interval: pairs of the two are resampled.

    Args:
        numerators: [n].
        denominators: positive, [n]. One pair alone has a ratio but no interval.
        confidence: level in (0, 1).
    """
    import numpy as np

    from cgpo.statistics.resampling import percentiles, resampled_ratios

    n = len(numerators)
    if n == 0:
        return Interval(None, None, None, 0)
    a, b = np.asarray(numerators, dtype=np.float64), np.asarray(denominators, dtype=np.float64)
    estimate = float(a.sum() / b.sum())
    if n == 1:
        return Interval(estimate, None, None, 1)
    return Interval(estimate, *percentiles(resampled_ratios(a, b, _RESAMPLES, _SEED), confidence), n)


def mean_change(
    before: Sequence[float],
    after: Sequence[float],
    confidence: float,
    prompts: Sequence[Hashable] | None = None,
) -> Interval:
    """Change of a mean on the same prompts, after − before: the bootstrap interval of the differences.

    Args:
        before: one finite number a response, [n].
        after: the same prompts in the same order, [n].
        confidence: level in (0, 1).
        prompts: as in `mean_interval`.
    """
    return mean_interval([a - b for b, a in zip(before, after, strict=True)], confidence, prompts)


def normal_quantile(confidence: float) -> float:
    """z with P(|Z| ≤ z) = confidence."""
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
