"""The multiple-choice judge: which letter a response settles on."""

from __future__ import annotations

import pytest

from judges import Row, Verdict
from judges.registry import create
from judges.rules.choice import ChoiceJudge


def judged(response: str, answer: object = "B", **metadata: object) -> Verdict:
    return ChoiceJudge().verdict(Row("q", response, {"answer": answer, **metadata}))


@pytest.mark.parametrize(
    "response",
    [
        "B",
        "b",
        "(B)",
        "B.",
        "**B**",
        "**(B)**",
        "$B$",
        r"\boxed{B}",
        r"So it is $\boxed{\text{B}}$.",
        r"\boxed{\textbf{(B) } 12}",
        r"\text{B}",
        "The answer is (B).",
        "The answer is B",
        "The answer is **B**.",
        "The answer is: B) Paris",
        "the correct answer is therefore option B, because it rains.",
        "Answer: B",
        "**Answer:** B",
        "Answer - [B] is unusual. Answer: B",
        "The answer, as we saw, must be B.",
        "I choose B.",
        "I would go with option B here.",
        "The correct option is B.",
        "B is the correct answer.",
        "(B) is right.",
        "B) Paris",
        "B. Paris",
        "B: Paris\n\nParis has been the capital since 987.",
        "A is too small, C is too large. The answer is B.",
        "Let us see.\n\nA) too small\nB) fits\nC) too large\n\nThe answer is B.",
        "The answer is not A. The answer is B.",
        "It cannot be A or C, so it must be (B).",
        "Because it rains, it must be B.",
        "The answer is B. A dog would not do that.",
        "The answer is B. C is too large, and A or D would not fit.",
        "A or C? No: the answer is B.",
        "The answer is (b).",
        "Answer: [b]",
        "Since A is not large enough so it is B",
        "(A) is wrong, so (B).",
        "It is not hard: the answer is B.",
        "Neither A nor C fits, so it must be (B).",
    ],
)
def test_responses_that_choose_b(response: str) -> None:
    verdict = judged(response)
    assert verdict.outcome == "satisfied", verdict.reason
    assert judged(response, "C").outcome == "violated"


@pytest.mark.parametrize(
    "response",
    [
        "",
        "C",
        "A or B",
        "B or C",
        "The answer is B or C.",
        "The answer is B, or maybe C.",
        "The answer is B/C.",
        "The answer is B and C.",
        "The answer is A. The answer is B.",
        r"\boxed{A} \boxed{B}",
        r"\boxed{12}",
        "A) one\nB) two\nC) three",
        "(A) (B) (C)",
        "A, B, C, D, E",
        "The answer is hard to tell.",
        "Be careful, that is a trick.",
        "The answer is not B.",
        "The answer is B. (or C)",
        "The answer is B; no wait, C",
        "I choose B. Actually, C.",
        "(B) or (C)",
        "It is either B or C.",
        "Not B",
        "B is wrong",
        "The answer is none of A, B, C.",
        "A dog barks.",
        "The answer is neither A nor B.",
        "It is neither A, B nor C.",
        "It is certainly not (B).",
        "**B** is wrong.",
        "(B) is clearly not it.",
        "B) is wrong",
        "I cannot say B",
        "The answer cannot be B.",
        "I do not think that the answer is B.",
        "The answer is none of A, or B.",
        "The answer is (b) or (c).",
    ],
)
def test_no_choice_several_and_wrong_ones_are_violated(response: str) -> None:
    verdict = judged(response)
    assert verdict.outcome == "violated", verdict.reason


@pytest.mark.parametrize(
    ("response", "outcome"),
    [
        ("A", "satisfied"),
        ("The answer is A.", "satisfied"),
        ("The answer is A dog.", "violated"),
        ("A: one", "satisfied"),
    ],
)
def test_the_letter_a_is_also_a_word(response: str, outcome: str) -> None:
    assert judged(response, "A").outcome == outcome


def test_choices_of_the_row() -> None:
    choices = ["red", "green", "blue"]
    assert judged("Green.", "green", choices=choices).outcome == "satisfied"
    assert judged("The answer is C.", "blue", choices=choices).outcome == "satisfied"
    assert judged("The answer is C.", "(c)", choices=choices).outcome == "satisfied"
    assert judged("red", "green", choices=choices).outcome == "violated"
    assert judged("The answer is G.", "G", choices={"F": "x", "G": "y"}).outcome == "satisfied"
    # The text of a choice wins over its letter: here "B" is the text of choice A.
    assert judged("The answer is A.", "B", choices=["B", "A"]).outcome == "satisfied"


@pytest.mark.parametrize(
    ("response", "outcome"),
    [
        ("The Pacific.", "satisfied"),
        ("The answer is Pacific", "satisfied"),
        ("The answer is the **Pacific** Ocean.", "satisfied"),
        ("Answer: the Pacific, since it is so wide.", "satisfied"),
        ("I choose the Pacific.", "satisfied"),
        ("The answer is not the Atlantic. The answer is the Pacific.", "satisfied"),
        ("The answer is the South Pacific Ridge", "violated"),
        ("The answer is the Atlantic.", "violated"),
        ("The answer is the Pacific or the Atlantic.", "violated"),
        ("The answer is not the Pacific.", "violated"),
        ("The answer is neither the Atlantic nor the Pacific.", "violated"),
        ("The answer is the Pacific. No wait, the Atlantic.", "violated"),
        ("The answer is Transpacific.", "violated"),
        ("The Pacific and the Atlantic.", "violated"),
    ],
)
def test_a_choice_stated_in_words(response: str, outcome: str) -> None:
    choices = ["Atlantic", "Pacific", "South Pacific Ridge"]
    verdict = judged(response, "Pacific", choices=choices)
    assert verdict.outcome == outcome, verdict.reason


def test_numbers_as_choices_are_whole_numbers() -> None:
    choices = ["3", "13", "3.5", "-3"]
    for said in choices:
        verdict = judged(f"The answer is {said}.", "3", choices=choices)
        assert verdict.outcome == ("satisfied" if said == "3" else "violated"), said


@pytest.mark.parametrize("answer", ["Q", "", None, True, ["B"], "AB"])
def test_a_reference_that_is_no_choice_is_unknown(answer: object) -> None:
    assert judged("B", answer).outcome == "unknown"


@pytest.mark.parametrize("choices", [[], ["one"], "AB", {"first": "x", "second": "y"}, 3])
def test_choices_that_cannot_be_used_are_unknown(choices: object) -> None:
    assert judged("B", "B", choices=choices).outcome == "unknown"


def test_other_letters() -> None:
    judge = ChoiceJudge(letters="ABCDEFGHIJ")
    assert judge.verdict(Row("q", "The answer is I.", {"answer": "I"})).outcome == "satisfied"
    assert judge.verdict(Row("q", "I think it rains.", {"answer": "I"})).outcome == "violated"
    for letters in ("", "AAB", "A1"):
        with pytest.raises(ValueError, match="letters"):
            create("choice", {"letters": letters})
