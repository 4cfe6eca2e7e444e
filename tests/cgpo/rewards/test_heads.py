"""Heads of reward models: the prior shift against Bayes' rule, ratings, and the file."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cgpo.errors import ConfigError
from cgpo.rewards.heads import Head, read_heads, write_heads
from cgpo.rewards.prior import prior_shift
from cgpo.statistics.odds import logit, sigmoid


def test_the_shift_is_that_of_the_prior_odds() -> None:
    """At q = 1/10 and p0 = 1/50: odds 1/9 and 1/49, so the shift is log(9/49)."""
    assert prior_shift(0.1, 0.02) == pytest.approx(math.log(9 / 49))
    assert prior_shift(0.3, 0.3) == 0


def test_a_probability_at_the_true_rate_by_counting() -> None:
    """1,000 responses, 20 loved; a feature is on 10 of the loved ones and on 98 of the others: Pr = 10/108.

    With every loved one five times, the model learns 50/148 for it; undone, that must be 10/108 again.
    """
    head = Head("love", "pointwise", training_rate=100 / 1080, true_rate=20 / 1000)
    reward = head.reward(logit(50 / 148))
    assert head.probability(reward) == pytest.approx(10 / 108)


@given(likelihood_ratio=st.floats(1e-3, 1e3), true_rate=st.floats(1e-4, 0.9), training_rate=st.floats(1e-4, 0.9))
def test_undone_whatever_the_upsampling(likelihood_ratio: float, true_rate: float, training_rate: float) -> None:
    """Bayes' rule: posterior odds = likelihood ratio × prior odds, at either rate."""
    raw = math.log(likelihood_ratio) + logit(training_rate)
    expected = math.log(likelihood_ratio) + logit(true_rate)
    head = Head("love", "pointwise", training_rate=training_rate, true_rate=true_rate)
    assert head.reward(raw) == pytest.approx(expected, abs=1e-9)
    assert head.probability(head.reward(raw)) == pytest.approx(sigmoid(expected))


def test_ratings_are_given_in_their_own_unit() -> None:
    assert Head("stars", "regression", mean=3.5, std=0.5).reward(-2.0) == 2.5


def test_pairwise_scores_stay_as_they_are() -> None:
    head = Head("helpfulness", "pairwise")
    assert head.reward(1.25) == 1.25
    with pytest.raises(ValueError, match="no probability"):
        head.probability(1.25)


@pytest.mark.parametrize("rate", [0.0, 1.0, -0.1, math.nan])
def test_a_rate_without_odds_is_refused(rate: float) -> None:
    with pytest.raises(ValueError, match="strictly between 0 and 1"):
        Head("love", "pointwise", training_rate=0.1, true_rate=rate)


def test_read_as_written(tmp_path: Path) -> None:
    heads = [Head("love", "pointwise", 0.1, 0.02), Head("stars", "regression", mean=3.0, std=1.5)]
    write_heads(tmp_path, heads)
    assert read_heads(tmp_path) == heads


def test_a_model_of_another_origin_has_none(tmp_path: Path) -> None:
    assert read_heads(tmp_path) is None


HEAD = {"name": "love", "objective": "pointwise", "training_rate": 0.1, "true_rate": 0.02, "mean": 0.0, "std": 1.0}


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "[]",
        json.dumps({"schema": 2, "heads": [HEAD]}),
        json.dumps({"schema": 1, "heads": []}),
        json.dumps({"schema": 1, "heads": [HEAD, HEAD]}),
        json.dumps({"schema": 1, "heads": [{**HEAD, "true_rate": 0}]}),
        json.dumps({"schema": 1, "heads": [{**HEAD, "objective": "love"}]}),
        json.dumps({"schema": 1, "heads": [{**HEAD, "std": -1}]}),
        json.dumps({"schema": 1, "heads": [{**HEAD, "more": 1}]}),
        json.dumps({"schema": 1, "heads": [{**HEAD, "mean": 10**400}]}),
        json.dumps({"schema": 1, "heads": [{**HEAD, "name": 7}]}),
        "[" * 100_000,
    ],
)
def test_a_damaged_file_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "reward.json").write_text(content)
    with pytest.raises(ConfigError, match=r"reward\.json cannot be used"):
        read_heads(tmp_path)
