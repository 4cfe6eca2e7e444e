"""Rewards by rule: a judge's verdict, and length."""

from __future__ import annotations

import pytest
from pydantic import ValidationError
from small_models import prompt

from cgpo.compose import validate
from cgpo.errors import ConfigError
from cgpo.rewards.judge import JudgeReward, JudgeRewardSettings, verdict_score
from cgpo.rewards.length import LengthReward, LengthSettings, penalty
from judges import Outcome, Verdict
from judges.running.runtime import JudgeRuntime


def test_the_score_of_a_verdict() -> None:
    assert verdict_score(Verdict.satisfied("", 2.5)) == 2.5
    assert verdict_score(Verdict.violated("", -0.25)) == -0.25
    assert verdict_score(Verdict.satisfied()) == 1.0
    assert verdict_score(Verdict.violated()) == -1.0
    assert verdict_score(Verdict(Outcome.NOT_APPLICABLE)) == 0.0
    assert verdict_score(Verdict.unknown("timed out")) is None


def test_a_judge_scores_by_the_rows_metadata() -> None:
    reward = JudgeReward(JudgeRewardSettings.model_validate({"type": "judge", "judge": "math"}), "right")
    asked = [prompt("What is 3 + 4?", answer="7"), prompt("What is 3 + 4?", answer="8"), prompt("What is 3 + 4?")]
    with JudgeRuntime(1) as runtime:
        reward.use_judges(runtime)
        found = reward.score(asked, ["The final answer is 7."] * 3)
    assert found == [1.0, -1.0, None]
    ((reason, count),) = reward.take_notes().reasons.items()
    assert "answer" in reason
    assert count == 1


def test_a_judge_that_does_not_exist_is_refused_with_the_rest_of_the_configuration() -> None:
    tree = {"run_dir": "x", "model": {"name": "x"}, "rewards": {"right": {"type": "judge", "judge": "maths"}}}
    with pytest.raises(ConfigError, match=r"rewards\.right.*maths.*Did you mean 'math'"):
        validate(tree, needs_strata=False)


def test_length_by_hand() -> None:
    settings = LengthSettings(target=10, scale=4.0, largest=3.0)
    # (n − 10) / 4, from 0 to 3
    assert [penalty(n, settings) for n in (0, 10, 12, 18, 22, 1000)] == [0.0, 0.0, -0.5, -2.0, -3.0, -3.0]


def test_what_is_counted() -> None:
    text = "two words"
    words = LengthReward(LengthSettings(target=0, scale=1.0, largest=99.0), "short")
    characters = LengthReward(LengthSettings(unit="characters", target=0, scale=1.0, largest=99.0), "short")
    assert words.score([prompt("")], [text]) == [-2.0]
    assert characters.score([prompt("")], [text]) == [-9.0]


def test_tokens_of_a_model(tiny_model: str) -> None:
    from transformers import AutoTokenizer

    settings = LengthSettings(unit="tokens", tokenizer=tiny_model, target=0, scale=1.0, largest=99.0)
    expected = len(AutoTokenizer.from_pretrained(tiny_model)("kites fly high", add_special_tokens=False).input_ids)
    assert LengthReward(settings, "short").score([prompt("")], ["kites fly high"]) == [-float(expected)]
    with pytest.raises(ValidationError, match="`tokenizer` goes with `unit: tokens`"):
        LengthSettings(unit="tokens")
