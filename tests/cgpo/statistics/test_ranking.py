"""AUROC against pair counting, scikit-learn and DeLong's formula written out."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cgpo.statistics.intervals import rate_interval
from cgpo.statistics.ranking import auroc


def pairs(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """ψ(x_i, y_j) of DeLong 1988: 1, ½ or 0, [m, n]."""
    x, y = scores[labels == 1], scores[labels == 0]
    return (x[:, None] > y[None]) + 0.5 * (x[:, None] == y[None])


def test_a_hand_worked_case() -> None:
    # positives 3 and 1, negatives 2 and 0: 3 beats both, 1 beats one of two: 3 of 4 pairs.
    assert auroc([3, 1, 2, 0], [1, 1, 0, 0]).estimate == 0.75
    # All equal: every pair is a tie.
    assert auroc([5, 5, 5], [1, 0, 0]).estimate == 0.5


def test_the_interval_is_delongs_on_the_logit() -> None:
    stats = pytest.importorskip("scipy.stats")
    generator = np.random.default_rng(1)
    labels = (generator.random(300) < 0.3).astype(int)
    scores = np.round(generator.normal(size=300) + labels, 1)  # rounded: many ties
    psi = pairs(scores, labels)
    area = psi.mean()
    m, n = psi.shape
    variance = psi.mean(axis=1).var(ddof=1) / m + psi.mean(axis=0).var(ddof=1) / n
    half = stats.t.ppf(0.975, min(m, n) - 1) * math.sqrt(variance) / (area * (1 - area))
    centre = math.log(area / (1 - area))
    found = auroc(scores.tolist(), labels.tolist())
    assert found.estimate == pytest.approx(area, abs=1e-12)
    assert found.low == pytest.approx(1 / (1 + math.exp(half - centre)), abs=1e-9)
    assert found.high == pytest.approx(1 / (1 + math.exp(-half - centre)), abs=1e-9)
    assert found.n == 300


def test_it_is_scikit_learns_number() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    generator = np.random.default_rng(2)
    labels = (generator.random(1000) < 0.02).astype(int)
    scores = np.round(generator.normal(size=1000) + 0.7 * labels, 2)
    assert auroc(scores.tolist(), labels.tolist()).estimate == pytest.approx(metrics.roc_auc_score(labels, scores))


def test_perfect_order_has_an_interval_that_is_no_point() -> None:
    found = auroc([0.0] * 50 + [1.0] * 5, [0] * 50 + [1] * 5)
    assert (found.estimate, found.high) == (1.0, 1.0)
    assert found.low == rate_interval(5, 5, 0.95).low


def test_one_class_only_is_unknown() -> None:
    found = auroc([1, 2, 3], [0, 0, 0])
    assert (found.estimate, found.low, found.high, found.n) == (None, None, None, 3)


def test_doubled_rows_of_a_user_are_no_more_evidence() -> None:
    generator = np.random.default_rng(3)
    labels = (generator.random(200) < 0.4).astype(int).tolist()
    scores = (generator.normal(size=200) + np.asarray(labels)).tolist()
    once = auroc(scores, labels)
    users = [f"user {i}" for i in range(200)]
    twice = auroc([*scores, *scores], [*labels, *labels], clusters=[*users, *users])
    naive = auroc([*scores, *scores], [*labels, *labels])
    assert twice.estimate == pytest.approx(once.estimate)
    assert twice.low == pytest.approx(once.low, abs=1e-12)
    assert once.low is not None
    assert naive.low is not None
    assert naive.low > once.low + 0.01


def test_the_clustered_interval_is_about_that_of_a_bootstrap_over_users() -> None:
    generator = np.random.default_rng(4)
    users = np.repeat(np.arange(60), 10)
    taste = generator.normal(size=60)[users]  # a user's rows go up or down together
    scores = generator.normal(size=600) + taste
    labels = (generator.random(600) < 1 / (1 + np.exp(2 - taste - 0.5 * scores))).astype(int)
    found = auroc(scores.tolist(), labels.tolist(), clusters=users.tolist())
    areas = []
    for _ in range(400):
        rows = np.concatenate([np.flatnonzero(users == u) for u in generator.integers(0, 60, 60)])
        areas.append(pairs(scores[rows], labels[rows]).mean())
    low, high = np.quantile(areas, [0.025, 0.975])
    assert found.low == pytest.approx(low, abs=0.02)
    assert found.high == pytest.approx(high, abs=0.02)


def test_scores_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="1 of 2 are not finite"):
        auroc([math.nan, 1.0], [0, 1])
    with pytest.raises(ValueError, match="0 or 1"):
        auroc([0.0, 1.0], [0, 2])


Rows = st.lists(st.tuples(st.integers(-50, 50), st.integers(0, 1)), min_size=2, max_size=60)


@settings(max_examples=60, deadline=None)
@given(Rows)
def test_only_the_order_counts_and_turning_it_round_mirrors(rows: list[tuple[int, int]]) -> None:
    scores, labels = [float(s) for s, _ in rows], [label for _, label in rows]
    found = auroc(scores, labels)
    assert auroc([math.exp(s / 10) for s in scores], labels) == found
    mirrored = auroc([-s for s in scores], labels)
    if found.estimate is None:
        assert mirrored.estimate is None
        return
    assert found.low is not None
    assert found.high is not None
    assert found.low - 1e-12 <= found.estimate <= found.high + 1e-12
    assert mirrored.estimate == pytest.approx(1 - found.estimate)
    assert mirrored.low == pytest.approx(1 - found.high)
    assert mirrored.high == pytest.approx(1 - found.low)
