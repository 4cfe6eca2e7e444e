"""Unknown is counted and bounded: failed judges and missing rewards stop the run before it learns from them."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from cgpo.compose import validate
from cgpo.errors import RunError
from cgpo.responses.limits import check_limits
from cgpo.types import GenerationRequest, JudgedRollout, Prompt, Rollout
from judges import Judgement, Outcome, Verdict


def settings(max_unknown_rate: float = 0.25) -> Any:
    stratum = {
        "prompts": {"generator": "math", "size": 4},
        "rewards": {"any": 1.0},
        "optimizer": {"name": "crpg"},
        "max_unknown_rate": max_unknown_rate,
    }
    rewards = {"any": {"model": "unused", "max_missing_rate": 0.25}}
    return validate({"run_dir": "x", "model": {"name": "x"}, "rewards": rewards, "strata": {"math": stratum}})


def sample(verdict: Verdict, reward: float | None = 1.0) -> JudgedRollout:
    prompt = Prompt("1", ({"role": "user", "content": "x"},))
    request = GenerationRequest("math", prompt, (1,), 0, 0, settings().strata["math"].sampling)
    rollout = Rollout(request, "x", (2,), (-1.0,), "stop")
    return JudgedRollout(rollout, Judgement({"math": verdict}), {"any": reward}, {"any": 0.0}, reward)


GOOD, LOST = Verdict.satisfied(), Verdict.unknown("timed out after 10 s")


def test_few_unknown_go_on() -> None:
    check_limits({"math": [sample(GOOD)] * 3 + [sample(LOST)]}, settings(), "step 1")


def test_too_many_unknown_stop_with_numbers_and_the_first_reason() -> None:
    with pytest.raises(RunError) as caught:
        check_limits({"math": [sample(GOOD)] * 2 + [sample(LOST)] * 2}, settings(), "step 7")
    for expected in ("step 7", "'math'", "2 of 4", "max_unknown_rate is 0.25", "timed out after 10 s"):
        assert expected in str(caught.value)


def test_missing_rewards_stop_too() -> None:
    with pytest.raises(RunError, match="2 of 4"):
        check_limits({"math": [sample(GOOD)] * 2 + [sample(GOOD, None)] * 2}, settings(), "step 7")


def test_baselines_without_a_reward_stop_too() -> None:
    lost = dataclasses.replace(sample(GOOD, None), rewards={"any": 1.0}, baseline_rewards={"any": None})
    with pytest.raises(RunError, match="or their baselines"):
        check_limits({"math": [sample(GOOD)] * 2 + [lost] * 2}, settings(), "step 7")


def test_a_judge_that_rarely_applies_is_measured_where_it_does() -> None:
    neutral = Verdict(Outcome.NOT_APPLICABLE)
    with pytest.raises(RunError, match="1 of 1"):
        check_limits({"math": [sample(neutral)] * 19 + [sample(LOST)]}, settings(), "step 7")


def test_one_cut_off_response_does_not_stop_the_run() -> None:
    def with_truncation(outcome: Outcome) -> JudgedRollout:
        verdicts = {"math": GOOD, "truncated": Verdict(outcome)}
        return dataclasses.replace(sample(GOOD), judgement=Judgement(verdicts))

    judged = [with_truncation(Outcome.SATISFIED)] * 9 + [with_truncation(Outcome.UNKNOWN)]
    check_limits({"math": judged}, settings(), "step 7")


def test_a_feasible_sample_without_reward_is_unknown_and_a_violated_one_stays_violated() -> None:
    assert sample(GOOD, None).outcome is Outcome.UNKNOWN
    assert sample(Verdict.violated(), None).outcome is Outcome.VIOLATED
