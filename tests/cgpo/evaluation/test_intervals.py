"""Intervals against published values."""

from __future__ import annotations

import random

import pytest

from cgpo.evaluation.intervals import Interval, mean_change, mean_interval, rate_change, rate_interval


@pytest.mark.parametrize(
    ("count", "n", "low", "high"),
    [
        # Newcombe 1998, Statistics in Medicine 17, 857–872, table I, score method without continuity correction
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
        (15, 20, 0.5313, 0.8881),
        (29, 29, 1 - 0.1170, 1.0),
    ],
)
def test_wilson(count: int, n: int, low: float, high: float) -> None:
    found = rate_interval(count, n, 0.95)
    assert found.estimate == count / n
    assert (found.low, found.high) == pytest.approx((low, high), abs=6e-5)


def test_wilson_level_and_empty() -> None:
    wide, narrow = rate_interval(15, 20, 0.99), rate_interval(15, 20, 0.8)
    assert wide.low is not None
    assert narrow.low is not None
    assert wide.low < narrow.low < 0.75
    assert rate_interval(0, 0, 0.95) == Interval(None, None, None, 0)
    with pytest.raises(ValueError, match="between 0 and n"):
        rate_interval(3, 2, 0.95)


def table(both: int, only_before: int, only_after: int, neither: int) -> tuple[list[bool], list[bool]]:
    before = [True] * (both + only_before) + [False] * (only_after + neither)
    after = [True] * both + [False] * only_before + [True] * only_after + [False] * neither
    order = random.Random(0).sample(range(len(before)), len(before))
    return [before[i] for i in order], [after[i] for i in order]


def test_newcombe_on_published_tables() -> None:
    # Airway hyper-responsiveness before and after transplantation (Bentur et al. 2009), 21 patients:
    # difference before − after −0.286, 95 % interval −0.507 to −0.026 (Fagerland, Lydersen & Laake 2014)
    found = rate_change(*table(1, 1, 7, 12), 0.95)
    assert (found.estimate, found.low, found.high) == pytest.approx((0.2857, 0.026, 0.507), abs=5e-4)
    # Altman et al. 2000, Statistics with Confidence, table 6.2: 14, 5, 0, 22
    found = rate_change(*table(14, 5, 0, 22), 0.95)
    assert (found.estimate, found.low, found.high) == pytest.approx((-0.122, -0.226, -0.011), abs=5e-4)


def test_no_change_is_not_certainty() -> None:
    found = rate_change([True] * 30 + [False] * 30, [True] * 30 + [False] * 30, 0.95)
    assert found.estimate == 0
    assert found.low is not None
    assert found.high is not None
    assert -0.1 < found.low < -0.01
    assert 0.01 < found.high < 0.1
    assert found.n == 60


def test_change_of_a_rate_without_prompts() -> None:
    assert rate_change([], [], 0.95) == Interval(None, None, None, 0)


def test_mean_interval_agrees_with_the_normal_one_and_is_repeatable() -> None:
    values = [random.Random(i).gauss(2.0, 1.0) for i in range(400)]
    found = mean_interval(values, 0.95)
    mean = sum(values) / 400
    spread = (sum((v - mean) ** 2 for v in values) / 400) ** 0.5
    assert (found.low, found.high) == pytest.approx((mean - 0.098 * spread, mean + 0.098 * spread), abs=0.01)
    assert mean_interval(values, 0.95) == found


def test_pairing_removes_what_prompts_have_in_common() -> None:
    before = [float(i) for i in range(50)]
    found = mean_change(before, [b + 1 + 0.01 * (i % 2) for i, b in enumerate(before)], 0.95)
    assert found.low is not None
    assert found.high is not None
    assert 1.0 < found.low < 1.005 < found.high < 1.01


def test_few_values() -> None:
    assert mean_interval([], 0.95) == Interval(None, None, None, 0)
    assert mean_interval([3.0], 0.95) == Interval(3.0, None, None, 1)


def test_many_values_stay_within_memory() -> None:
    assert mean_interval([0.0, 1.0] * 5000, 0.95).n == 10000
