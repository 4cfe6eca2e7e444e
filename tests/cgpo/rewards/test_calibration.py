"""Equation 5 by hand, and what a missing score does."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cgpo.errors import RunError
from cgpo.rewards.calibration import calibrate, check_missing, ranking_reward
from cgpo.statistics.odds import logit, sigmoid

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


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({}, "no reward has a positive weight"),
        ({"h": 0.0}, "no reward has a positive weight"),
        ({"h": -1.0, "l": 2.0}, "reward weights must be finite and at least 0, not {'h': -1.0}"),
        ({"h": math.nan}, "reward weights must be finite and at least 0, not {'h': nan}"),
        ({"h": math.inf}, "reward weights must be finite and at least 0, not {'h': inf}"),
    ],
)
def test_impossible_weights(weights: dict[str, float], message: str) -> None:
    scores = {"h": 1.0, "l": 1.0}
    for use in (lambda: calibrate(scores, scores, weights), lambda: ranking_reward(scores, weights)):
        with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
            use()


@pytest.mark.parametrize(
    ("x", "y"),
    [(0.0, 0.5), (1000.0, 1.0), (-1000.0, 0.0), (2.0, 0.8807970779778823), (-2.0, 0.11920292202211755)],
)
def test_sigmoid(x: float, y: float) -> None:
    assert sigmoid(x) == pytest.approx(y, abs=1e-16)


def test_far_from_the_baseline_nothing_is_rounded_away() -> None:
    # e⁻⁴⁰ / (1 + e⁻⁴⁰) = 4.248e−18, though 1 − 1 / (1 + e⁻⁴⁰) is 0
    assert calibrate({"h": -40.0}, {"h": 0.0}, {"h": 0.5}) == pytest.approx(4.248354255291589e-18, rel=1e-12, abs=0)


def test_scores_at_the_edge_of_the_float_range() -> None:
    for far in (1e308, 1.7e308):
        assert calibrate({"h": far}, {"h": -far}, {"h": 1.0}) == 1.0
        assert calibrate({"h": -far}, {"h": far}, {"h": 1.0}) == 0.0
    assert ranking_reward({"h": 1e308, "l": 1e308}, {"h": 1.0, "l": 1.0}) is None  # their sum is no float


@pytest.mark.parametrize("p", [0.0, 1.0, -0.5, 1.5])
def test_log_odds_of_what_is_no_rate(p: float) -> None:
    with pytest.raises(ValueError, match=f"^a rate must lie strictly between 0 and 1, not {p:g}$"):
        logit(p)


def test_log_odds_by_hand() -> None:
    assert logit(0.75) == pytest.approx(math.log(3), rel=1e-15)
    assert logit(1e-18) == pytest.approx(-18 * math.log(10), rel=1e-15)
    assert sigmoid(logit(0.3)) == pytest.approx(0.3, rel=1e-15)


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
    counts = {"helpfulness": (3, 4), "love": (0, 5)}
    check_missing(counts, {"helpfulness": 0.75, "love": 0.0}, "step 7")
    message = (
        "step 7: reward 'helpfulness' gave no finite score for 3 of 4 responses or their baselines (75 %; the limit "
        "rewards.helpfulness.max_missing_rate is 12.5 %). The commonest reason: "
    )
    for reasons, why in (
        ({"helpfulness": "the server is away"}, "the server is away"),
        ({"love": "of no interest"}, "it is the baseline responses whose scores are missing"),
    ):
        with pytest.raises(RunError, match=f"^{re.escape(message + why)}$"):
            check_missing(counts, {"helpfulness": 0.125, "love": 0.0}, "step 7", reasons)


def test_one_missing_score_stops_a_run_that_allows_none() -> None:
    with pytest.raises(RunError, match="1 of 1 "):
        check_missing({"love": (0, 5), "h": (1, 1)}, {"love": 0.0, "h": 0.0}, "step 1")


def test_no_scores_are_no_failure() -> None:
    check_missing({"h": (0, 0)}, {"h": 0.0}, "step 1")
