"""What an entry of a mixture may ask beyond its judge: another name, a threshold, abstention, agreement of several."""

from __future__ import annotations

from concurrent.futures import Future
from itertools import product
from typing import Any

import pytest

from judges import Cost, Outcome, Row, Verdict
from judges.constraint import Constraint
from judges.errors import JudgesError
from judges.mixture import Mixture
from judges.running.runtime import JudgeRuntime
from judges.spec import JudgeSpec

S, V, U, NA = Outcome.SATISFIED, Outcome.VIOLATED, Outcome.UNKNOWN, Outcome.NOT_APPLICABLE
THREE = {"name": "agreement", "judges": ["math", "refusal", {"name": "math", "format": "boxed"}]}


@pytest.mark.parametrize(
    ("score", "options", "expected"),
    [
        (0.3, {}, S),
        (0.3, {"threshold": 0.3}, S),
        (0.29, {"threshold": 0.3}, V),
        (-0.2, {"threshold": -0.5}, S),
        (0.09, {"abstain_within": 0.1}, U),
        (-0.09, {"abstain_within": 0.1}, U),
        (0.1, {"abstain_within": 0.1}, S),
        (-0.1, {"abstain_within": 0.1}, V),
        (0.45, {"threshold": 0.4, "abstain_within": 0.1}, U),
        (0.55, {"threshold": 0.4, "abstain_within": 0.1}, S),
        (None, {"threshold": 0.4}, U),
        (None, {"abstain_within": 0.4}, U),
        (None, {}, S),
    ],
)
def test_threshold_and_abstention(score: float | None, options: dict[str, float], expected: Outcome) -> None:
    own = Verdict(V if score is not None and score < 0 else S, "because", score, Cost(2.0))
    found = Constraint.parse({"name": "refusal", **options}).decide([own])
    assert found.outcome is expected
    assert found.cost == Cost(2.0)


def test_unknown_and_neutral_verdicts_have_no_margin_to_compare() -> None:
    constraint = Constraint.parse({"name": "refusal", "threshold": 0.5})
    for outcome in (U, NA, Outcome.NOT_JUDGED):
        assert constraint.decide([Verdict(outcome, "x", 0.9)]).outcome is outcome


def test_two_of_three() -> None:
    constraint = Constraint.parse({**THREE, "at_least": 2})
    for outcomes in product((S, V, U, NA), repeat=3):
        count = {o: outcomes.count(o) for o in (S, V, U, NA)}
        needed = min(2, 3 - count[NA])
        if count[NA] == 3:
            expected = NA
        elif count[S] >= needed:
            expected = S
        else:
            # what the unknown ones could still say decides whether it is lost
            expected = U if any(
                count[S] + sum(guess) >= needed for guess in product((0, 1), repeat=count[U])
            ) else V  # fmt: skip
        assert constraint.decide([Verdict(o) for o in outcomes]).outcome is expected, outcomes


def test_an_agreement_says_who_said_what_and_costs_what_all_cost() -> None:
    constraint = Constraint.parse({**THREE, "at_least": 1, "as": "any"})
    found = constraint.decide([Verdict(V, cost=Cost(1.0, 2, 30)), Verdict(S, cost=Cost(0.5)), Verdict(V)])
    assert found.reason == "1 of 3 satisfied, 1 needed: math violated, refusal satisfied, math violated"
    assert found.cost == Cost(1.5, 2, 30, verdicts=2)
    assert constraint.name == "any"


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"name": "refusal", "threshold": "high"}, "'threshold'"),
        ({"name": "refusal", "threshold": True}, "'threshold'"),
        ({"name": "refusal", "abstain_within": -1}, "at least 0"),
        ({"name": "refusal", "as": ""}, "'as'"),
        ({"name": "agreement", "judges": ["math"], "at_least": 1}, "at least two"),
        ({"name": "agreement", "judges": ["math", "refusal"]}, "`at_least`"),
        ({"name": "agreement", "judges": ["math", "refusal"], "at_least": 3}, "1 to the 2"),
        ({"name": "agreement", "judges": ["math", "mth"], "at_least": 1}, "Did you mean 'math'"),
        ({"name": "agreement", "judges": ["math", "refusal"], "at_leest": 1}, "Did you mean 'at_least'"),
        ({"name": "agreement", "judges": ["math", {"name": "refusal", "threshold": 1}], "at_least": 1}, "its own"),
        ({"name": "agreement", "judges": ["math", {**THREE, "at_least": 2}], "at_least": 1}, "its own"),
    ],
)
def test_bad_entries(entry: dict[str, Any], message: str) -> None:
    with pytest.raises(JudgesError, match=message):
        Constraint.parse(entry)


def test_one_judge_twice_under_two_names() -> None:
    entries = ["math", {"name": "math", "format": "boxed", "as": "math_boxed"}]
    with JudgeRuntime(1) as runtime:
        mixture = Mixture(entries, runtime)
        (judgement,) = mixture.judge([Row("2+2?", "The final answer is 4.", {"answer": "4"})])
        assert mixture.missing_metadata({}) == {"math": ["answer"], "math_boxed": ["answer"]}
    assert {name: v.outcome for name, v in judgement.verdicts.items()} == {"math": S, "math_boxed": V}
    assert all(v.cost and v.cost.seconds > 0 for v in judgement.verdicts.values())


class Scripted:
    """Answers as told, and keeps in which order it was asked."""

    def __init__(self, **outcomes: Outcome) -> None:
        self.outcomes = outcomes
        self.asked: list[str] = []

    def submit(self, spec: JudgeSpec, row: Row) -> Future[Verdict]:
        self.asked.append(spec.name)
        future: Future[Verdict] = Future()
        future.set_result(Verdict(self.outcomes[spec.name]))
        return future


COSTLY = {"name": "safety", "llm": {"model": "m"}}


def test_cheap_judges_are_asked_first_and_verdicts_stay_in_the_order_of_the_settings() -> None:
    runtime = Scripted(math=S, refusal=V, safety=S)
    (judgement,) = Mixture([COSTLY, "refusal", "math"], runtime).judge([Row("p", "r")])
    assert runtime.asked == ["refusal", "math", "safety"]
    assert list(judgement.verdicts) == ["safety", "refusal", "math"]


@pytest.mark.parametrize(("cheap", "asked"), [(V, False), (S, True), (U, True), (NA, True)])
def test_early_stop_skips_costly_judges_only_after_a_violation(cheap: Outcome, asked: bool) -> None:
    runtime = Scripted(math=cheap, safety=S)
    (judgement,) = Mixture([COSTLY, "math"], runtime, early_stop=True).judge([Row("p", "r")])
    assert ("safety" in runtime.asked) is asked
    verdict = judgement.verdicts["safety"]
    assert verdict.outcome is (S if asked else Outcome.NOT_JUDGED)
    if not asked:
        assert verdict.reason == "skipped: math found a violation"
        assert judgement.satisfied is False


def test_a_runtime_closed_between_two_rounds_leaves_no_row_waiting() -> None:
    class ClosesItself(Scripted):
        def submit(self, spec: JudgeSpec, row: Row) -> Future[Verdict]:
            if spec.name == "safety":
                raise RuntimeError("these judges are closed")
            return super().submit(spec, row)

    future = Mixture(["math", COSTLY], ClosesItself(math=S), early_stop=True).submit(Row("p", "r"))
    judgement = future.result(5)
    assert judgement.satisfied is None
    assert "closed" in judgement.verdicts["safety"].reason
