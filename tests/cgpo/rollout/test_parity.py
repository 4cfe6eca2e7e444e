"""The gap between engine and policy: hand-computed numbers, and an error that says what to do."""

from __future__ import annotations

import math

import pytest

from cgpo import distributed
from cgpo.errors import RunError
from cgpo.rollout.parity import Gap, GapLimits, check_gap, gap_over_ranks, measure_gap


def test_mean_and_largest_are_over_tokens_not_responses() -> None:
    # Differences 0.1, 0.2, 0.6 and 0: one response of three tokens, one of one.
    gap = measure_gap([[-1.0, -2.0, -3.0], [-4.0]], [[-1.1, -1.8, -2.4], [-4.0]])
    assert gap.mean == pytest.approx(0.9 / 4)
    assert gap.max == pytest.approx(0.6)
    assert gap.tokens == 4


def test_nothing_to_compare_is_no_gap() -> None:
    assert measure_gap([], []) == Gap(0.0, 0.0, 0)


def test_different_tokens_are_refused() -> None:
    told = "engine_logprobs and policy_logprobs must hold the same responses, token for token"
    for engine, policy in (([[-1.0]], [[-1.0, -2.0]]), ([[-1.0]], [[-1.0], [-2.0]]), ([[-1.0], [-2.0]], [[-1.0]])):
        with pytest.raises(ValueError, match=f"^{told}$"):
            measure_gap(engine, policy)


@pytest.mark.parametrize("value", [math.nan, -math.inf])
def test_nan_and_infinity_are_above_every_limit(value: float) -> None:
    gap = measure_gap([[-1.0, value]], [[-1.0, -2.0]])
    assert gap.tokens == 2
    with pytest.raises(RunError):
        check_gap(gap, 1e9, "after the sync")


def test_two_impossible_tokens_agree() -> None:
    assert measure_gap([[-math.inf]], [[-math.inf]]).max == 0.0


def test_a_gap_within_the_limit_passes() -> None:
    check_gap(Gap(mean=0.05, max=3.0, tokens=7), 0.05, "after the sync")


def test_the_error_names_numbers_limit_setting_and_what_to_check() -> None:
    with pytest.raises(RunError) as stop:
        check_gap(Gap(mean=0.37, max=2.5, tokens=64), 0.05, "after the sync of step 12")
    for part in ("after the sync of step 12", "0.37", "2.5", "64", "0.05", "rollout.max_logprob_gap", "vllm.dtype"):
        assert part in str(stop.value)


def test_over_ranks_the_mean_is_over_all_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    nothing = Gap(0.0, 0.0, 0)
    assert gap_over_ranks(nothing) == nothing
    assert gap_over_ranks(Gap(0.25, 0.5, 8)) == Gap(0.25, 0.5, 8)
    # The other rank has four tokens that differ by 3 nats together, the largest by 2.
    monkeypatch.setattr(
        distributed, "gather_objects", lambda value: [[3.0, 4.0] if type(value) is list else 2.0, value]
    )
    assert gap_over_ranks(nothing) == Gap(0.75, 2.0, 4)
    assert gap_over_ranks(Gap(0.25, 0.5, 8)) == Gap(5 / 12, 2.0, 12)


def test_in_float32_the_limit_stays_what_it_is() -> None:
    limits = GapLimits(0.05, None, rounds=False)
    limits.start(Gap(0.04, 0.2, 100))
    assert (limits.mean, limits.quantile) == (0.05, 0.5)
    with pytest.raises(RunError, match=r"^before the first step, "):
        limits.start(Gap(0.06, 0.2, 100))


def test_in_16_bits_twice_the_healthy_gap_is_allowed_but_no_more_than_rounding() -> None:
    limits = GapLimits(0.05, None, rounds=True)
    limits.start(Gap(0.02, 0.2, 100))
    assert limits.mean == 0.05  # twice 0.02 is below the limit
    limits.start(Gap(0.055, 0.2, 100))
    assert limits.mean == pytest.approx(0.11)
    assert limits.quantile == pytest.approx(1.1)
    at_the_edge = GapLimits(0.05, None, rounds=True)
    at_the_edge.start(Gap(0.15, 2.0, 100))
    assert at_the_edge.mean == 0.3
    cold = GapLimits(0.05, None, rounds=True).at(0.5)
    cold.start(Gap(0.08, 0.2, 100))
    assert cold.mean == 0.16
    other_model = GapLimits(0.05, None, rounds=True)
    for gap in (0.16, math.nan):
        with pytest.raises(RunError, match="before the first step"):
            other_model.start(Gap(gap, 2.0, 100))
        assert other_model.mean == 0.05


def test_one_token_in_a_hundred_may_be_above_the_quantile_and_two_in_few() -> None:
    limits = GapLimits(0.05, 0.3, rounds=False)
    limits.check_tokens(10, 1000, "step 3")
    limits.check_tokens(2, 20, "step 3")
    with pytest.raises(RunError, match=r"step 3, .* more than 0\.3 nats on 11 of 1000 tokens; at most 1% may"):
        limits.check_tokens(11, 1000, "step 3")
    with pytest.raises(RunError, match="Nothing was learnt from them"):
        limits.check_tokens(3, 20, "step 3")
