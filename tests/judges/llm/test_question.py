"""Probabilities to verdicts, by hand."""

from __future__ import annotations

from math import log

import pytest

from judges import Outcome
from judges.llm.question import Answer, Question, answer_of, side_of, spellings

ASK = Question(({"role": "user", "content": "?"},), positive="TRUE", negative="FALSE")


def test_spellings() -> None:
    assert spellings("TRUE") == ("TRUE", "True", "true")
    assert spellings("unsafe") == ("unsafe", "UNSAFE", "Unsafe")
    assert spellings("A") == ("A", "a")


@pytest.mark.parametrize(
    ("token", "side"),
    [
        (" TRUE", True), ("True", True), ("true", True), ("▁True", True), ("Ġtrue", True), ("\nTRUE", True),
        ("T", True), ("TR", True), ("tr", True), ("FALSE", False), (" false", False), ("Fal", False), ("F", False),
        ("The", None), ("tRue", None), ("TRUETRUE", None), ("", None), (" ", None), ("Not", None), ("\"TRUE", None),
    ],
)  # fmt: skip
def test_which_answer_a_token_begins(token: str, side: bool | None) -> None:
    assert side_of(token, "TRUE", "FALSE") is side


def test_a_beginning_of_both_answers_counts_for_neither() -> None:
    assert side_of("un", "unlikely", "unsafe") is None
    assert side_of("unl", "unlikely", "unsafe") is True
    assert side_of("safe", "safe", "unsafe") is True
    assert side_of("unsafe", "safe", "unsafe") is False


def test_spellings_are_summed_and_the_larger_sum_wins() -> None:
    tokens = [("False", log(0.3)), (" TRUE", log(0.2)), ("True", log(0.15)), ("the", log(0.1)), ("T", log(0.05))]
    answer = answer_of(tokens, ASK, complete=False)
    assert answer.positive == pytest.approx(0.4)
    assert answer.negative == pytest.approx(0.3)
    assert answer.least == pytest.approx(0.05)
    verdict = answer.verdict(ASK)
    assert verdict.outcome is Outcome.SATISFIED
    assert verdict.score == pytest.approx(0.1)


def test_violated_only_when_the_negative_is_larger() -> None:
    assert Answer(0.25, 0.25).verdict(ASK).outcome is Outcome.SATISFIED
    assert Answer(0.25, 0.26).verdict(ASK).outcome is Outcome.VIOLATED


def test_an_answer_that_was_not_reported_is_at_most_the_least_reported_token() -> None:
    found = answer_of([("yes", log(0.6)), ("FALSE", log(0.3)), ("x", log(0.02))], ASK, complete=False)
    assert found.positive is None
    assert found.margin == pytest.approx(0.02 - 0.3)
    assert found.verdict(ASK).outcome is Outcome.VIOLATED
    assert "p(TRUE) = not reported" in found.verdict(ASK).reason


def test_both_absent_is_unknown() -> None:
    verdict = answer_of([("maybe", log(0.6)), ("x", log(0.3))], ASK, complete=False).verdict(ASK)
    assert verdict.outcome is Outcome.UNKNOWN
    assert "'TRUE'" in verdict.reason
    assert verdict.score is None


def test_with_the_whole_vocabulary_absent_is_zero() -> None:
    answer = answer_of([("maybe", log(0.7)), ("true", log(0.3))], ASK, complete=True)
    assert (answer.positive, answer.negative) == (pytest.approx(0.3), 0.0)
