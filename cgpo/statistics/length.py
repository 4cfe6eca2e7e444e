"""Does a score reward length, and would length alone do as well? Lengths are in characters, or whatever is counted."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from cgpo.statistics.correlation import pearson, spearman
from cgpo.statistics.intervals import Interval, responses_rate
from cgpo.statistics.ranking import auroc
from cgpo.statistics.resampling import CONFIDENCE, checked, cluster_index, equal_mass

BUCKETS = 4


@dataclass(frozen=True, slots=True)
class LengthBucket:
    """Rows, or pairs, of about the same length.

    Attributes:
        name: in words.
        n: rows or pairs.
        agreement: AUROC, or share of pairs in the right order, within the bucket.
    """

    name: str
    n: int
    agreement: Interval


@dataclass(frozen=True, slots=True)
class LengthReport:
    """The part of length in a score.

    Attributes:
        measure: what agreement is: `auroc` of labels, or `accuracy` on pairs.
        pearson: of score and length.
        spearman: of score and length.
        model: agreement of the score.
        alone: agreement of length alone, in its better direction.
        direction: which: `longer` or `shorter` is better.
        buckets: agreement where lengths are alike.
    """

    measure: Literal["auroc", "accuracy"]
    pearson: Interval
    spearman: Interval
    model: Interval
    alone: Interval
    direction: Literal["longer", "shorter"]
    buckets: tuple[LengthBucket, ...]


def length_report(
    scores: Sequence[float],
    lengths: Sequence[float],
    labels: Sequence[int],
    confidence: float = CONFIDENCE,
    clusters: Sequence[Hashable] | None = None,
) -> LengthReport:
    """Length and a pointwise score.

    Args:
        scores: finite, [n].
        lengths: of the responses, [n].
        labels: 1 or 0, [n].
        confidence: level in (0, 1).
        clusters: e.g. the user of each row, [n]; None: all different.

    Raises:
        ValueError: a value is not finite, or a label neither 0 nor 1.
    """
    sizes = checked(lengths, "lengths")
    model = auroc(scores, labels, confidence, clusters)
    longer = auroc(lengths, labels, confidence, clusters)
    shorter = auroc((-sizes).tolist(), labels, confidence, clusters)
    place = equal_mass(sizes, BUCKETS) if len(sizes) else np.zeros(0, np.int64)
    buckets = []
    for number in range(int(place.max(initial=-1)) + 1):
        rows = np.flatnonzero(place == number).tolist()
        keys = None if clusters is None else [clusters[i] for i in rows]
        area = auroc([scores[i] for i in rows], [labels[i] for i in rows], confidence, keys)
        buckets.append(LengthBucket(_range(sizes[rows]), len(rows), area))
    correlations = (pearson(scores, lengths, confidence, clusters), spearman(scores, lengths, confidence, clusters))
    return _report("auroc", correlations, model, (longer, shorter), buckets)


def pair_length_report(
    chosen: Sequence[float],
    rejected: Sequence[float],
    chosen_lengths: Sequence[float],
    rejected_lengths: Sequence[float],
    confidence: float = CONFIDENCE,
    clusters: Sequence[Hashable] | None = None,
) -> LengthReport:
    """Length and the scores of preference pairs.

    Args:
        chosen: scores of the better responses, finite, [n].
        rejected: scores of the worse ones, [n].
        chosen_lengths: lengths of the better responses, [n].
        rejected_lengths: lengths of the worse ones, [n].
        confidence: level in (0, 1).
        clusters: e.g. the prompt of each pair, [n]; None: all different.

    Raises:
        ValueError: a value is not finite.
    """
    right = pair_order(chosen, rejected)
    longer = pair_order(chosen_lengths, rejected_lengths)
    keys = cluster_index(len(right), clusters).tolist()

    def rate(values: Sequence[float], rows: Sequence[int]) -> Interval:
        if not rows:
            return Interval(None, None, None, 0)
        return responses_rate([values[i] for i in rows], [keys[i] for i in rows], confidence)

    every = list(range(len(right)))
    names = ["chosen shorter (< 0.8 ×)", "about as long", "chosen longer (> 1.25 ×)"]
    side = [_side(a, b) for a, b in zip(chosen_lengths, rejected_lengths, strict=True)]
    members = [[i for i in every if side[i] == number] for number in range(3)]
    buckets = [LengthBucket(n, len(rows), rate(right, rows)) for n, rows in zip(names, members, strict=True)]
    flat = ([*chosen, *rejected], [*chosen_lengths, *rejected_lengths], confidence, [*keys, *keys])
    directions = (rate(longer, every), rate([1 - v for v in longer], every))
    return _report("accuracy", (pearson(*flat), spearman(*flat)), rate(right, every), directions, buckets)


def pair_order(chosen: Sequence[float], rejected: Sequence[float]) -> list[float]:
    """1 where the chosen response has the larger number, 0 where the smaller, 0.5 where equal.

    Raises:
        ValueError: a number is not finite, or there are not as many of one as of the other.
    """
    first, second = checked(chosen, "chosen"), checked(rejected, "rejected")
    if len(first) != len(second):
        raise ValueError(f"{len(first)} chosen and {len(second)} rejected cannot be paired")
    order: list[float] = ((np.sign(first - second) + 1) / 2).tolist()
    return order


def _side(chosen: float, rejected: float) -> int:
    if chosen * 1.25 < rejected:
        return 0
    return 2 if chosen > rejected * 1.25 else 1


def _range(sizes: np.typing.NDArray[np.float64]) -> str:
    low, high = sizes.min(), sizes.max()
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"


def _report(
    measure: Literal["auroc", "accuracy"],
    correlations: tuple[Interval, Interval],
    model: Interval,
    directions: tuple[Interval, Interval],
    buckets: Sequence[LengthBucket],
) -> LengthReport:
    longer, shorter = directions
    reverse = (shorter.estimate or 0.0) > (longer.estimate or 0.0)
    alone = shorter if reverse else longer
    direction: Literal["longer", "shorter"] = "shorter" if reverse else "longer"
    return LengthReport(measure, *correlations, model, alone, direction, tuple(buckets))
