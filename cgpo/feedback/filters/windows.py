"""Windows of time in which a unit (a user, a text) has far more positive reactions than its rows there explain.

For each window [t, t + width] that begins at a positive reaction: of the unit's rows in it, m, k are positive. Without
an attack k is about Poisson with mean

    λ = m · max(p₀, (K − k + S·p₀) / (M − m + S))

where p₀ is the population's rate, K of the unit's M rows are positive, and S = 100 rows stand for the population where
the unit has few others (so that a second attack does not excuse the first). Conditional on m: people come in sessions,
so that many rows in little time mean nothing. The window counts when P(X ≥ k) times the number of windows looked at
(Bonferroni) is below the significance.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cgpo.feedback.preparation.table import Ints

PRIOR_ROWS = 100.0


@dataclass(frozen=True, slots=True)
class Window:
    """An excess.

    Attributes:
        unit: which unit.
        rows: places of its rows within the window, [m].
        positives: k.
        expected: λ.
        tail: P(X ≥ k), times the number of windows looked at, at most 1.
    """

    unit: int
    rows: Ints
    positives: int
    expected: float
    tail: float


def excess_windows(
    units: Ints, time: npt.NDArray[np.float64], label: Ints, *, width: float, rate: float, least: int, level: float
) -> list[Window]:
    """Windows with an excess, those of a unit in order of time; they may overlap.

    Args:
        units: unit of each row, negative: none, [N].
        time: seconds, [N].
        label: 0 or 1, [N].
        width: seconds.
        rate: p₀.
        least: positive reactions a window must have.
        level: significance after Bonferroni.
    """
    from scipy.stats import poisson

    spans = list(_spans(units, time, label, least))
    looked_at = sum(int(label[rows].sum()) for _, rows in spans)
    found: list[Window] = []
    for unit, rows in spans:
        for inside, count, expected in _windows(rows, time, label, width, rate):
            if count < least:
                continue
            tail = min(1.0, float(poisson.sf(count - 1, expected)) * looked_at)
            if tail < level:
                found.append(Window(unit, inside, count, expected, tail))
    return found


def _spans(units: Ints, time: npt.NDArray[np.float64], label: Ints, least: int) -> list[tuple[int, Ints]]:
    """The rows of each unit with enough positives, in order of time."""
    order = np.lexsort((time, units))
    order = order[units[order] >= 0]
    if not len(order):
        return []
    ordered = units[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    positives = np.add.reduceat(label[order], starts)
    ends = np.r_[starts[1:], len(order)]
    return [
        (int(ordered[start]), order[start:end])
        for start, end, count in zip(starts, ends, positives, strict=True)
        if count >= least
    ]


def _windows(
    rows: Ints, time: npt.NDArray[np.float64], label: Ints, width: float, rate: float
) -> list[tuple[Ints, int, float]]:
    """Rows, positives and expected positives of each window of a unit."""
    times, labels = time[rows], label[rows]
    before = np.r_[0, np.cumsum(labels)]
    starts = np.flatnonzero(labels)
    ends = np.searchsorted(times, times[starts] + width, side="right")
    found = []
    for start, end in zip(starts, ends, strict=True):
        count, inside = int(before[end] - before[start]), int(end - start)
        outside = (before[-1] - count + PRIOR_ROWS * rate) / (len(rows) - inside + PRIOR_ROWS)
        found.append((rows[start:end], count, inside * max(rate, float(outside))))
    return found
