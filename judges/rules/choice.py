"""Multiple choice: which letter does the response settle on, and is it the right one?

Looked for in this order, and the first kind that is found decides: the response is one letter, or the text of one
choice; `\\boxed{B}`; a statement ("the answer is (B)", "Answer: b", "I choose option B"); a statement in the words of a
choice ("the answer is the Pacific Ocean"); a line that begins with a letter and a bracket, point or colon (`B) text`),
or is a letter; a letter in brackets or in bold; a letter alone in the last sentence ("so it must be B."). Denied
letters ("not (B)", "B is wrong", "neither A nor B", "A, B and C are out") do not count. Different letters of the kind
that decides are several answers: violated. Without any, the response has not chosen: violated.

A box that holds neither a letter nor the text of a choice is a result on the way and decides nothing. Small letters of
a kind count where there are no capital ones, and at the beginning of lines, in brackets and in bold only if there is a
single one, because steps are numbered with them.
"""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from judges.judge import Judge, Row
from judges.metadata import kind_of, structure, value_of
from judges.rules.answers import visible
from judges.rules.choice_letters import NO_LIST, Denials, denied, in_last_sentence, letters, stated
from judges.verdict import Outcome, Verdict

MAX_LETTERS = 26
_LAST_CHARS = 20_000
"""A final choice stands near the end; what comes before that much text is not looked at."""

_WRAPPER = re.compile(r"\\(?:text|textbf|textit|mathrm|mathbf|mathit|operatorname)\s*\{([^{}]*)\}")
_BOX = re.compile(r"\\(?:boxed|fbox)\s*\{([^{}]{0,200})\}")
_MARKS = re.compile(r"[*_`$]+|\\[()\[\]]")
_SIGNS: dict[int, int | str] = {
    **{code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)},
    **{0x24B6 + n: string.ascii_uppercase[n] for n in range(26)},
    **{0x24D0 + n: string.ascii_lowercase[n] for n in range(26)},
    **{0x249C + n: f"({string.ascii_lowercase[n]})" for n in range(26)},
    **dict.fromkeys(map(ord, "“”„«»"), '"'),
    ord("【"): "[",
    ord("】"): "]",
}
"""Full-width and circled letters, as Chinese and Japanese texts have them, and quotation marks."""
_BLANKS, _BLANK_LINES = re.compile(r"[^\S\n]+"), re.compile(r" ?\n\s*")
_ARTICLE = re.compile(r"(?:the|an?)\s+(?=\S)", re.IGNORECASE)
_LONGEST_CHOICE = 200
_SAID_IN_WORDS = re.compile(
    r"(?i:\b(?:answer|choice|solution)\b[^.!?:=\n]{0,40}?(?:\b(?:is|be)\b|[:=])|\b(?:choose|chose|pick|select|go\s+with)\b)"
    r"(?P<said>[^\n;!?]{1,300}?)(?=\.(?:\s|$)|[\n;!?]|$)"
)
_DOUBTS = r"(?:no,?\s+)?(?:or|wait|maybe|perhaps|possibly|actually|rather|instead|alternatively|correction)"


class ChoiceJudge(Judge):
    """The response settles on the choice that metadata `answer` names.

    `answer` is a letter (`B`, `(b)`) or the text of one choice. Metadata `choices`, a list of texts or an object of
    letters and texts, says what can be chosen and wins over the option.

    Args:
        letters: the letters that can be chosen, where the metadata has no `choices`.
    """

    requires = frozenset({"answer"})
    version = "3"
    examples = (
        (Row("Pick one.", "A is too small. The answer is (B).", {"answer": "B"}), Outcome.SATISFIED),
        (Row("Pick one.", "B", {"answer": "two", "choices": ["one", "two"]}), Outcome.SATISFIED),
        (Row("Pick one.", "The answer is B or C.", {"answer": "B"}), Outcome.VIOLATED),
        (Row("Pick one.", "The answer is neither A nor B.", {"answer": "B"}), Outcome.VIOLATED),
        (Row("Pick one.", "The answer is hard to tell.", {"answer": "B"}), Outcome.VIOLATED),
        (Row("Pick one.", "B", {"answer": "Q"}), Outcome.UNKNOWN),
    )

    def __init__(self, letters: str = "ABCDE") -> None:
        upper = letters.upper()
        if not upper or len(set(upper)) < len(upper) or not set(upper) <= set(string.ascii_uppercase):
            raise ValueError(f"`letters` must be different letters of A to Z, got {letters!r}")
        self.letters = upper

    def judge(self, row: Row) -> Verdict:
        choices = _choices(structure(value_of(row.metadata, "choices")), self.letters)
        if isinstance(choices, Verdict):
            return choices
        right = _letter_of(row.metadata["answer"], choices)
        if not right:
            among = ", ".join(choices)
            return Verdict.unknown(f"metadata `answer` is none of the choices {among}: {row.metadata['answer']!r}")
        if not row.response.strip():
            return Verdict.violated("empty response")
        kind, letters = _settled(row.response, choices)
        if not letters:
            return Verdict.violated("the response settles on no choice")
        if len(letters) > 1:
            return Verdict.violated(f"several choices ({kind}): {', '.join(sorted(letters))}")
        (letter,) = letters
        return Verdict.of(letter == right, f"chose {letter} ({kind}); right is {right}")


def _choices(given: Any, letters: str) -> dict[str, str] | Verdict:
    """Letter → text of each choice, the text empty when it is not known."""
    if given is None:
        return dict.fromkeys(letters, "")
    if isinstance(given, Mapping):
        pairs = [(str(letter).strip(" ().").upper(), text) for letter, text in given.items()]
    elif isinstance(given, (list, tuple)):
        pairs = list(zip(string.ascii_uppercase, given, strict=False))
    else:
        return Verdict.unknown(f"metadata `choices` must be a list or an object, not {kind_of(given)}")
    usable = all(len(letter) == 1 and letter in string.ascii_uppercase for letter, _ in pairs)
    if not 2 <= len(given) <= MAX_LETTERS or not usable or len(dict(pairs)) < len(given):
        return Verdict.unknown(f"metadata `choices` must be 2 to {MAX_LETTERS} texts, under single letters if named")
    return {letter: str(text) for letter, text in pairs}


def _letter_of(answer: Any, choices: Mapping[str, str]) -> str:
    """The letter that the reference means; empty when it means none, or more than one."""
    if isinstance(answer, bool) or not isinstance(answer, (str, int, float)):
        return ""
    text = str(answer).strip()
    same = [letter for letter, choice in choices.items() if choice and _folded(choice) == _folded(text)]
    if len(same) == 1:
        return same[0]
    letter = _plain(text).strip(" ().:[]").upper()
    return letter if letter in choices and not same else ""


def _settled(response: str, choices: Mapping[str, str]) -> tuple[str, set[str]]:
    """How the response chooses and the letters it chooses so; no letters when it does not choose."""
    whole = visible(response).translate(_SIGNS).strip()
    text = _tidy(whole)
    plain, marked = _plain(text), _unwrapped(text)
    some = "".join(choices)
    denials, among = Denials(plain, some), partial(_among, some=some)
    kinds: tuple[tuple[str, Callable[[], Iterable[str]]], ...] = (
        ("the whole response", lambda: _alone(whole, plain, some) or _by_text(visible(response).strip(), choices)),
        ("boxed", lambda: [letter for box in _BOX.findall(marked) for letter in _in_box(box, choices)]),
        ("stated", lambda: stated(plain, some, denials)),
        ("stated in words", lambda: _stated_in_words(_plain(_tidy(visible(response).strip())), choices)),
        ("at the beginning of a line", lambda: among(_LINE, denials)),
        ("in brackets", lambda: among(_BRACKETS, denials)),
        ("in bold", lambda: among(_BOLD, Denials(marked, some))),
        ("in the last sentence", lambda: in_last_sentence(plain, some)),
    )
    for kind, found in kinds:
        if chosen := set(found()):
            return kind, chosen
    return "", set()


_LINE = rf"(?m)^[ \t>#-]*[(\[]?([{{some}}])(?:[)\].:][ \t\n]{NO_LIST}|[)\].:]?$)"
_BRACKETS = r"(?<![\w)](?=.[a-z]))[(\[]([{some}])[)\]]"
_BOLD = r"\*\*\s*[(\[]?([{some}])[)\].:]{{0,2}}\s*\*\*"


def _among(pattern: str, denials: Denials, some: str) -> list[str]:
    """The capital letters that the pattern finds, without denied ones; else its only small one."""
    for wanted in (some, some.lower()):
        matches = re.finditer(pattern.format(some=wanted), denials.text)
        found = [match[1].upper() for match in matches if not denials.cover(*match.span(1))]
        if found and (wanted.isupper() or len(set(found)) == 1):
            return found
    return []


def _alone(whole: str, plain: str, some: str) -> list[str]:
    match = re.fullmatch(rf"\W*([{some}{some.lower()}])\W*", plain) if len(whole) < 50 else None
    return [match[1].upper()] if match else []


def _stated_in_words(plain: str, choices: Mapping[str, str]) -> list[str]:
    """The choices whose texts stand, as whole words, in statements such as "the answer is the Pacific Ocean"."""
    texts = {_folded(_plain(text)): letter for letter, text in choices.items() if text}
    usable = sorted((text for text in texts if 0 < len(text) <= _LONGEST_CHOICE), key=len, reverse=True)
    if not usable:
        return []
    one_of = "|".join(r"\s+".join(map(re.escape, text.split())) for text in usable)  # the longest is tried first
    words = re.compile(rf"(?<![\w.+−-])(?:{one_of})(?![\w-]|[.,/]\w)", re.IGNORECASE)
    matches = [
        word
        for statement in _SAID_IN_WORDS.finditer(plain)
        for word in words.finditer(plain, statement.start("said"), statement.end("said"))
        if not denied(plain, word.start(), word.end())
    ]
    if matches:
        doubt = (
            rf"(?:^|[.,;:!?(\n–—-]\s*){_DOUBTS}\b[\s,.:]{{1,4}}(?:(?:maybe|it\s+is|it's|the)\s+){{0,2}}{words.pattern}"
        )
        matches += [
            word
            for match in re.finditer(doubt, plain[matches[0].end() :], re.IGNORECASE)
            if (word := words.search(match[0]))
        ]
    return [texts[_folded(word[0])] for word in matches if _folded(word[0]) in texts]


def _in_box(content: str, choices: Mapping[str, str]) -> list[str]:
    """The letters in a box, perhaps with the choice's text after the letter; none when the box holds a value."""
    plain = _plain(content).strip()
    some = "".join(choices)
    listed = letters(some).lists.fullmatch(plain.rstrip(" .:"))
    if listed:
        return [letter.upper() for letter in re.findall(rf"(?<!\w)[{some}{some.lower()}](?!\w)", plain)]
    # `B) 12`, `B: 12`, `B 12`, but not `B = 12`, `B/2`
    named = re.match(rf"(?i:option|choice|answer)?\s*[(\[]*([{some}])(?:[)\].:,]+|\s)\s*(?![=+*/^<>|\\-])\S", plain)
    small = re.match(rf"[(\[]*([{some.lower()}])[)\].:]+\s+\S", plain)
    match = named or small
    return [match[1].upper()] if match else _by_text(content, choices)


def _by_text(whole: str, choices: Mapping[str, str]) -> list[str]:
    """The choice whose text the response is."""
    if len(whole) > 2000:
        return []
    folded = _folded(whole)
    same = [letter for letter, text in choices.items() if text and _folded(text) == folded]
    bare = _ARTICLE.sub("", folded, count=1) if _ARTICLE.match(folded) else folded
    return same or [letter for letter, text in choices.items() if text and _ARTICLE.sub("", _folded(text), 1) == bare]


def _unwrapped(text: str) -> str:
    return _WRAPPER.sub(r"\1", text)


def _tidy(text: str) -> str:
    """The end of `text`, with one blank or line break for several: runs of them would make the searches slow."""
    return _BLANK_LINES.sub("\n", _BLANKS.sub(" ", text[-_LAST_CHARS:]))


def _plain(text: str) -> str:
    """`text` without emphasis, dollar signs and LaTeX around letters."""
    return _MARKS.sub("", _BOX.sub(r"\1", _unwrapped(text)))


def _folded(text: str | Iterable[str]) -> str:
    return " ".join(str(text).casefold().split()).strip(" .*_`$\"'")
