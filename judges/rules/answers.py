"""Finds the final answer in a response, in the format the prompt asked for, and says what is wrong otherwise."""

from __future__ import annotations

import re
from dataclasses import dataclass

from judges.rules.numbers import is_unit

MAX_ANSWER_CHARS = 200
"""A final answer is short; what is longer is a text, and is not worth a parser's time."""

_INVISIBLE = dict.fromkeys(map(ord, "\u200b\u200c\u200d\u2060\ufeff"))
_SPACES = dict.fromkeys(map(ord, "\u00a0\u2009\u202f"), " ")
_EMPHASIS = r"(?:\*\*|__|\*|_)?"
_NEXT_SENTENCE = re.compile(r"[.?。]\s+\S|(?<!\\)!\s+[^\W\d_]|\n")
_TRAILING = " \t\r\n.。"
_PAIRS = (
    ("$$", "$$"),
    ("$", "$"),
    (r"\(", r"\)"),
    (r"\[", r"\]"),
    ("***", "***"),
    ("**", "**"),
    ("*", "*"),
    ("__", "__"),
    ("`", "`"),
)
_BOX = re.compile(r"\\(?:boxed|fbox)\s*\{")
_DENIAL = re.compile(r"(?:\bnot|n['’]t|\bnever|\bfalse|\bwrong)\b[^.!?\n,;]{0,30}$", re.IGNORECASE)
_DENIAL_CHARS = 60
_MAX_BOXES = 100
_AROUND_BOX = _TRAILING + "!$*)]\\`_"


@dataclass(frozen=True, slots=True)
class Answer:
    """A final answer in the right place, or what is wrong with the format.

    Attributes:
        text: the answer, markup taken off; empty when `problem` is set.
        problem: why there is no answer; empty when there is one.
    """

    text: str = ""
    problem: str = ""


def after_phrase(response: str, phrase: str) -> Answer:
    """The answer in a last sentence `<phrase> [answer].`; markup around phrase and answer is tolerated."""
    text = visible(response).rstrip()
    words = r"\s+".join(re.escape(word) for word in phrase.split())
    opening = re.compile(rf"(?<![^\W_]){words}\s*{_EMPHASIS}\s*:?\s*{_EMPHASIS}\s*", re.IGNORECASE)
    phrases = list(opening.finditer(text))
    if not phrases:
        return Answer(problem=f"the response does not end with {phrase!r} and the answer")
    tail = text[phrases[-1].end() :]
    if denied(text[: phrases[-1].start()]):
        return Answer(problem="the sentence denies the answer it gives")
    answer = bare(tail)
    if not answer:
        return Answer(problem=f"nothing follows {phrase!r}")
    if _NEXT_SENTENCE.search(answer):
        return Answer(problem="there is text after the sentence with the final answer")
    if len(answer) > MAX_ANSWER_CHARS:
        return Answer(problem=f"the final answer is longer than {MAX_ANSWER_CHARS} characters")
    ends = [match.start() for match in phrases[1:]]
    earlier = {bare(re.split(_NEXT_SENTENCE, text[m.end() : end])[0]) for m, end in zip(phrases, ends, strict=False)}
    if earlier - {answer}:
        return Answer(problem="the response gives several final answers")
    return Answer(answer)


def in_box(response: str) -> Answer:
    r"""The content of `\boxed{…}` in the response's last sentence; several boxes must agree."""
    text = visible(response).rstrip()
    openings = list(_BOX.finditer(text))
    if len(openings) > _MAX_BOXES:
        return Answer(problem=f"more than {_MAX_BOXES} boxes")
    boxes = [box for box in (_box_at(text, match) for match in openings) if box is not None]
    if not openings:
        return Answer(problem=r"the response has no \boxed{…}")
    if len(boxes) < len(openings):
        return Answer(problem=r"a \boxed{…} is not closed, or too long")
    if len({bare(content) for content, _ in boxes}) > 1:
        return Answer(problem="the response boxes several answers")
    content, end = boxes[-1]
    answer = bare(content)
    before = text[: openings[-1].start()].rstrip("$*`_")
    if before[-1:].isalnum() or before[-1:] == "-":
        return Answer(problem=r"something is written onto \boxed{…}")
    if denied(before):
        return Answer(problem=r"the sentence denies what it puts into \boxed{…}")
    rest = text[end:].lstrip("$*)]\\`_").rstrip(_AROUND_BOX)
    if rest and not (rest[0].isspace() and is_unit(rest)):
        return Answer(problem=r"there is text after \boxed{…}")
    if not answer or len(answer) > MAX_ANSWER_CHARS:
        return Answer(problem=r"\boxed{…} is empty or too long")
    return Answer(answer)


def last_number(response: str) -> Answer:
    """The last number anywhere in the response: the lenient format, for baselines and foreign data."""
    numbers = re.findall(r"-?(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)(?:\.[0-9]+)?(?:/[0-9]+)?%?", visible(response))
    if not numbers:
        return Answer(problem="the response contains no number")
    if len(numbers[-1]) > MAX_ANSWER_CHARS:
        return Answer(problem=f"the last number is longer than {MAX_ANSWER_CHARS} characters")
    return Answer(numbers[-1])


def denied(before: str) -> bool:
    """Whether the words just before a statement deny it: "it is not true that …"."""
    return _DENIAL.search(before[-_DENIAL_CHARS:]) is not None


def visible(text: str) -> str:
    """`text` without invisible characters, and with plain spaces."""
    return text.translate(_INVISIBLE).translate(_SPACES)


def bare(text: str) -> str:
    r"""`text` without the final full stop and without the markup around it: `**$\boxed{4}$**.` becomes `4`."""
    before = None
    while text != before:
        before = text
        text = _unpaired(_unboxed(text.strip().rstrip(_TRAILING)))
        for left, right in _PAIRS:
            inner = text[len(left) : -len(right)]
            alone = left not in inner.replace(r"\$", "")
            if text.startswith(left) and text.endswith(right) and inner.strip() and alone:
                text = inner
                break
    return text


def _unboxed(text: str) -> str:
    match = _BOX.match(text)
    box = _box_at(text, match) if match else None
    return box[0] if box and box[1] == len(text) else text


def _unpaired(text: str) -> str:
    """Takes off an emphasis mark whose partner stands before the phrase: `**The final answer is 4**`."""
    for mark in ("**", "__", "*", "_"):
        if text.endswith(mark) and text.count(mark) == 1:
            return text.removesuffix(mark)
    return text


def _box_at(text: str, match: re.Match[str]) -> tuple[str, int] | None:
    """Content and end of the box that `match` opens; None when its braces do not balance within a short answer."""
    depth = 1
    for position in range(match.end(), min(len(text), match.end() + 4 * MAX_ANSWER_CHARS)):
        depth += {"{": 1, "}": -1}.get(text[position], 0)
        if depth == 0:
            return text[match.end() : position], position + 1
    return None
