"""The math judge: is the final answer right, and given in the format the prompt asked for?

Source: CGPO (arXiv 2409.20370), section on the mixture of judges: the prompt asks to end with "The final answer is
[answer]", which is compared with the reference as mathematics. A right answer in the wrong format is violated on
purpose: it teaches the format. Numbers are compared exactly; everything else by math-verify.

A fraction in lowest terms is a finished number, except where the reference is an integer: `1/2` states 0.5, `3/6` is a
division left to the judge (unless the reference is a fraction itself).

What a policy finds out when the check is lenient, and what is therefore violated: several answers (`4 or 5`,
`1, 2, 3`, `\\pm 2`, two final sentences), calculations left to the judge (`17 + 25`, `84/2`), equations and
inequalities that mention the answer somewhere (`4 = 5`, `x > 3`), words around it, text after it.
"""

from __future__ import annotations

import logging
import re
from functools import lru_cache
from typing import Any, Literal

from judges.judge import Judge, Row
from judges.rules.answers import MAX_ANSWER_CHARS, Answer, after_phrase, bare, in_box, last_number, visible
from judges.rules.complexity import too_complex
from judges.rules.numbers import Number, is_unit, read_number
from judges.verdict import Outcome, Verdict

Format = Literal["phrase", "boxed", "last_number"]

_CHOICE = re.compile(r"\(?([A-E])\)?")
_TEXT = re.compile(r"\\(?:text|textbf|mathrm|mathbf)\s*\{\s*([^{}]*?)\s*\}")
_ASSIGNED = re.compile(r"\s*(?:\\[a-z]+|[A-Za-z](?:_\{?\w\}?|'){0,2})(?:\([a-z]\))?\s*=(?!=)")
_COMMAND = re.compile(r"\\(?:begin|end)\s*\{[a-z]*matrix\}|\\(?:text|mathrm|operatorname)\s*\{[^{}]*\}|\\[A-Za-z]+")
_WORD = re.compile(r"[A-Za-z]{2,}")
_FUNCTIONS = frozenset("sin cos tan cot sec csc arcsin arccos arctan log ln exp sqrt pi".split())  # noqa: SIM905
_PLAIN_NAME = re.compile(rf"(?<![\\A-Za-z])(?={'|'.join(sorted(_FUNCTIONS - {'sqrt'}))})")
_PLAIN_ROOT = re.compile(r"(?<![\\A-Za-z])sqrt\s*\(([^()]*)\)")
_SEPARATOR = re.compile(r",|;|\\(?:text|mathrm)\{\s*(?:or|and)\s*\}|\\(?:lor|land|vee|wedge|pm|mp)\b|±")
_RELATION = re.compile(
    r"[<>≤≥≈≠~∈]|\\(?:[lg]eq?s?|neq?|approx|sim|equiv|in|ni|subset|subseteq|to|rightarrow|Rightarrow|implies|iff)\b"
)

_THOUSANDS = re.compile(r"(?<=[0-9]),(?=[0-9]{3}(?![0-9]))")
_JOINED = re.compile(
    r"\s*[,;]?\s*(?:\\(?:text|mathrm)\{\s*(?:or|and)\s*\}|(?<![A-Za-z\\])(?:or|and)(?![A-Za-z]))\s*|\s*[,;]\s*"
)
_NAMED_ITEM = re.compile(r"([A-Za-z](?:_\{?\w\}?)?)\s*=(?!=)\s*")
_MEMBER = re.compile(r"[A-Za-z]\s*(?:∈|\\in(?![A-Za-z]))\s*(?=[(\[\\])")
_SIGNS: dict[int, int | str] = {
    **dict(zip(range(0xFF10, 0xFF1A), "0123456789", strict=True)),
    **str.maketrans("，．－＋％／（）", ",.-+%/()"),
    ord("∞"): r"\infty ",
}
"""Full-width digits and signs, as Chinese and Japanese texts have them."""

_EMPHASIS = ("**", "__", "*", "_")
_MARKS = (("$", "$"), (r"\(", r"\)"), ("`", "`"), *((mark, mark) for mark in _EMPHASIS))


class MathJudge(Judge):
    """Final answer equal to metadata `answer`, in the last sentence "The final answer is [answer]".

    Args:
        format: where the answer must stand: `phrase`, in a last sentence that begins as `phrase` says; `boxed`, in
            `\\boxed{…}` in the last sentence; `last_number`, the last number anywhere (lenient: for baselines).
        phrase: the words before the answer, for format `phrase`.
    """

    requires = frozenset({"answer"})
    version = "3"
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
        _parsed("x")

    def judge(self, row: Row) -> Verdict:
        reference = _reference(row.metadata["answer"])
        if isinstance(reference, Verdict):
            return reference
        if not row.response.strip():
            return Verdict.violated("empty response")
        answer = self._find(row.response)
        if answer.problem:
            right = any(
                not _shape_problem(reference, text) and _equal(reference, text) for text in _elsewhere(row.response)
            )
            prefix = "right answer in the wrong format: " if right else ""
            return Verdict.violated(prefix + answer.problem)
        text = _fitted(reference, _plain(answer.text.translate(_SIGNS).strip()))
        problem = _shape_problem(reference, text)
        if problem:
            return Verdict.violated(f"{problem}: {text}")
        holds = _equal(reference, text)
        return Verdict.of(holds, f"{text} {'equals' if holds else 'differs from'} {reference}")

    def _find(self, response: str) -> Answer:
        if self.format == "phrase":
            return after_phrase(response, self.phrase)
        return in_box(response) if self.format == "boxed" else last_number(response)


def _reference(answer: Any) -> str | Verdict:
    """The reference answer as text; or `unknown` when it cannot be read as mathematics."""
    if isinstance(answer, bool) or not isinstance(answer, (str, int, float)):
        return Verdict.unknown(f"metadata `answer` must be text or a number, not {type(answer).__name__}")
    text = _unassigned(bare(visible(str(answer)).translate(_SIGNS)))
    if read_number(text) is None and not _choice(text):
        text = _MEMBER.sub("", text, count=1) if _MEMBER.match(text) else text
        text = _listed(text) or text
    if not text or len(text) > 5 * MAX_ANSWER_CHARS:
        return Verdict.unknown("metadata `answer` is empty" if not text else "metadata `answer` is too long")
    if read_number(text) is None and not _choice(text) and (_words(text) or not _parsed(text)):
        hint = " (for answers in words there is the judge exact_match)" if _words(text) else ""
        return Verdict.unknown(f"the reference answer cannot be read as mathematics{hint}: {text}")
    return text


def _fitted(reference: str, answer: str) -> str:
    """The answer in the reference's form: `12 and 13` where that is a list, `x \\in [1,2)` where it is no number."""
    if read_number(reference) is not None or _choice(reference):
        return answer
    if _MEMBER.match(answer):
        answer = _MEMBER.sub("", answer, count=1)
    return (_listed(answer) or answer) if _listed(reference) else answer


def _listed(text: str) -> str:
    r"""A plain list of two or more, `2 and 3` or `x=2, x=3`, as `2, 3`; empty when `text` is none.

    What has brackets in it is left alone: there, a comma may mean a pair or an interval.
    """
    inner = text[2:-2] if text.startswith(r"\{") and text.endswith(r"\}") else text
    items = [item.strip().strip("$").strip() for item in _JOINED.split(_THOUSANDS.sub("", inner))]
    if len(items) < 2 or not all(items) or re.search(r"[()\[\]]|\\[{}]", inner):
        return ""
    names = [match[1] if (match := _NAMED_ITEM.match(item)) else "" for item in items]
    if names[0] and set(names) <= {names[0], ""}:
        items = [_NAMED_ITEM.sub("", item, count=1) for item in items]
    return ", ".join(items)


def _shape_problem(reference: str, answer: str) -> str:
    """Why `answer` is not the statement of one finished answer of the reference's kind; empty when it is."""
    expected = read_number(reference)
    if expected is not None:
        return _number_problem(expected, read_number(_unassigned(answer)))
    if _choice(reference):
        return "" if _choice(answer) else "the final answer is not one of the choices alone"
    given = _unassigned(answer)
    if "$" in given or r"\boxed" in given:
        return "more than one formula"
    if not _same_text(reference, given) and too_complex(given, reference):
        return "too complex to compare"
    if _words(given):
        return "the final answer has words in it"
    for pattern, problem in ((_SEPARATOR, "more than one answer"), (_RELATION, "a relation instead of an answer")):
        if len(pattern.findall(given)) > len(pattern.findall(reference)):
            return problem
    return "an equation instead of an answer" if given.count("=") > reference.count("=") else ""


def _number_problem(expected: Number, given: Number | None) -> str:
    if given is None:
        return "the final answer is not one finished number"
    unfinished = expected.value.denominator == 1 or not (given.reduced or expected.ratio)
    if given.ratio and unfinished:
        return "the final answer is a division that was not carried out"
    return ""


def _equal(reference: str, answer: str) -> bool:
    """Mathematical equality of two texts whose shape has been checked."""
    answer = _unassigned(answer)
    expected, given = read_number(reference), read_number(answer)
    if expected is not None:
        return given is not None and expected.equals(given)
    choice = _choice(reference)
    if choice:
        return _choice(answer) == choice
    if _same_text(reference, answer):
        return True
    from math_verify import verify

    # Its own timeouts use signal.alarm; here the worker process is ended instead.
    return any(verify(a, b, timeout_seconds=None) for a in _parsed(reference) for b in _parsed(answer))


def _same_text(a: str, b: str) -> bool:
    return "".join(a.split()) == "".join(b.split())


@lru_cache(maxsize=1024)
def _parsed(text: str) -> tuple[Any, ...]:
    """What math-verify reads in `text`, without the unparsed strings it adds."""
    logging.getLogger("math_verify").setLevel(logging.CRITICAL)  # it warns about the missing timeout on every call
    from math_verify import LatexExtractionConfig, parse

    expressions = parse(f"${_latex(text)}$", [LatexExtractionConfig()], parsing_timeout=None)
    return tuple(item for item in expressions if not isinstance(item, str))


def _latex(text: str) -> str:
    """Plain-text mathematics, such as `2*sqrt(3)` and `pi/2`, as LaTeX; what is LaTeX already stays."""
    text = _PLAIN_ROOT.sub(r"\\sqrt{\1}", text)
    return _PLAIN_NAME.sub(r"\\", text.replace("**", "^").replace("*", r"\cdot "))


def _unassigned(text: str) -> str:
    """`text` without a leading `x =`; what is left is bared of markup again."""
    match = _ASSIGNED.match(text)
    rest = bare(text[match.end() :]) if match else ""
    return rest if match and "=" not in rest else text


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


def _words(text: str) -> bool:
    """Is there a word that is neither a function nor a LaTeX command?"""
    return any(word.lower() not in _FUNCTIONS for word in _WORD.findall(_COMMAND.sub(" ", text)))


def _elsewhere(response: str) -> list[str]:
    """Where the right answer might stand in spite of the wrong format: a box, or the last number."""
    return [answer.text for answer in (in_box(response), last_number(response)) if answer.text]
