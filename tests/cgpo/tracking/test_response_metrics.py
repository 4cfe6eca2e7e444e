"""The numbers of a step against hand-made ones."""

from __future__ import annotations

from tracking_runs import judged

from cgpo.tracking.response_metrics import step_metrics
from cgpo.tracking.rollouts import RolloutRow
from judges import Cost, Outcome, Verdict

YES, NO, LOST = Verdict.satisfied(), Verdict.violated(), Verdict.unknown("timed out")
NEUTRAL = Verdict(Outcome.NOT_APPLICABLE)


def _row(math: Verdict, style: Verdict, reward: float | None, log_ratio: float | None, text: str = "a b") -> RolloutRow:
    verdicts = {"math": math, "style": style}
    return RolloutRow.of(judged(verdicts=verdicts, calibrated_reward=reward, response=text), log_ratio=log_ratio)


def test_rates_are_over_known_verdicts_and_means_over_known_numbers() -> None:
    rows = [
        _row(YES, YES, 0.75, 1.0),
        _row(YES, NO, 0.25, 2.0),
        _row(LOST, YES, None, None, "one two three four"),
        _row(NO, LOST, None, -1.5),
        _row(YES, NEUTRAL, 0.5, 0.5),
    ]
    found = step_metrics(rows)
    assert (found["math/responses"], found["math/satisfied"]) == (5, 2)
    assert (found["math/violated"], found["math/unknown"]) == (2, 1)
    assert found["math/satisfied_rate"] == 0.5
    assert found["math/unknown_rate"] == 0.2
    assert found["math/satisfied_rate/math"] == 0.75
    assert found["math/satisfied_rate/style"] == 2 / 3
    assert found["math/unknown_rate/style"] == 0.25
    assert found["math/calibrated_reward"] == 0.5
    assert found["math/log_ratio"] == 0.5
    assert found["math/response_tokens"] == 12 / 5
    assert found["tokens/response"] == 12
    assert found["math/truncated_rate"] == 0


def test_a_rate_over_nothing_known_is_missing_and_not_zero() -> None:
    found = step_metrics([_row(LOST, LOST, None, None)])
    assert found["math/satisfied_rate"] is None
    assert found["math/unknown_rate"] == 1
    assert found["math/calibrated_reward"] is None
    assert found["math/log_ratio"] is None


def test_strata_are_kept_apart() -> None:
    rows = [RolloutRow.of(judged("math")), RolloutRow.of(judged("chat", verdicts={"refusal": NO}))]
    found = step_metrics(rows)
    assert (found["math/satisfied_rate"], found["chat/satisfied_rate"]) == (1, 0)
    assert "math/satisfied_rate/refusal" not in found


def test_what_judges_cost_is_summed_and_hits_are_a_share() -> None:
    asked = Verdict(Outcome.SATISFIED, cost=Cost(2.0, calls=3, tokens=40))
    known = Verdict(Outcome.SATISFIED, cost=Cost(cached=1))
    skipped = Verdict(Outcome.NOT_JUDGED)
    cheap = Verdict(Outcome.VIOLATED, cost=Cost(0.25))
    rows = [RolloutRow.of(judged(verdicts={"facts": v, "math": cheap})) for v in (asked, asked, known, skipped)]
    found = step_metrics(rows)
    assert found["math/judge_seconds/facts"] == 4.0
    assert found["math/judge_calls/facts"] == 6
    assert found["math/judge_tokens/facts"] == 80
    assert found["math/cache_hit_rate/facts"] == 1 / 3
    assert found["math/not_judged/facts"] == 1
    assert found["math/judge_seconds/math"] == 1.0
    assert not {"math/judge_calls/math", "math/cache_hit_rate/math", "math/not_judged/math"} & found.keys()


def test_prompts_whose_responses_all_had_the_same_outcome() -> None:
    def rows(outcomes: dict[str, str]) -> list[RolloutRow]:
        named = {"s": Outcome.SATISFIED, "v": Outcome.VIOLATED, "u": Outcome.UNKNOWN}
        return [row(prompt, named[letter]) for prompt, letters in outcomes.items() for letter in letters]

    def row(prompt: str, outcome: Outcome) -> RolloutRow:
        return RolloutRow("math", prompt, prompt, (), 0, 0, "x", "stop", 1, outcome)

    def rate(**outcomes: str) -> float | None:
        return step_metrics(rows(outcomes))["math/zero_signal_rate"]

    assert rate(a="ss", b="sv", c="vvv", d="vs") == 0.5
    # An unknown response could make the difference, unless there is one already; a single response has none.
    assert rate(a="ssu", b="uu", c="v") is None
    assert rate(a="svu", b="ss") == 0.5
