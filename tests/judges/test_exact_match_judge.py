"""The exact-match judge: what counts as the same text, and where the answer stands."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from judges import Row, Verdict
from judges.errors import JudgesError
from judges.registry import create
from judges.rules.exact_match import ExactMatchJudge


def judged(response: str, answer: object, **options: object) -> Verdict:
    return ExactMatchJudge(**options).verdict(Row("q", response, {"answer": answer}))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("response", "answer"),
    [
        ("Paris", "Paris"),
        (" paris.\n", "Paris"),
        ("The  Beatles!", "beatles"),
        ("twenty-one", "Twenty one"),
        ("don’t", "don't"),
        ("“Hamlet”", "Hamlet"),
        ("**Hamlet**", "Hamlet"),
        ("ﬁsh", "fish"),
        ("St. Louis", "St Louis"),
        ("3.5", "3.5"),
        ("−3", "-3"),
        ("1984", 1984),
        ("C", ["B", "C"]),
        ("The", "the"),
        ("straße", "STRASSE"),
        ("東京。", "東京"),
        ("–5", "-5"),
        ("1990–1995", "1990-1995"),
        ("x²", "x^2"),
        ("**5** apples", "5 apples"),
        ("It was 1984.", "it was 1984"),
    ],
)
def test_the_same_after_normalisation(response: str, answer: object) -> None:
    verdict = judged(response, answer)
    assert verdict.outcome == "satisfied", verdict.reason


@pytest.mark.parametrize(
    ("response", "answer"),
    [
        ("It is Paris", "Paris"),
        ("Paris, France", "Paris"),
        ("35", "3.5"),
        ("3", "-3"),
        ("1/2", "12"),
        ("10:30", "1030"),
        ("C++", "C"),
        ("10^5", "105"),
        ("2*3", "23"),
        ("2 * 3", "2 3"),
        ("2(3)", "23"),
        ("a*b", "ab"),
        ("5 - 3", "5 3"),
        ("5%", "5"),
        ("x<5", "x5"),
        ("x²", "x2"),
        ("5!", "5"),
        ("~5", "5"),
        ("=5", "5"),
        ("3 .5", "3 5"),
        (".5", "5"),
        ("", "Paris"),
        (" \n", "Paris"),
        ("B C", ["B", "C"]),
        ("Paris or Rome", "Paris"),
        ("x" * 20_000, "x"),
    ],
)
def test_not_the_same(response: str, answer: object) -> None:
    assert judged(response, answer).outcome == "violated"


@pytest.mark.parametrize("answer", [[], None, True, {"a": 1}, ["a", None], "...", ["ok", ""]])
def test_a_reference_that_says_nothing_is_unknown(answer: object) -> None:
    assert judged("Paris", answer).outcome == "unknown"


def test_what_is_ignored_is_the_users_choice() -> None:
    assert judged("paris", "Paris", ignore_case=False).outcome == "violated"
    assert judged("Paris.", "Paris", ignore_punctuation=False).outcome == "violated"
    assert judged("the Paris", "Paris", ignore_articles=False).outcome == "violated"
    assert judged("Paris  II", "Paris II", ignore_case=False, ignore_punctuation=False).outcome == "satisfied"


@pytest.mark.parametrize(
    ("response", "outcome"),
    [
        ("I think. The final answer is Paris.", "satisfied"),
        ("**The final answer is: St. Louis**", "violated"),
        ("The final answer is: **Paris**.", "satisfied"),
        ("The final answer is Rome. The final answer is Paris.", "violated"),
        ("The final answer is Paris. The final answer is Paris.", "satisfied"),
        ("It is not true that the final answer is Paris.", "violated"),
        ("The final answer is Paris. Bye!", "violated"),
        ("The final answer is", "violated"),
        ("Paris", "violated"),
    ],
)
def test_after_a_phrase(response: str, outcome: str) -> None:
    assert judged(response, "Paris", where="phrase").outcome == outcome


def test_after_a_phrase_an_abbreviation_ends_nothing() -> None:
    assert judged("Answer: St. Louis", "St. Louis", where="phrase", phrase="Answer:").outcome == "satisfied"


def test_the_last_line() -> None:
    assert judged("Let me think.\n\n**Paris**\n", "Paris", where="last_line").outcome == "satisfied"
    assert judged("Paris\nor Rome", "Paris", where="last_line").outcome == "violated"


@pytest.mark.parametrize("options", [{"where": "somewhere"}, {"phrase": " "}, {"ignore_case": "yes"}, {"cases": True}])
def test_wrong_options_are_refused(options: dict) -> None:
    with pytest.raises((JudgesError, ValueError)):
        create("exact_match", options)


@given(st.text(max_size=100))
def test_normalising_twice_changes_nothing_and_every_text_equals_itself(text: str) -> None:
    judge = ExactMatchJudge(ignore_articles=False)
    once = judge.normalised(text)
    assert judged(text, text, ignore_articles=False).outcome == ("satisfied" if once else "unknown") or not text.strip()
