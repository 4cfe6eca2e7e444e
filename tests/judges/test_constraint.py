"""What an entry of a mixture may ask beyond its judge: another name, a threshold, abstention, agreement of several."""

from __future__ import annotations

import re
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


TWO = {"name": "agreement", "judges": ["math", "refusal"]}
OPTIONS = "Allowed: as, at_least, judges"
LIST = "an agreement of judges needs `judges`, a list of at least two"


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (
            {"name": "refusal", "threshold": "high"},
            "judge 'refusal', option 'threshold': must be a finite number, not 'high'",
        ),
        (
            {"name": "refusal", "threshold": True},
            "judge 'refusal', option 'threshold': must be a finite number, not True",
        ),
        (
            {"name": "refusal", "abstain_within": [1]},
            "judge 'refusal', option 'abstain_within': must be a finite number, not [1]",
        ),
        (
            {"name": "refusal", "abstain_within": -1},
            "judge 'refusal', option 'abstain_within': must be at least 0, not -1.0",
        ),
        ({"name": "refusal", "as": ""}, "judge 'refusal', option 'as': must be text, not ''"),
        ({"name": "refusal", "as": "  "}, "judge 'refusal', option 'as': must be text, not '  '"),
        ({"name": "refusal", "as": 5}, "judge 'refusal', option 'as': must be text, not 5"),
        ({**TWO, "at_least": 1, "as": 5}, "judge 'agreement', option 'as': must be text, not 5"),
        ({"name": "agreement", "judges": ["math"], "at_least": 1}, LIST),
        ({"name": "agreement", "judges": "math", "at_least": 1}, LIST),
        ({"name": "agreement", "at_least": 1}, LIST),
        (TWO, "an agreement needs `at_least`, from 1 to the 2 judges, not None"),
        ({**TWO, "at_least": 3}, "an agreement needs `at_least`, from 1 to the 2 judges, not 3"),
        ({**TWO, "at_least": 0}, "an agreement needs `at_least`, from 1 to the 2 judges, not 0"),
        ({**TWO, "at_least": True}, "an agreement needs `at_least`, from 1 to the 2 judges, not True"),
        ({**TWO, "at_least": 1.5}, "an agreement needs `at_least`, from 1 to the 2 judges, not 1.5"),
        (
            {**TWO, "at_leest": 1},
            f"unknown option 'at_leest' of an agreement of judges. Did you mean 'at_least'? {OPTIONS}",
        ),
    ],
)
def test_bad_entries(entry: dict[str, Any], message: str) -> None:
    with pytest.raises(JudgesError, match=f"^{re.escape(message)}$"):
        Constraint.parse(entry)


def test_a_judge_of_an_agreement_must_exist() -> None:
    with pytest.raises(JudgesError, match="Did you mean 'math'"):
        Constraint.parse({"name": "agreement", "judges": ["math", "mth"], "at_least": 1})


@pytest.mark.parametrize(
    "judge", [{"name": "refusal", "threshold": 1}, {"name": "refusal", "abstain_within": 0.5}, {**THREE, "at_least": 2}]
)
def test_within_an_agreement_judges_take_only_their_own_options(judge: dict[str, Any]) -> None:
    message = f"a judge within an agreement takes only its own options, not {judge!r}"
    with pytest.raises(JudgesError, match=f"^{re.escape(message)}$"):
        Constraint.parse({"name": "agreement", "judges": ["math", judge], "at_least": 1})


def test_what_an_entry_says() -> None:
    assert Constraint.parse("refusal") == Constraint("refusal", (JudgeSpec("refusal"),))
    boxed = {"name": "math", "format": "boxed"}
    named = Constraint.parse({**boxed, "as": "m", "threshold": 0, "abstain_within": 0})
    assert named == Constraint("m", (JudgeSpec("math", {"format": "boxed"}),), None, 0.0, 0.0)
    assert Constraint.parse({**boxed, "abstain_within": 2}).abstain_within == 2.0
    for at_least in (1, 2):
        found = Constraint.parse({**TWO, "at_least": at_least})
        assert found == Constraint("agreement", (JudgeSpec("math"), JudgeSpec("refusal")), at_least)
    assert [type(judge).__name__ for judge in found.judges()] == ["MathJudge", "RefusalJudge"]


@pytest.mark.parametrize(
    ("score", "options", "expected"),
    [
        (0.25, {"threshold": 0.5}, Verdict(V, "score 0.25, threshold 0.5: because", 0.25)),
        (-0.05, {"abstain_within": 0.1}, Verdict(U, "score -0.05 is within 0.1 of 0: because", -0.05)),
        (0.75, {"abstain_within": 0.1}, Verdict(S, "because", 0.75)),
        (None, {"threshold": 0.5}, Verdict(U, "refusal gave no score to compare with a threshold")),
    ],
)
def test_a_verdict_by_score_says_so(score: float | None, options: dict[str, float], expected: Verdict) -> None:
    assert Constraint.parse({"name": "refusal", **options}).decide([Verdict(S, "because", score)]) == expected


def test_each_judge_of_an_agreement_must_have_answered() -> None:
    constraint = Constraint.parse({**TWO, "at_least": 1})
    for verdicts in ([Verdict(S)], [Verdict(S)] * 3):
        with pytest.raises(ValueError, match="zip"):
            constraint.decide(verdicts)


def test_an_agreement_that_concerns_nobody_is_not_applicable_and_still_costs() -> None:
    constraint = Constraint.parse({**TWO, "at_least": 2})
    found = constraint.decide([Verdict(NA, cost=Cost(1.0)), Verdict(Outcome.NOT_JUDGED)])
    assert found == Verdict(NA, "math not_applicable, refusal not_judged")
    assert found.cost == Cost(1.0)


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


def test_an_agreement_is_as_dear_as_its_dearest_judge() -> None:
    runtime = Scripted(math=S, refusal=V, safety=S)
    dear = {"name": "agreement", "at_least": 1, "judges": ["math", COSTLY]}
    Mixture([dear, "refusal"], runtime).judge([Row("p", "r")])
    assert runtime.asked == ["refusal", "math", "safety"]


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
