"""Automatic weights, against numbers worked out by hand."""

from __future__ import annotations

import itertools
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cgpo.config import WeightingSettings
from cgpo.training.weighting import Weighting, factors_with_mean_one


def weighting(method: str = "satisfied_rate", **settings: float) -> Weighting:
    return Weighting(WeightingSettings.model_validate({"method": method, **settings}))


def test_off_by_default() -> None:
    found = Weighting(WeightingSettings())
    found.observe({"a": 0.1, "b": 0.9})
    assert found.factors({"a": 1.0, "b": 1.0}) == {"a": 1.0, "b": 1.0}
    assert found.state_dict() == {"means": {}}


def test_the_lower_satisfied_rate_counts_more() -> None:
    # Lags ±0.3; c · (e^0.3 + e^−0.3) = 2, so the factors are 1 ± tanh 0.3.
    found = weighting()
    found.observe({"a": 0.2, "b": 0.8})
    factors = found.factors({"a": 1.0, "b": 1.0})
    assert factors["a"] == pytest.approx(1 + math.tanh(0.3), abs=1e-12)
    assert factors["b"] == pytest.approx(1 - math.tanh(0.3), abs=1e-12)


def test_the_mean_is_weighted_by_rho() -> None:
    # ρ 3 and 1, lags ±0.3: c = 4 / (3 e^0.3 + e^−0.3).
    found = weighting()
    found.observe({"a": 0.2, "b": 0.8})
    factors = found.factors({"a": 3.0, "b": 1.0})
    c = 4 / (3 * math.exp(0.3) + math.exp(-0.3))
    assert factors["a"] == pytest.approx(c * math.exp(0.3), abs=1e-12)
    assert 3 * factors["a"] + factors["b"] == pytest.approx(4, abs=1e-12)


def test_rates_are_averaged_exponentially() -> None:
    # 0.2, then 0.5 · 0.2 + 0.5 · 0.6 = 0.4; b stays at 0.8: lags ±0.2.
    found = weighting(decay=0.5)
    found.observe({"a": 0.2, "b": 0.8})
    found.observe({"a": 0.6, "b": 0.8})
    assert found.factors({"a": 1.0, "b": 1.0})["a"] == pytest.approx(1 + math.tanh(0.2), abs=1e-12)


def test_limits_hold_and_the_mean_stays_1() -> None:
    # e^±5 is beyond both limits. With max 1.5 the other one must be 0.5 to keep the mean.
    found = weighting(strength=10.0, min_factor=0.1, max_factor=1.5)
    found.observe({"a": 0.0, "b": 1.0})
    assert found.factors({"a": 1.0, "b": 1.0}) == pytest.approx({"a": 1.5, "b": 0.5})


def test_improvement_raises_what_has_risen_less() -> None:
    # decay 0, window 2: a rose by 0.4 to 0.5, b by 0 to 0.5; mean 0.2; lags (1 − 0.5)(0.2 − gain) = ∓0.1.
    found = weighting("improvement", decay=0.0, window=2)
    for a in (0.1, 0.3, 0.5):
        assert found.factors({"a": 1.0, "b": 1.0}) == pytest.approx({"a": 1.0, "b": 1.0})  # too little is known
        found.observe({"a": a, "b": 0.5})
    factors = found.factors({"a": 1.0, "b": 1.0})
    assert factors["b"] == pytest.approx(1 + math.tanh(0.1), abs=1e-12)


def test_a_stratum_without_anything_left_to_gain_does_not_lag() -> None:
    # b is at 1: its lag is 0; a's is (1 − 0.5)(0.2 − 0.4) = −0.1. c (e^−0.1 + 1) = 2.
    found = weighting("improvement", decay=0.0, window=1)
    found.observe({"a": 0.1, "b": 1.0})
    found.observe({"a": 0.5, "b": 1.0})
    assert found.factors({"a": 1.0, "b": 1.0})["b"] == pytest.approx(2 / (1 + math.exp(-0.1)), abs=1e-12)


def test_unknown_rates_leave_the_state_alone() -> None:
    found = weighting()
    found.observe({"a": 0.2, "b": 0.8})
    before = found.state_dict()
    found.observe({"a": None, "b": None})
    assert found.state_dict() == before
    assert weighting().factors({"a": 1.0}) == pytest.approx({"a": 1.0})


def test_a_stratum_that_does_not_take_part_is_neither_weighted_nor_counted() -> None:
    found = weighting()
    found.observe({"a": 0.2, "b": 0.8, "c": 0.0})
    alone = found.factors({"a": 1.0, "b": 1.0})
    assert set(alone) == {"a", "b"}
    assert alone["a"] == pytest.approx(1 + math.tanh(0.3), abs=1e-12)


def test_goes_on_from_a_saved_state() -> None:
    whole, again = weighting("improvement", window=3), weighting("improvement", window=3)
    for step in range(6):
        whole.observe({"a": step / 10, "b": 0.3})
    again.load_state_dict(json.loads(json.dumps(whole.state_dict())))
    for found in (whole, again):
        found.observe({"a": 0.9, "b": 0.2})
    assert again.factors({"a": 1.0, "b": 2.0}) == whole.factors({"a": 1.0, "b": 2.0})


@given(
    st.dictionaries(st.sampled_from("abcdef"), st.tuples(st.floats(-50, 50), st.floats(0.01, 10)), min_size=1),
    st.floats(0.01, 1),
    st.floats(1, 20),
)
def test_factors_lie_within_the_limits_and_average_1(
    found: dict[str, tuple[float, float]], least: float, largest: float
) -> None:
    logs = {name: log for name, (log, _) in found.items()}
    weights = {name: weight for name, (_, weight) in found.items()}
    factors = factors_with_mean_one(logs, weights, least, largest)
    assert all(least * (1 - 1e-9) <= factor <= largest * (1 + 1e-9) for factor in factors.values())
    total = sum(weights.values())
    assert sum(weights[name] * factor for name, factor in factors.items()) == pytest.approx(total, rel=1e-9)
    ordered = sorted(logs, key=lambda name: logs[name])
    assert all(factors[a] <= factors[b] * (1 + 1e-9) for a, b in itertools.pairwise(ordered))
