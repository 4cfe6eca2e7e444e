"""Equation 5 by hand, and what a missing score does."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cgpo.errors import RunError
from cgpo.rewards.calibration import calibrate, check_missing, ranking_reward
from cgpo.statistics.odds import sigmoid

reward_values = st.floats(min_value=-30, max_value=30)


def test_one_reward_by_hand() -> None:
    # sigmoid(ln 3) = 3 / (3 + 1)
    assert calibrate({"h": 2.0 + math.log(3)}, {"h": 2.0}, {"h": 1.0}) == pytest.approx(0.75, abs=1e-15)


def test_the_baseline_response_itself_gets_one_half() -> None:
    assert calibrate({"h": -7.25}, {"h": -7.25}, {"h": 0.3}) == 0.5


def test_two_rewards_are_weighted_after_the_sigmoid() -> None:
    # 1/4 · sigmoid(ln 3) + 3/4 · sigmoid(−ln 4) = 0.25 · 0.75 + 0.75 · 0.2
    rewards = {"h": math.log(3), "love": 1.0}
    baseline = {"h": 0.0, "love": 1.0 + math.log(4)}
    assert calibrate(rewards, baseline, {"h": 1.0, "love": 3.0}) == pytest.approx(0.3375, abs=1e-15)


def test_a_larger_scale_cannot_drown_the_other_reward() -> None:
    assert calibrate({"h": -1e6, "l": 0.0}, {"h": 0.0, "l": 0.0}, {"h": 1.0, "l": 1.0}) == 0.25


@pytest.mark.parametrize("bad", [None, math.nan, math.inf, -math.inf])
def test_a_missing_part_makes_the_whole_missing(bad: float | None) -> None:
    weights = {"h": 1.0, "l": 0.1}
    good = {"h": 1.0, "l": 1.0}
    assert calibrate({"h": 1.0, "l": bad}, good, weights) is None
    assert calibrate(good, {"h": 1.0, "l": bad}, weights) is None
    assert calibrate({"h": 1.0}, good, weights) is None
    assert ranking_reward({"h": 1.0, "l": bad}, weights) is None


def test_a_missing_part_with_weight_zero_does_not_matter() -> None:
    assert calibrate({"h": 1.0, "l": math.nan}, {"h": 1.0}, {"h": 1.0, "l": 0.0}) == 0.5


@pytest.mark.parametrize("weights", [{}, {"h": 0.0}, {"h": -1.0}, {"h": math.nan}])
def test_impossible_weights(weights: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="reward"):
        calibrate({"h": 1.0}, {"h": 1.0}, weights)


@pytest.mark.parametrize(("x", "y"), [(0.0, 0.5), (1000.0, 1.0), (-1000.0, 0.0), (2.0, 0.8807970779778823)])
def test_sigmoid(x: float, y: float) -> None:
    assert sigmoid(x) == pytest.approx(y, abs=1e-16)


def test_scores_at_the_edge_of_the_float_range() -> None:
    assert calibrate({"h": 1e308}, {"h": -1e308}, {"h": 1.0}) == 1.0


@given(a=reward_values, b=reward_values, w=st.floats(min_value=1e-3, max_value=1e3))
def test_swapping_response_and_baseline_mirrors(a: float, b: float, w: float) -> None:
    there = calibrate({"h": a}, {"h": b}, {"h": w})
    back = calibrate({"h": b}, {"h": a}, {"h": w})
    assert there is not None
    assert back is not None
    assert 0 <= there <= 1
    assert there + back == pytest.approx(1.0, abs=1e-12)


def test_ranking_reward_is_the_raw_sum() -> None:
    assert ranking_reward({"h": 2.0, "l": -4.0}, {"h": 1.0, "l": 0.5}) == 0.0
    assert ranking_reward({"h": -3.0}, {"h": 2.0}) == -6.0


def test_missing_scores_stop_the_run_above_the_limit() -> None:
    counts = {"helpfulness": (2, 10), "love": (0, 5)}
    check_missing(counts, {"helpfulness": 0.2, "love": 0.0}, "step 7")
    with pytest.raises(RunError, match=r"step 7: reward 'helpfulness' .* 2 of 10 .*max_missing_rate is 10 %"):
        check_missing(counts, {"helpfulness": 0.1, "love": 0.0}, "step 7")


def test_no_scores_are_no_failure() -> None:
    check_missing({"h": (0, 0)}, {"h": 0.0}, "step 1")
