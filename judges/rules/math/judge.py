r"""The math judge: is the final answer right, and given in the format the prompt asked for?

Source: CGPO (arXiv 2409.20370), section on the mixture of judges: the prompt asks to end with "The final answer is
[answer]", which is compared with the reference as mathematics. A right answer in the wrong format is violated on
purpose: it teaches the format.

First it is decided what kind of answer the reference is – a number, an expression, a list, an interval, … – then the
final answer is read as that kind, and compared by the kind's rule (`kinds.py`, `comparison.py`).

A number must be finished. A fraction in lowest terms is, except where the reference is an integer: `1/2` states 0.5,
`3/6` is a division left to the judge (unless the reference is a fraction itself).

What a policy finds out when the check is lenient, and what is therefore violated: several answers (`4 or 5`,
`1, 2, 3`, `\pm 2`, two final sentences), calculations left to the judge (`17 + 25`, `84/2`), equations and
inequalities that mention the answer somewhere (`4 = 5`, `x > 3`), words around it, text after it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal

from judges.judge import Judge, Row
from judges.rules.answers import MAX_ANSWER_CHARS, Answer, after_phrase, bare, in_box, last_number, visible
from judges.rules.math.comparison import same
from judges.rules.math.exact import TooLargeError
from judges.rules.math.kinds import Members, Named, Ordered, Region, Several, Statement, Value, form
from judges.rules.math.reading import Reading, name_of, read
from judges.rules.math.spelling import one_spelling, unicode_as_latex
from judges.rules.math.tree import InWordsError, UnreadableError, count
from judges.rules.numbers import Number, is_unit, read_number
from judges.rules.units import disagree
from judges.verdict import Outcome, Verdict

Format = Literal["phrase", "boxed", "last_number"]

_CHOICE = re.compile(r"\(?([A-E])\)?")
_TEXT = re.compile(r"\\(?:text|textbf|mathrm|mathbf)\s*\{\s*([^{}]*?)\s*\}")
_ASSIGNED = re.compile(r"(?P<name>[^=<>]{1,60}?)\s*=(?![=<>])(?P<value>[^=]+)", re.DOTALL)
_BASE_TEN = re.compile(r"([0-9]+)_(?:10|\{10\})")
_DIFFERS = "differs"
_EMPHASIS = ("**", "__", "*", "_")
_MARKS = (("$", "$"), (r"\(", r"\)"), ("`", "`"), *((mark, mark) for mark in _EMPHASIS))
_BETWEEN_FORMULAS = re.compile(r"\$\s*((?:,|;|\band\b|\bor\b|\\text\{\s*(?:and|or)\s*\})+)\s*\$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Reference:
    """The reference answer: its text, and one of the three ways to read it.

    Attributes:
        text: as it was given, without markup around it.
        name: the key of `x` in `x = 5`, for a number.
        number: what it is, if it is one number.
        choice: the letter, if it is one of A to E.
        reading: what it is otherwise.
    """

    text: str
    name: str = ""
    number: Number | None = None
    choice: str = ""
    reading: Reading | None = None


class MathJudge(Judge):
    """Final answer equal to metadata `answer`, in the last sentence "The final answer is [answer]".

    Args:
        format: where the answer must stand: `phrase`, in a last sentence that begins as `phrase` says; `boxed`, in
            `\\boxed{…}` in the last sentence; `last_number`, the last number anywhere (lenient: for baselines).
        phrase: the words before the answer, for format `phrase`.
    """

    requires = frozenset({"answer"})
    version = "4"
    examples = (
        (Row("17 + 25?", "17 + 25 = 42. The final answer is 42.", {"answer": "42"}), Outcome.SATISFIED),
        (Row("17 + 25?", "The final answer is 43.", {"answer": "42"}), Outcome.VIOLATED),
        (Row("17 + 25?", "It is 42.", {"answer": "42"}), Outcome.VIOLATED),
        (Row("17 + 25?", "The final answer is 42.", {"answer": "\\frac{4"}), Outcome.UNKNOWN),
    )

    def __init__(self, format: Format = "phrase", phrase: str = "The final answer is") -> None:
        if not phrase.split():
            raise ValueError("`phrase` is empty")
        self.format = format
        self.phrase = phrase

    def prepare(self) -> None:
        same(form(read(r"\sqrt{8}").node), form(read(r"2\sqrt{2}").node))

    def judge(self, row: Row) -> Verdict:
        reference = _reference(row.metadata["answer"])
        if isinstance(reference, Verdict):
            return reference
        if not row.response.strip():
            return Verdict.violated("empty response")
        answer = self._find(row.response)
        if answer.problem:
            right = any(_problem(reference, _plain(unicode_as_latex(text))) == "" for text in _elsewhere(row.response))
            prefix = "right answer in the wrong format: " if right else ""
            return Verdict.violated(prefix + answer.problem)
        text = _plain(unicode_as_latex(answer.text).strip())
        problem = _problem(reference, text)
        if problem:
            return Verdict.violated(
                f"{problem}: {text}" if problem != _DIFFERS else f"{text} differs from {reference.text}"
            )
        return Verdict.satisfied(f"{text} equals {reference.text}")

    def _find(self, response: str) -> Answer:
        if self.format == "phrase":
            return after_phrase(response, self.phrase)
        return in_box(response) if self.format == "boxed" else last_number(response)


def _reference(answer: Any) -> _Reference | Verdict:
    """The reference answer as it is read; or `unknown` when it cannot be."""
    if isinstance(answer, bool) or not isinstance(answer, (str, int, float)):
        return Verdict.unknown(f"metadata `answer` must be text or a number, not {type(answer).__name__}")
    text = bare(unicode_as_latex(visible(str(answer))))
    if not text or len(text) > 5 * MAX_ANSWER_CHARS:
        return Verdict.unknown("metadata `answer` is empty" if not text else "metadata `answer` is too long")
    name, value = _assigned(text)
    if (number := _number(value)) is not None:
        return _Reference(text, name=name, number=number)
    if choice := _choice(value):
        return _Reference(text, choice=choice)
    try:
        reading = read(_one_formula(text))
        form(reading.node)
    except UnreadableError as error:
        hint = " (for answers in words there is the judge exact_match)" if isinstance(error, InWordsError) else ""
        return Verdict.unknown(f"the reference answer cannot be read as mathematics{hint}: {text}")
    return _Reference(text, reading=reading)


def _problem(reference: _Reference, text: str) -> str:
    """Why the final answer `text` is wrong; empty when it is right."""
    name, value = _assigned(text)
    if reference.number is not None:
        return _number_problem(reference.number, value) or ("" if _may_be(reference.name, name) else _DIFFERS)
    if reference.choice:
        choice = _choice(value)
        return (
            "the final answer is not one of the choices alone"
            if not choice
            else _DIFFERS * (choice != reference.choice)
        )
    assert reference.reading is not None
    if "".join(reference.text.split()) == "".join(text.split()):
        return ""
    try:
        return _reading_problem(reference.reading, _one_formula(text))
    except InWordsError:
        return "the final answer has words in it"
    except UnreadableError as error:
        return f"the final answer cannot be read ({error})"
    except TooLargeError:
        return "too complex to compare"


def _number_problem(expected: Number, text: str) -> str:
    given = _number(text) or _in_base_ten(text)
    if given is None:
        return "the final answer is not one finished number"
    whole = expected.value.denominator == 1 and not expected.percent
    if given.ratio and (whole or not (given.reduced or expected.ratio)):
        return "the final answer is a division that was not carried out"
    return "" if expected.equals(given) else _DIFFERS


def _number(text: str) -> Number | None:
    r"""The number that is all of `text`, also with `\left(…\right)` around it and other spellings of its signs."""
    return read_number(text) or read_number(_plain(" ".join(one_spelling(text).split())))


def _in_base_ten(text: str) -> Number | None:
    """`54_{10}`, which names its base though it need not."""
    match = _BASE_TEN.fullmatch(text.strip())
    return read_number(match[1]) if match else None


def _reading_problem(reference: Reading, text: str) -> str:
    letters = frozenset(name for name in reference.node.symbols if len(name) == 1)
    answer = read(text, letters, reference.words)
    if count(answer.node, "loop") > count(reference.node, "loop"):
        return "a sum that was not carried out"
    expected, given = form(reference.node), form(answer.node)
    if not disagree(reference.unit, answer.unit) and same(expected, given):
        return ""
    if isinstance(expected, Value) and isinstance(given, (Several, Named, Ordered, Members)):
        return "more than one answer"
    if isinstance(given, (Statement, Region)) and not isinstance(expected, (Statement, Region)):
        return "an equation or relation instead of an answer"
    return _DIFFERS


def _may_be(expected: str, given: str) -> bool:
    """Whether `given` may name what the reference calls `expected`; one of them may have no name, `f(x)` be y."""
    if not expected or not given or expected == given:
        return True
    return "s:y" in (expected, given) and expected[:5] != given[:5] and "()" in expected + given


def _one_formula(text: str) -> str:
    r"""`$x = 2$ or $x = 3$` as one formula with `or` in it."""
    text = text.replace(r"\(", "$").replace(r"\)", "$")
    return bare(_BETWEEN_FORMULAS.sub(r" \1 ", text))


def _assigned(text: str) -> tuple[str, str]:
    """The name and the rest of `x = 5`, the rest bared of markup again; or no name and the whole."""
    match = _ASSIGNED.fullmatch(text)
    if match is None:
        return "", text
    name, value = name_of(bare(match["name"])), bare(match["value"])
    return (name, value) if name and value else ("", text)


def _choice(text: str) -> str:
    r"""The letter, where `text` is one alone: `B`, `(B)`, `\text{B}`, `\textbf{(B)}`; else empty."""
    wrapped = _TEXT.fullmatch(text)
    match = _CHOICE.fullmatch(wrapped[1] if wrapped else text)
    return match[1] if match else ""


def _plain(text: str) -> str:
    """A number without signs around it: `(42)`, `**42** apples`, `[42]` (small models copy the prompt's brackets)."""
    if text[:1] in ("[", "(") and text.endswith({"[": "]", "(": ")"}[text[0]]) and read_number(text[1:-1]):
        return text[1:-1]
    for left, right in _MARKS:
        # What precedes the answer has taken an opening `**` along already: `The final answer is **42** apples`.
        opened = text.removeprefix(left) if text.startswith(left) or left in _EMPHASIS else ""
        inner, mark, rest = opened.partition(right)
        if mark and read_number(inner) and (rest.strip() in ("%", r"\%") or is_unit(rest)):
            return inner + rest
    return text


def _elsewhere(response: str) -> list[str]:
    """Where the right answer might stand in spite of the wrong format: a box, or the last number."""
    return [answer.text for answer in (in_box(response), last_number(response)) if answer.text]
