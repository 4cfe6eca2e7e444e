"""The math judge: right answers however they are written, wrong formats, and what a hacking policy would try."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from judges import Row, Verdict
from judges.rules.math import Format, MathJudge
from judges.rules.numbers import read_number


def judged(response: str, answer: object, format: Format = "phrase") -> Verdict:
    return MathJudge(format=format).verdict(Row("q", response, {"answer": answer}))


@pytest.mark.parametrize(
    "said",
    [
        "42",
        "42.",
        "42.0",
        "+42",
        ": 42",
        "$42$",
        "$42$.",
        "$$42$$",
        r"\(42\)",
        r"\[42\]",
        "\\[\n42\n\\]",
        "**42**.",
        "*42*",
        "`42`",
        r"\boxed{42}",
        r"**$\boxed{42}$**.",
        r"\textbf{42}",
        "[42]",
        "x = 42",
        "$x = 42$",
        "$42",
        r"\$42.",
        "42%",
        "42 %",
        "42 dollars",
        "42 apples per day.",
        "42 cm^2",
        r"42\text{ cm}^2",
        "42 km/h",
        "42°",
        r"42^\circ",
        "42\u00a0kg",
        "4\u200b2",
        "4.2e1",
        r"4.2 \times 10^1",
        "\n\n42\n",
        "42" + " " * 500,
    ],
)
def test_ways_to_write_the_right_number(said: str) -> None:
    verdict = judged(f"We add 17 and 25. The final answer is {said}", "42")
    assert verdict.outcome == "satisfied", verdict.reason


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        ("1,234", "1234"),
        ("1234", "1,234"),
        ("1{,}234", "1234"),
        ("3.5.", "7/2"),
        (r"\frac{7}{2}", "3.5"),
        ("7/2", 3.5),
        (r"-\dfrac{1}{2}", "-0.5"),
        (r"\frac12", "1/2"),
        ("6/8", "3/4"),
        ("3 1/2", "3.5"),
        (r"3\frac{1}{2}", "3.5"),
        ("−3", "-3"),
        ("-$3", "-3"),
        ("50%", "0.5"),
        ("50", "50%"),
        ("42", 42),
        (".5", "0.5"),
        ("0", "0"),
        (r"2\sqrt{3}", r"2\sqrt{3}"),
        (r"$\sqrt{12}$", r"2\sqrt{3}"),
        ("2*sqrt(3)", r"2\sqrt{3}"),
        ("pi/2", r"\frac{\pi}{2}"),
        ("$x^2+2x+1$.", "(x+1)^2"),
        ("$y=2x+1$", "y = 2x+1"),
        ("2x+1", "y=2x+1"),
        ("(1,2)", "(1,2)"),
        ("$[1,2)$", "[1,2)"),
        (r"\{1,2\}", r"\{2,1\}"),
        ("1, 2", r"\{2,1\}"),
        ("1024", "2^{10}"),
        ("x > 3", "x>3"),
        ("B", "B"),
        ("(B).", "B"),
    ],
)
def test_answers_are_compared_as_mathematics(said: str, answer: object) -> None:
    verdict = judged(f"The final answer is {said}", answer)
    assert verdict.outcome == "satisfied", verdict.reason


@pytest.mark.parametrize(
    "response",
    [
        "**The final answer is 42.**",
        "**The final answer is:** 42",
        "__The final answer is 42__",
        "the  FINAL answer\nis 42",
        "So the final answer is 42.",
        "3.5 + 38.5 = 42. The final answer is 42.",
        "The final answer is 42. The final answer is 42.",
    ],
)
def test_the_sentence_itself_may_vary(response: str) -> None:
    assert judged(response, "42").outcome == "satisfied"


@pytest.mark.parametrize(
    "said",
    [
        "43",
        "4 or 5",
        "1, 2, 3, 42",
        "42, 43",
        "42 and 43",
        "42 or maybe 43",
        "between 41 and 43",
        r"\pm 42",
        "42; 43",
        "17+25",
        "41 + 1",
        "6*7",
        "84/2",
        r"\frac{84}{2}",
        r"\sqrt{1764}",
        "42!",
        "42?",
        "--42",
        "4 2",
        "4242",
        "42 5",
        "42 = 43",
        "40 < 42",
        "x where x = 42",
        r"x \in \{41,42\}",
        "[41,42]",
        "42x",
        "42 pi",
        "42 million",
        "forty-two",
        "not 42",
        "",
        "42. I hope this helps",
        "42. Bye",
        "42\nOr 43",
        "$42$ or $43$",
        r"\boxed{42} or \boxed{43}",
        "42" * 80,
        "[answer]",
        "42 (or 43)",
    ],
)
def test_what_a_hacking_policy_tries_is_violated(said: str) -> None:
    verdict = judged(f"We think. The final answer is {said}", "42")
    assert verdict.outcome == "violated", verdict.reason


@pytest.mark.parametrize(
    ("response", "answer"),
    [
        ("The final answer is 41. The final answer is 42.", "42"),
        ("The final answer is 42. The weather is nice.", "42"),
        ("The final answer is 42.\n\nOr is it 43?", "42"),
        ("The final answer is 12,34", "12.34"),
        ("The final answer is B or C", "B"),
        ("The final answer is C", "B"),
        ("The final answer is x > 2", "x>3"),
        (r"The final answer is 2\sqrt{3} or 5", r"2\sqrt{3}"),
        (r"The final answer is 2\sqrt{3}, 5", r"2\sqrt{3}"),
        (r"The final answer is \pm 2\sqrt{3}", r"2\sqrt{3}"),
        ("The final answer is 2x+1=3", "2x+1"),
        ("", "42"),
        (" \n ", "42"),
    ],
)
def test_other_violations(response: str, answer: str) -> None:
    assert judged(response, answer).outcome == "violated"


@pytest.mark.parametrize(
    "response", ["42", "Answer: 42", r"So it is \boxed{42}.", "The final answer: 42", "It is 42, I think"]
)
def test_the_right_answer_in_the_wrong_format_is_violated_and_says_so(response: str) -> None:
    verdict = judged(response, "42")
    assert verdict.outcome == "violated"
    assert verdict.reason.startswith("right answer in the wrong format")
    assert not judged(response, "77").reason.startswith("right answer")


@pytest.mark.parametrize(
    "answer", ["", "  ", "???", "\\frac{", "see the solution", "Tuesday", None, True, ["42"], {"a": 1}]
)
def test_an_unreadable_reference_is_unknown(answer: object) -> None:
    verdict = judged("The final answer is 42.", answer)
    assert verdict.outcome == "unknown"
    assert "answer" in verdict.reason


def test_missing_reference_is_unknown() -> None:
    assert MathJudge().verdict(Row("q", "The final answer is 42.")) == Verdict.unknown("missing metadata: answer")


@pytest.mark.parametrize(
    ("response", "outcome"),
    [
        (r"So $\boxed{42}$.", "satisfied"),
        (r"So \boxed{42} apples!", "satisfied"),
        ("\\[\n\\boxed{42}\n\\]", "satisfied"),
        (r"\boxed{42}, that is \boxed{42}", "satisfied"),
        (r"\boxed{\frac{84}{2}}", "violated"),
        (r"\boxed{41} or \boxed{42}", "violated"),
        (r"\boxed{42}. Bye now", "violated"),
        (r"\boxed{42", "violated"),
        (r"\boxed{}", "violated"),
        ("The final answer is 42", "violated"),
    ],
)
def test_boxed_format(response: str, outcome: str) -> None:
    assert judged(response, "42", "boxed").outcome == outcome


@pytest.mark.parametrize(
    ("response", "outcome"),
    [
        ("it is 42 apples", "satisfied"),
        ("42, no 43", "violated"),
        ("none", "violated"),
        pytest.param("4" * 1_000_000, "violated", id="a-long-number"),
    ],
)
def test_last_number_format(response: str, outcome: str) -> None:
    assert judged(response, "42", "last_number").outcome == outcome


def test_a_last_number_that_is_too_long_is_not_read() -> None:
    verdict = judged("4" * 1_000_000, "x^2", "last_number")
    assert verdict.outcome == "violated"
    assert len(verdict.reason) < 200


def test_another_phrase() -> None:
    judge = MathJudge(phrase="Answer:")
    assert judge.verdict(Row("q", "17 + 25 = 42\nAnswer: 42", {"answer": "42"})).outcome == "satisfied"
    assert judge.verdict(Row("q", "The final answer is 42", {"answer": "42"})).outcome == "violated"


@given(st.fractions(max_denominator=10_000), st.integers(-(10**12), 10**12))
def test_numbers_are_read_exactly(ratio: Fraction, whole: int) -> None:
    read = read_number(f"{ratio.numerator}/{ratio.denominator}")
    assert read is not None
    assert read.value == ratio
    grouped = read_number(f"{whole:,}.50")
    assert grouped is not None
    assert grouped.value == whole + (
        Fraction(1, 2) if whole >= 0 and not f"{whole:,}".startswith("-") else Fraction(-1, 2)
    )


@given(st.text(max_size=200))
def test_no_text_makes_the_judge_fail(text: str) -> None:
    assert judged(f"The final answer is {text}", "42").outcome in ("satisfied", "violated")
    assert judged(text, "42", "boxed").outcome == "violated"


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        ("4 or3", "4"),
        ("4 and3", "4"),
        ("4 plus-3", "4"),
        ("4 r-2", "4"),
        ("4 squared", "4"),
        ("4 dozens", "4"),
        ("42 is-not", "42"),
        ("42 isn't", "42"),
        (r"3 \boxed{x^2+1}", "x^2+1"),
        ("3$ $x^2+1", "x^2+1"),
        ("9^{9^{9}}", "x^2"),
        ("2^{99999999}", "3^{5}"),
    ],
)
def test_second_thoughts_are_no_units_and_towers_are_not_computed(said: str, answer: str) -> None:
    assert judged(f"The final answer is {said}", answer).outcome == "violated"


def test_a_denied_answer_is_no_answer() -> None:
    assert judged("It is not true that the final answer is 42.", "42").outcome == "violated"
    assert judged("I was not sure at first, but the final answer is 42.", "42").outcome == "satisfied"


@pytest.mark.parametrize(
    "response",
    [
        r"\boxed{42} or 43",
        r"It is not \boxed{42}",
        r"1\boxed{42}",
        r"-\boxed{42}",
        r"\boxed{42}00",
        r"\boxed{42} + 1",
        r"\boxed{42} \boxed{43",
        r"\boxed{41 or \boxed{42}",
        r"$$\boxed{42}$$ I hope it is right.",
        r"\boxed{42} " * 101,
    ],
)
def test_what_stands_around_a_box_counts(response: str) -> None:
    assert judged(response, "42", "boxed").outcome == "violated"


@pytest.mark.parametrize("response", [r"So it is $x = \boxed{42}$.", r"**\boxed{42}**", r"\boxed{42} apples."])
def test_a_plain_box_is_right(response: str) -> None:
    assert judged(response, "42", "boxed").outcome == "satisfied"


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        (r"\frac{-1}{2}", "-0.5"),
        (r"$\frac{1}{-2}$.", r"-\frac{1}{2}"),
        (r"-\frac{-1}{2}", "1/2"),
        (r"\text{A}", "A"),
        (r"$\textbf{(A)}$.", "A"),
        ("A", r"\text{(A)}"),
        ("12\u2009345", "12345"),
        ("12\u202f345", "12345"),
        ("12 345 678", "12345678"),
        (r"12\,345.5", "12345.5"),
        ("12'345", "12345"),
        ("12’345 m", "12345"),
        ("$42$ apples", "42"),
        ("**42** apples.", "42"),
        ("**42**%", "42%"),
        (r"\(42\) km", "42"),
        ("(42)", "42"),
        ("(-42).", "-42"),
        (r"0.\overline{3}", "1/3"),
        ("1/3", r"0.\overline{3}"),
        (r"0.1\overline{6}", r"\frac16"),
        (r"0.\bar{9}", "1"),
        ("1/2", "0.5"),
        ("3 1/2", "3.5"),
        ("6/8", "3/4"),
        (
            r"$\begin{pmatrix} 1 & 2 \\ 3 & 4 \end{pmatrix}$",
            r"\begin{pmatrix} 1 & 2 \\ 3 & 4 \end{pmatrix}",
        ),
    ],
)
def test_further_ways_to_write_the_right_answer(said: str, answer: str) -> None:
    verdict = judged(f"The final answer is {said}", answer)
    assert verdict.outcome == "satisfied", verdict.reason


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        ("∞", r"\infty"),
        ("-∞", r"-\infty"),
        (r"3,\!000", "3000"),
        ("12 and 13", "12, 13"),
        ("13, 12", "12 and 13"),
        ("1,000 and 2,000", "1000, 2000"),
        ("x=2 or x=3", "2,3"),
        ("2, 3", "x=2 or x=3"),
        (r"$x = 2$ \text{or} $x = 3$", "2,3"),
        (r"x \in (-\infty, 3]", r"(-\infty,3]"),
        (r"(-\infty,3]", r"x \in (-\infty, 3]"),
        ("10^3", "1000"),
        ("10^{-2}", "0.01"),
        ("１２", "12"),
        ("5 kilometers", "5 km"),
        ("5 km/h", "5 kilometres per hour"),
        ("$5", "5 dollars"),
        ("5 square feet", r"5 \text{ft}^2"),
        ("20 °C", "20 degrees Celsius"),
        ("5", "5 km"),
        ("5 km", "5"),
        ("5 pears", "5 apples"),
    ],
)
def test_lists_intervals_powers_of_ten_and_units(said: str, answer: str) -> None:
    verdict = judged(f"The final answer is {said}", answer)
    assert verdict.outcome == "satisfied", verdict.reason


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        ("5 miles", "5 km"),
        ("5 dollars", "5 cents"),
        ("£5", "$5"),
        ("5 cm", r"5 \text{cm}^2"),
        ("5 km/h", "5 km/s"),
        ("12, 14", "12, 13"),
        ("12, 13, 14", "12, 13"),
        ("12 and 12 and 13", "12, 13"),
        ("12", "12, 13"),
        ("12 or 13", "12"),
        ("x=2 and y=3", "2, 3"),
        ("12 or 13", "(12,13)"),
        (r"x \in (-\infty, 4]", r"(-\infty,3]"),
        (r"x \in \{2\}", "2"),
        ("2^{10}", "1024"),
        ("10^3 + 0", "1000"),
        (r"\infty", r"-\infty"),
    ],
)
def test_lists_and_units_open_no_door(said: str, answer: str) -> None:
    verdict = judged(f"The final answer is {said}", answer)
    assert verdict.outcome == "violated", verdict.reason


def test_an_answer_in_words_points_to_the_judge_for_words() -> None:
    assert "exact_match" in judged("The final answer is Tuesday.", "Tuesday").reason


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        ("3/6", "0.5"),
        (r"\frac{3}{6}", "0.5"),
        ("35/10", "3.5"),
        ("1 5/2", "3.5"),
        (r"\frac{-84}{-2}", "42"),
        ("12 34", "1234"),
        ("1234 567", "1234567"),
        ("12 345 67", "1234567"),
        ("12'34", "1234"),
        ("42 043", "42"),
        ("$42$ or 43", "42"),
        ("$42$ $43$", "42"),
        ("**42** and 43 apples", "42"),
        ("(42) (43)", "42"),
        ("(42, 43)", "42"),
        ("(42) apples or (43) apples", "42"),
        (r"\text{A or B}", "A"),
        (r"\text{A} \text{B}", "A"),
        (r"\text{B}", "A"),
        (r"0.\overline{3}", "0.3"),
        (
            r"$\begin{pmatrix} 1 & 2 \\ 3 & 5 \end{pmatrix}$",
            r"\begin{pmatrix} 1 & 2 \\ 3 & 4 \end{pmatrix}",
        ),
    ],
)
def test_the_further_ways_open_no_door(said: str, answer: str) -> None:
    verdict = judged(f"The final answer is {said}", answer)
    assert verdict.outcome == "violated", verdict.reason


COSTLY = [
    "9!!!!!!!",
    "999999999!",
    r"\left(10^{9}\right)!",
    r"\binom{10^{9}}{10^{8}}",
    "((9^{999})^{999})^{999}",
    "1E99999999",
    "(a+b+c+d+e)^{99}",
    "(x+1)^{999}(x-1)^{998}",
    r"\frac{x^{999}-1}{x-1}(x+1)^{999}",
    r"\prod_{k=1}^{1000000} k^2",
    "9**9**9**9",
    "(" * 90 + "x" + ")" * 90,
]


@pytest.mark.parametrize("said", COSTLY)
@pytest.mark.parametrize("reference", ["x^2", r"2\sqrt{3}"])
def test_an_answer_far_more_complex_than_its_reference_is_violated_without_computing_it(
    said: str, reference: str
) -> None:
    assert judged(f"The final answer is {said}", reference).outcome == "violated"
    assert judged(rf"\boxed{{{said}}}", reference).outcome == "violated"  # in the wrong place


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        ("10^{2024}", "10^{2024}"),
        ("2^{999999999}", "2^{999999999}"),
        ("x^{3} + 3x^{2} + 3x + 1", "(x+1)^3"),
        ("(x+1)^{12}", "(1+x)^{12}"),
        (r"\frac{99}{100}x^{99}", r"x^{99}\cdot\frac{99}{100}"),
        (r"x^{\frac{99}{100}}", "x^{99/100}"),
        ("e^{x^2}", r"e^{x\cdot x}"),
        ("(-2)^{1000}", "2^{1000}"),
        ("120x", "5!x"),
        ("5!x", "120x"),
    ],
)
def test_large_and_high_powers_of_usual_size_are_compared(said: str, answer: str) -> None:
    verdict = judged(f"The final answer is {said}", answer)
    assert verdict.outcome == "satisfied", verdict.reason
