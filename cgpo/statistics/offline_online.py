"""Does a score measured offline go with what policies reach online? Honest for few policies.

Two things make r uncertain: that there are only n policies (Fisher's z, standard error 1/√(n − 3); for Spearman
√((1 + ρ²/2)/(n − 3))), and that each policy's two numbers are themselves uncertain. The interval holds both:

    z = atanh r + (atanh r* − mean atanh r*) + N(0, 1/(n − 3))             (ρ = 1: see `correlation.py`)

with r* of the policies' numbers drawn anew (parametric bootstrap). It errs on the wide side, for part of the noise is
in the scatter that Fisher's z knows already. The p-value is of a permutation test, two-sided: of all orders of
the policies where there are few, else of drawn ones. Leaving out each policy in turn shows whether one carries it all.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np

from cgpo.statistics.correlation import FEWEST, correlation, largest_rank_correlation, pearson
from cgpo.statistics.intervals import Interval
from cgpo.statistics.resampling import CONFIDENCE, RESAMPLES, Floats, midranks, percentiles

CARRIES = 0.2
"""A policy carries the correlation when r is lower by more than this without it."""

_ALL_ORDERS = 8
"""Up to so many policies every order is tried (8! = 40,320)."""

_DRAWN_ORDERS = 20_000
_SEED = 20250514
_LARGEST = 1 - 1e-12


@dataclass(frozen=True, slots=True)
class OfflineOnline:
    """How two numbers of the same policies go together.

    Attributes:
        n: policies.
        pearson: with both kinds of uncertainty.
        spearman: likewise.
        pearson_exact_numbers: Pearson with Fisher's z alone, as if each policy's numbers were known exactly.
        p_value: two-sided permutation test of Pearson; None where r is unknown.
        p_value_exact: whether every order was tried.
        leave_one_out: r without each policy, [n]; None where it is unknown.
        carried_by: place of the policy without which r is lower by more than `CARRIES`, the worst one; or None.
    """

    n: int
    pearson: Interval
    spearman: Interval
    pearson_exact_numbers: Interval
    p_value: float | None
    p_value_exact: bool
    leave_one_out: tuple[float | None, ...]
    carried_by: int | None


def offline_online(
    offline: Sequence[float],
    online: Sequence[float],
    offline_draws: Floats,
    online_draws: Floats,
    confidence: float = CONFIDENCE,
) -> OfflineOnline:
    """Correlation over policies.

    Args:
        offline: each policy's mean score, [n].
        online: each policy's observed number, [n].
        offline_draws: the same as they might have come out, [R, n]; all equal where there is no uncertainty.
        online_draws: likewise, [R, n].
        confidence: level in (0, 1).

    Raises:
        ValueError: a number is not finite, or shapes do not fit.
    """
    exact = pearson(offline, online, confidence)
    x, y = np.asarray(offline, dtype=np.float64), np.asarray(online, dtype=np.float64)
    n, r = len(x), exact.estimate
    if offline_draws.shape[1:] != (n,) or offline_draws.shape != online_draws.shape:
        raise ValueError(f"draws of the shapes {offline_draws.shape} and {online_draws.shape} for {n} policies")
    ranks = midranks(x), midranks(y)
    rho = correlation(*ranks)
    largest = largest_rank_correlation(n)
    z = _fisher(offline_draws, online_draws, _LARGEST)
    rank_z = _fisher(_row_ranks(offline_draws), _row_ranks(online_draws), largest)
    without = tuple(correlation(np.delete(x, i), np.delete(y, i)) for i in range(n))
    p_value = None if r is None else _permutation(x, y, r)
    return OfflineOnline(
        n=n,
        pearson=_interval(r, n, z, 1.0, _LARGEST, confidence),
        spearman=_interval(rho, n, rank_z, 1 + (rho or 0.0) ** 2 / 2, largest, confidence),
        pearson_exact_numbers=exact,
        p_value=p_value,
        p_value_exact=n <= _ALL_ORDERS,
        leave_one_out=without,
        carried_by=_carrier(r, without),
    )


def _interval(r: float | None, n: int, draws: Floats, factor: float, largest: float, confidence: float) -> Interval:
    if r is None or n < FEWEST:
        return Interval(r, None, None, n)
    generator = np.random.default_rng(_SEED)
    centre = math.atanh(max(-largest, min(largest, r)))
    spread = draws - draws.mean() if len(draws) else np.zeros(RESAMPLES)
    sampled = centre + spread + generator.normal(scale=math.sqrt(factor / (n - 3)), size=len(spread))
    low, high = percentiles(np.tanh(sampled), confidence)
    return Interval(r, min(low, r), max(high, r), n)


def _fisher(x: Floats, y: Floats, largest: float) -> Floats:
    """atanh of the correlation of each row, those without variance left out: [R, n] twice → [≤ R]."""
    if x.shape[1] < FEWEST:
        return np.zeros(0)
    a, b = x - x.mean(axis=1, keepdims=True), y - y.mean(axis=1, keepdims=True)
    scale = np.sqrt((a * a).sum(axis=1) * (b * b).sum(axis=1))
    known = np.isfinite(scale) & (scale > 0)
    r = (a * b).sum(axis=1)[known] / scale[known]
    z: Floats = np.arctanh(np.clip(r, -largest, largest))
    return z


def _row_ranks(rows: Floats) -> Floats:
    from scipy.stats import rankdata

    ranks: Floats = rankdata(rows, axis=1)
    return ranks


def _permutation(x: Floats, y: Floats, r: float) -> float:
    """Share of the orders of y whose |r| is at least the observed one."""
    n = len(y)
    a, b = x - x.mean(), y - y.mean()
    scale = math.sqrt(float(a @ a) * float(b @ b))
    least = abs(r) - 1e-12
    if n <= _ALL_ORDERS:
        orders = np.array(list(permutations(range(n))))
        return float((np.abs(b[orders] @ a) / scale >= least).mean())
    generator = np.random.default_rng(_SEED)
    orders = generator.permuted(np.tile(np.arange(n), (_DRAWN_ORDERS, 1)), axis=1)
    extreme = int((np.abs(b[orders] @ a) / scale >= least).sum())
    return (extreme + 1) / (_DRAWN_ORDERS + 1)


def _carrier(r: float | None, without: Sequence[float | None]) -> int | None:
    known = [(value, place) for place, value in enumerate(without) if value is not None]
    if r is None or not known:
        return None
    lowest, place = min(known)
    return place if lowest < r - CARRIES else None
