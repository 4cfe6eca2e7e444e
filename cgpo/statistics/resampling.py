"""The bootstrap over clusters of rows (all rows of a user, say), by the clusters' sums alone."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

CONFIDENCE = 0.95
"""Level of intervals where none is asked for."""

RESAMPLES = 2000
_SEED = 20250514
_DRAWN_AT_ONCE = 2_000_000

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def cluster_index(n: int, clusters: Sequence[Hashable] | None) -> Ints:
    """Number of the cluster of each row, 0 …, [n]. Rows whose cluster is None, and all rows without clusters, stand
    alone."""
    if clusters is None:
        return np.arange(n, dtype=np.int64)
    if len(clusters) != n:
        raise ValueError(f"{len(clusters)} clusters for {n} rows")
    order: dict[Hashable, int] = {}
    keys = (("row", i) if c is None else ("cluster", c) for i, c in enumerate(clusters))
    return np.asarray([order.setdefault(key, len(order)) for key in keys], dtype=np.int64)


def cluster_sums(columns: Floats, index: Ints) -> Floats:
    """Sums over each cluster: [n, K] and [n] → [C, K]."""
    sums = np.zeros((int(index.max()) + 1, columns.shape[1]))
    np.add.at(sums, index, columns)
    return sums


def resampled_sums(sums: Floats, resamples: int = RESAMPLES) -> Floats:
    """Totals over as many clusters as there are, drawn with replacement, always the same draws: [C, K] → [R, K]."""
    n = len(sums)
    totals = np.empty((resamples, sums.shape[1]))
    for start, drawn in _draws(n, resamples, _SEED):
        for row, clusters in enumerate(drawn, start):
            totals[row] = np.bincount(clusters, minlength=n) @ sums
    return totals


def resampled_ratios(numerators: Floats, denominators: Floats, resamples: int, seed: int) -> Floats:
    """Σ numerators / Σ denominators over as many clusters as there are, drawn with replacement: [C] twice → [R]."""
    ratios = np.empty(resamples)
    for start, drawn in _draws(len(numerators), resamples, seed):
        ratios[start : start + len(drawn)] = numerators[drawn].sum(axis=1) / denominators[drawn].sum(axis=1)
    return ratios


def _draws(n: int, resamples: int, seed: int) -> Iterator[tuple[int, Ints]]:
    """The clusters of each resample, a part of the resamples at a time: the number of its first, and [r, n]."""
    generator = np.random.default_rng(seed)
    rows = max(1, _DRAWN_AT_ONCE // n)
    for start in range(0, resamples, rows):
        yield start, generator.integers(0, n, size=(min(rows, resamples - start), n))


def percentiles(values: Floats, confidence: float) -> tuple[float, float]:
    """The central interval of resampled values; those that are not finite are left out."""
    tail = (1 - confidence) / 2
    low, high = np.quantile(values[np.isfinite(values)], [tail, 1 - tail])
    return float(low), float(high)


def checked(values: Sequence[float], what: str) -> Floats:
    """The values as an array.

    Raises:
        ValueError: one is not finite.
    """
    array = np.asarray(values, dtype=np.float64)
    if not np.isfinite(array).all():
        raise ValueError(f"{what}: {int((~np.isfinite(array)).sum())} of {len(array)} are not finite")
    return array


def checked_labels(labels: Sequence[int], n: int) -> Floats:
    """Labels as 0.0 and 1.0, [n].

    Raises:
        ValueError: another value, or another number of them.
    """
    array = np.asarray(labels, dtype=np.float64)
    if len(array) != n or not np.isin(array, (0.0, 1.0)).all():
        raise ValueError(f"labels must be {n} times 0 or 1")
    return array


def midranks(values: Floats) -> Floats:
    """Ranks from 1 on, equal values sharing the mean of theirs, [n]."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks: Floats = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    return ranks


def equal_mass(values: Floats, bins: int) -> Ints:
    """Bin of each value, 0 …, [n]: about as many values in each, equal values never parted (so there may be fewer)."""
    raw = np.floor((midranks(values) - 0.5) / len(values) * bins)
    return np.unique(raw, return_inverse=True)[1].astype(np.int64)


def equal_width(values: Floats, bins: int) -> Ints:
    """Bin of each value in [0, 1], 0 …, [n]: equal stretches of it, empty ones left out."""
    raw = np.minimum(np.floor(values * bins), bins - 1)
    return np.unique(raw, return_inverse=True)[1].astype(np.int64)
