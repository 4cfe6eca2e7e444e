"""The truth table of the mixture, and the mixture on real worker processes."""

from __future__ import annotations

import itertools

import pytest

from judges import Judgement, Outcome, Row, Verdict, combine
from judges.errors import JudgesError
from judges.mixture import Mixture
from judges.running.workers import JudgeWorkers

S, V, U, NA, NJ = (
    Outcome.SATISFIED,
    Outcome.VIOLATED,
    Outcome.UNKNOWN,
    Outcome.NOT_APPLICABLE,
    Outcome.NOT_JUDGED,
)
TABLE = {
    (S, S): S,
    (S, V): V,
    (S, U): U,
    (S, NA): S,
    (S, NJ): S,
    (V, V): V,
    (V, U): V,
    (V, NA): V,
    (V, NJ): V,
    (U, U): U,
    (U, NA): U,
    (U, NJ): U,
    (NA, NA): S,
    (NA, NJ): S,
    (NJ, NJ): S,
}


@pytest.mark.parametrize("pair", list(itertools.product(Outcome, repeat=2)), ids=lambda pair: "-".join(pair))
def test_truth_table_of_two_judges(pair: tuple[Outcome, Outcome]) -> None:
    expected = TABLE[pair] if pair in TABLE else TABLE[pair[::-1]]
    judgement = Judgement({"a": Verdict(pair[0]), "b": Verdict(pair[1])})
    assert judgement.outcome is expected
    assert judgement.satisfied is {S: True, V: False, U: None}[expected]


def test_three_judges_are_two_and_one_more_in_any_order() -> None:
    for trio in itertools.product(Outcome, repeat=3):
        expected = combine([combine(trio[:2]), trio[2]])
        assert all(combine(order) is expected for order in itertools.permutations(trio))


def test_no_judge_at_all_is_satisfied() -> None:
    with JudgeWorkers(1) as workers:
        assert Mixture([], workers).judge([Row("p", "r")])[0].satisfied is True


def test_real_judges_side_by_side() -> None:
    rows = [
        Row("2 + 2?", "The final answer is 4.", {"answer": "4"}),
        Row("2 + 2?", "The final answer is 5.", {"answer": "4"}),
        Row("2 + 2?", "I'm sorry, but I can't help with that.", {"answer": "4"}),
        Row("2 + 2?", "The final answer is 4."),
        Row("2 + 2?", "I'm sorry, but I can't help with that."),
    ]
    with JudgeWorkers(2) as workers:
        mixture = Mixture(["math", {"name": "refusal"}], workers)
        judgements = mixture.judge(rows)
        assert mixture.missing_metadata({}) == {"math": ["answer"]}
        assert mixture.missing_metadata({"answer": "4"}) == {}
    assert [j.satisfied for j in judgements] == [True, False, False, None, False]
    assert list(judgements[0].verdicts) == ["math", "refusal"]
    assert judgements[3].verdicts["math"] == Verdict.unknown("missing metadata: answer")


def test_a_judge_that_only_sometimes_applies_requires_nothing_and_is_neutral(install) -> None:
    install(
        "facts",
        """
        from judges import rule_judge
        @rule_judge(applies_only_with={"answer"})
        def facts(row):
            return row.metadata["answer"] in row.response
        """,
        facts="facts",
    )
    with JudgeWorkers(1) as workers:
        mixture = Mixture(["facts"], workers)
        without, wrong = mixture.judge([Row("p", "Paris"), Row("p", "Rome", {"answer": "Paris"})])
        assert mixture.missing_metadata({}) == {}
    assert without.verdicts["facts"].outcome is Outcome.NOT_APPLICABLE
    assert (without.satisfied, wrong.satisfied) == (True, False)


@pytest.mark.parametrize(
    ("specs", "message"),
    [
        (["mth"], "Did you mean 'math'"),
        (["math", "math"], "twice: math"),
        ([{"name": "math", "fromat": "boxed"}], "Did you mean 'format'"),
        ([{"format": "boxed"}], "no `name`"),
        ([3], "not 3"),
    ],
)
def test_bad_settings_are_errors_before_anything_is_judged(specs: list[object], message: str) -> None:
    with JudgeWorkers(1) as workers, pytest.raises(JudgesError, match=message):
        Mixture(specs, workers)  # type: ignore[arg-type]
