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


def next_letter(letter: str) -> str:
    return "ABCDEA"["ABCDE".index(letter) + 1]


@pytest.mark.parametrize(
    ("response", "letter"),
    [
        ("The answer is c.", "C"),
        ("Final answer: b", "B"),
        ("**Answer:** *c*", "C"),
        ("answer: d) 4", "D"),
        ("I pick b.", "B"),
        ("I choose a.", "A"),
        ("I'd go with option a, because it rains.", "A"),
        ("I chose b over c", "B"),
        ("Option b is correct.", "B"),
        ("c is the right answer.", "C"),
        ("The correct option is d", "D"),
        ("The answer is therefore b.", "B"),
        ("The answer is “b”.", "B"),
        ("The answer is d – the last one.", "D"),
        ("answer is d, not b", "D"),
        ("The answer is\n\nd", "D"),
        ("c) Paris", "C"),
        ("(b) Paris", "B"),
        ("e: five", "E"),
        ("**c) Rome**", "C"),
        ("We add them up. **b**", "B"),
        ("so it must be d.", "D"),
        ("It rains. Therefore, d", "D"),
        ("I think it's c.", "C"),
        ("I'd say b, since it rains", "B"),
        ("It must be option c because of the rain.", "C"),
        ("Ans. d", "D"),
        ("d, I think", "D"),
        ("b is my answer", "B"),
        ("A it is", "A"),
        ("<answer>d</answer>", "D"),
        ("<answer>\nA) one\n</answer>", "A"),
        ("The answer is a ✅", "A"),
        (r"So \boxed{(c)}", "C"),
        (r"Hence \boxed{\text{b) } 12}.", "B"),
        ("Ｄ", "D"),
        ("Ⓑ", "B"),
        ("答案：Ｃ", "C"),
        ("答案是D", "D"),
        ("正解は B です", "B"),
        ("La respuesta es b.", "B"),
        ("Die Antwort ist d.", "D"),
        ("Ответ: b", "B"),
        ("정답: D", "D"),
        ("a) compute x\nb) compute y\nSo it must be C.", "C"),
        ("The answer is B. In (a) we saw that d is large.", "B"),
        ("With a = 2 and b = 3, c is 5. Answer: C", "C"),
    ],
)
def test_small_letters_and_other_signs(response: str, letter: str) -> None:
    verdict = judged(response, letter)
    assert verdict.outcome == "satisfied", verdict.reason
    assert judged(response, next_letter(letter)).outcome == "violated"


@pytest.mark.parametrize(
    "response",
    [
        "The answer is a dog.",
        "The answer is a matter of taste",
        "The answer is b^2 - 4ac.",
        "the answer is c = 5",
        "The answer is e.g. Paris",
        "The answer is d/dx of it",
        "The answer is c*d",
        "I choose a quiet life.",
        "The answer is a or b.",
        "The answer is b; no wait, c",
        "It is a, b, or c.",
        "a) one\nb) two\nc) three",
        "E = mc^2",
        r"\boxed{a + b}",
    ],
)
def test_small_letters_that_are_words_values_or_several(response: str) -> None:
    for letter in "ABCD":
        assert judged(response, letter).outcome == "violated"


@pytest.mark.parametrize(
    ("response", "letter"),
    [
        ("v = \\boxed{3 m/s}\n\nFinal answer: C", "C"),
        (r"\boxed{x^2+1}. I choose A.", "A"),
        (r"We get $\boxed{12}$ and $\boxed{15}$. The answer is (B).", "B"),
        (r"$\boxed{-2}$, so the answer is b.", "B"),
        ("\\boxed{C = 5}\nAnswer: D", "D"),
        ("\\boxed{A+B}\nThe answer is E.", "E"),
        (r"The area is \fbox{7}. B) 7", "B"),
        ("\\boxed{0.5}\n\n**D**", "D"),
        (r"\boxed{5} and thus \boxed{D}", "D"),
        ("Answer: B\n\\boxed{17}", "B"),
        ("\\boxed{}\nAnswer: A", "A"),
        (r"\boxed{\text{Option B}}", "B"),
        (r"\boxed{B, since 2 is even}", "B"),
        ("\\boxed{A}\nAnswer: B", "A"),
    ],
)
def test_a_box_that_holds_a_value_decides_nothing(response: str, letter: str) -> None:
    verdict = judged(response, letter)
    assert verdict.outcome == "satisfied", verdict.reason
    assert judged(response, next_letter(letter)).outcome == "violated"


def test_a_box_with_the_text_of_a_choice_or_several_letters() -> None:
    assert judged(r"\boxed{4}. Answer: A", "B", choices=["3", "4"]).outcome == "satisfied"
    assert judged(r"\boxed{5}. Answer: A", "A", choices=["3", "4"]).outcome == "satisfied"
    for several in (r"\boxed{A, C}", r"\boxed{A \text{ or } C}", r"\boxed{A}, \boxed{C}"):
        assert judged(several, "A").outcome == "violated"


@pytest.mark.parametrize(
    ("response", "letter"),
    [
        ("A, B and C are wrong, so it is D.", "D"),
        ("Options A, C, and E are incorrect. It must be B.", "B"),
        ("It cannot be A, B, or D, so C.", "C"),
        ("It is neither A, B nor C; it must be E.", "E"),
        ("Ruling out A and B, we are left with C.", "C"),
        ("After eliminating A, B, and D, only C remains.", "C"),
        ("We can exclude B, C and D, leaving A", "A"),
        ("A/B/C are wrong, so D", "D"),
        ("A & C are out, therefore B.", "B"),
        ("(A), (B) and (D) are false, so (C).", "C"),
        ("Option A, option B and option C can be ruled out, so it must be D", "D"),
        ("Since A and B are both too small, the result is D.", "D"),
        ("A, B, C and E fail, so D.", "D"),
        ("None of A, B or C works, so it must be D.", "D"),
        ("I rejected A and B in favour of C", "C"),
        ("D rather than B or C", "D"),
        ("D, and B and C are wrong.", "D"),
        ("The answer is D, B is wrong.", "D"),
        ("The answer is D, because A, B, and C are not prime.", "D"),
        ("A. Incorrect\nB. Incorrect\nC. Correct", "C"),
        ("Options a and b are wrong, so it must be d.", "D"),
        ("It is not a, b or c, so d", "D"),
        ("D is right, A and B are not.", "D"),
        ("It is not A, B is right", "B"),
        ("I chose A, B is wrong", "A"),
    ],
)
def test_denied_lists(response: str, letter: str) -> None:
    verdict = judged(response, letter)
    assert verdict.outcome == "satisfied", verdict.reason
    for other in set("ABCDE") - {letter}:
        assert judged(response, other).outcome == "violated"


@pytest.mark.parametrize(
    "response",
    [
        "A, B and C are right.",
        "Both A and B are correct.",
        "A and B are wrong, so C or D.",
        "Not A, B or C.",
        "A, B, C, D and E are wrong.",
        "Eliminating A, B.",
    ],
)
def test_lists_that_leave_several_or_none(response: str) -> None:
    for letter in "ABCDE":
        assert judged(response, letter).outcome == "violated"


def test_long_runs_of_blanks_take_no_time() -> None:
    """By a search that tries every division of the run, this took minutes."""
    assert judged("The answer is" + " " * 19_000 + "x").outcome == "violated"
    assert judged("The answer is" + " \n" * 9_000 + "(B)").outcome == "satisfied"
