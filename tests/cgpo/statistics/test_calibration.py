"""Calibration, lift and correlation against numbers by hand, numpy and scipy, and on simulated truth."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cgpo.statistics.calibration import calibration
from cgpo.statistics.correlation import _bootstrapped, pearson, spearman
from cgpo.statistics.intervals import rate_interval
from cgpo.statistics.lift import lift_by_decile
from cgpo.statistics.resampling import equal_mass, equal_width


def test_a_hand_worked_calibration() -> None:
    # Two bins of two: expected 0.15 and 0.7, observed 0 and 0.5: (2·0.15 + 2·0.2) / 4 = 0.175.
    found = calibration([0.1, 0.2, 0.6, 0.8], [0, 0, 1, 0], bins=2)
    assert [(b.low, b.high, b.n) for b in found.bins] == [(0.1, 0.2, 2), (0.6, 0.8, 2)]
    assert [b.mean_probability for b in found.bins] == pytest.approx([0.15, 0.7])
    assert found.ece.estimate == pytest.approx(0.175)
    # (0.01 + 0.04 + 0.16 + 0.64) / 4, and the base rate's: 0.25 · 0.75.
    assert found.brier.estimate == pytest.approx(0.2125)
    assert found.brier_skill.estimate == pytest.approx(1 - 0.2125 / 0.1875)
    assert found.bins[1].ratio == pytest.approx(1.4)
    assert found.bins[0].ratio is None
    low = rate_interval(1, 2, 0.95)
    assert (found.bins[1].rate.low, found.bins[1].rate.high) == (low.low, low.high)


def test_bins_of_equal_mass_do_not_part_equal_values() -> None:
    values = np.asarray([0.1] * 7 + [0.2, 0.3, 0.4])
    assert equal_mass(values, 5).tolist() == [0] * 7 + [1, 2, 2]
    assert equal_width(np.asarray([0.0, 0.05, 0.31, 1.0]), 10).tolist() == [0, 0, 1, 2]


def simulated(n: int, shift: float = 0.0) -> tuple[list[float], list[int]]:
    """Probabilities around 2 %, and labels of them moved by `shift` on the logit."""
    generator = np.random.default_rng(11)
    logits = generator.normal(size=n) - 4
    p = 1 / (1 + np.exp(-logits))
    true = 1 / (1 + np.exp(-logits - shift))
    return p.tolist(), (generator.random(n) < true).astype(int).tolist()


def test_true_probabilities_are_found_calibrated() -> None:
    found = calibration(*simulated(8_000))
    assert found.ece.low == 0
    assert found.ece.high is not None
    assert found.ece.high < 0.01
    assert found.ece.estimate is not None
    assert found.ece.estimate < found.ece_if_calibrated[1] * 1.5
    assert found.brier_skill.low is not None
    assert found.brier_skill.low > 0


def test_a_prior_that_was_not_undone_is_seen() -> None:
    """Trained at 10 % and read as it is at about 2.7 %: log odds too high by about 1.4, ECE well off 0."""
    found = calibration(*simulated(8_000, shift=-1.4))
    assert found.ece.low is not None
    assert found.ece.low > 0.01
    assert found.mean_probability > 2.5 * (found.base_rate.estimate or 1)


def test_one_class_has_no_skill_but_an_error() -> None:
    found = calibration([0.1, 0.2, 0.3], [0, 0, 0], bins=1)
    assert found.ece.estimate == pytest.approx(0.2)
    assert found.brier_skill.estimate is None


def test_rows_of_one_user_widen_the_interval() -> None:
    p, y = simulated(500)
    users = [i for i in range(500) for _ in range(4)]
    four_p, four_y = [v for v in p for _ in range(4)], [v for v in y for _ in range(4)]
    alone, together = calibration(four_p, four_y), calibration(four_p, four_y, clusters=users)
    assert together.base_rate.high is not None
    assert alone.base_rate.high is not None
    assert together.base_rate.high - (together.base_rate.low or 0) > 1.6 * (
        alone.base_rate.high - (alone.base_rate.low or 0)
    )


@pytest.mark.parametrize("bad", [[0.5, 1.5], [math.nan, 0.5], []])
def test_what_is_no_probability_is_refused(bad: list[float]) -> None:
    with pytest.raises(ValueError, match=r"within|finite"):
        calibration(bad, [0] * len(bad))


@settings(max_examples=40)
@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 1)), min_size=1, max_size=40))
def test_lift_weighs_up_to_one(rows: list[tuple[int, int]]) -> None:
    groups = lift_by_decile([float(s) for s, _ in rows], [label for _, label in rows])
    assert sum(g.n for g in groups) == len(rows)
    assert [g.low for g in groups] == sorted((g.low for g in groups), reverse=True)
    if sum(label for _, label in rows) == 0:
        assert all(g.lift.estimate is None for g in groups)
        return
    assert sum(g.n * (g.lift.estimate or 0) for g in groups) == pytest.approx(len(rows))
    assert groups[-1].captured == pytest.approx(1)


def test_the_best_tenth_by_hand() -> None:
    scores = [float(i) for i in range(100)]
    labels = [int(i >= 95 or i == 3) for i in range(100)]  # 6 positives, five of them on top
    groups = lift_by_decile(scores, labels)
    assert len(groups) == 10
    assert (groups[0].positives, groups[0].low, groups[0].high) == (5, 90.0, 99.0)
    assert groups[0].lift.estimate == pytest.approx(0.5 / 0.06)
    assert groups[0].captured == pytest.approx(5 / 6)


def test_correlations_are_scipys() -> None:
    stats = pytest.importorskip("scipy.stats")
    generator = np.random.default_rng(3)
    x = np.round(generator.normal(size=60), 1)
    y = x + generator.normal(size=60)
    expected = stats.pearsonr(x, y)
    found = pearson(x.tolist(), y.tolist())
    assert found.estimate == pytest.approx(expected.statistic)
    assert (found.low, found.high) == pytest.approx(tuple(expected.confidence_interval(0.95)))
    ranked = spearman(x.tolist(), y.tolist())
    assert ranked.estimate == pytest.approx(stats.spearmanr(x, y).statistic)
    half = 1.959963984540054 * math.sqrt((1 + (ranked.estimate or 0) ** 2 / 2) / 57)
    assert ranked.low == pytest.approx(math.tanh(math.atanh(ranked.estimate or 0) - half))


def test_correlation_of_tiny_and_of_constant_numbers() -> None:
    assert pearson([1e-200, 2e-200, 3e-200], [1e200, 2e200, 3e200]).estimate == pytest.approx(1)
    assert pearson([1.0, 1.0, 1.0], [1.0, 2.0, 3.0]).estimate is None
    assert pearson([1.0, 2.0], [1.0, 2.0]).estimate is None
    three = pearson([1.0, 2.0, 4.0], [1.0, 2.0, 3.0])
    assert three.estimate is not None
    assert (three.low, three.high) == (None, None)


def test_clustered_correlation_counts_users() -> None:
    generator = np.random.default_rng(8)
    x, y = generator.normal(size=50), generator.normal(size=50)
    users = np.repeat(np.arange(50), 5).tolist()
    many = pearson(np.repeat(x, 5).tolist(), np.repeat(y, 5).tolist(), clusters=users)
    few = pearson(x.tolist(), y.tolist())
    assert None not in (many.low, many.high, few.low, few.high)
    width, expected = (many.high or 0) - (many.low or 0), (few.high or 0) - (few.low or 0)
    assert width == pytest.approx(expected, rel=0.25)


def test_perfect_order_of_few_rows_has_an_interval_worked_out_by_hand() -> None:
    found = spearman([1.0, 2.0, 3.0, 4.0, 5.0], [1.0, 2.0, 3.0, 5.0, 8.0])
    # half way between 1 and 1 − 12/120: ρ = 0.95; standard error √((1 + 1/2)/2)
    expected = math.tanh(math.atanh(0.95) - 1.959963984540054 * math.sqrt(0.75))
    assert (found.estimate, found.low, found.high) == (pytest.approx(1.0), pytest.approx(expected), pytest.approx(1.0))


def test_resamples_that_do_not_vary_have_no_correlation() -> None:
    """Four users whose rows are alike: one resample in 64 is a single user's, and its variance is rounding alone."""
    for seed in range(20):
        generator = np.random.default_rng(seed)
        index = np.repeat(np.arange(4), 7)
        x, y = 3 + generator.normal(size=4)[index], generator.normal(size=4)[index]
        drawn = _bootstrapped(x, y, index)
        known = drawn[np.isfinite(drawn)]
        assert np.abs(known).max() <= 1
        assert len(drawn) - len(known) >= 2000 / 64 * 0.5
