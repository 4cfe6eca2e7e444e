"""Multiple choice: which letter does the response settle on, and is it the right one?

Looked for in this order, and the first kind that is found decides: the response is one letter, or the text of one
choice; `\\boxed{B}`; a statement ("the answer is (B)", "Answer: B", "I choose option B"); a statement in the words of a
choice ("the answer is the Pacific Ocean"); a line that begins with a letter and a bracket, point or colon (`B) text`),
or is a letter; a letter in brackets or in bold; a letter alone in the last sentence ("so it must be B."). Denied
letters ("not (B)", "B is wrong", "neither A nor B") do not count. Different letters of the kind that decides are
several answers: violated. Without any, the response has not chosen: violated.
"""

from __future__ import annotations

import re
import string
from collections.abc import Iterable, Mapping
from typing import Any

from judges.judge import Judge, Row
from judges.metadata import kind_of, structure, value_of
from judges.rules.answers import visible
from judges.verdict import Outcome, Verdict

MAX_LETTERS = 26
_LAST_CHARS = 20_000
"""A final choice stands near the end; what comes before that much text is not looked at."""

_WRAPPER = re.compile(r"\\(?:text|textbf|textit|mathrm|mathbf|mathit|operatorname)\s*\{([^{}]*)\}")
_BOX = re.compile(r"\\(?:boxed|fbox)\s*\{([^{}]{0,200})\}")
_MARKS = re.compile(r"[*_`$]+|\\[()\[\]]")
_NOT_A_WORD = r"(?=\s*(?:$|[.,;:!?()\[\]\n\"'/&]|(?:because|since|as|or|and|is|was)\b))"
"""After A and I, which are words: `the answer is A dog` names no choice."""


_DOUBTS = r"(?:no,?\s+)?(?:or|wait|maybe|perhaps|possibly|actually|rather|instead|alternatively|correction)"
_NO_LIST = r"(?![ \t]*(?:(?i:or|and)\b|[,/&]))"
_IN_A_LIST = r"(?=\s*(?:$|[,;:/&]|(?:or|and)\b))"
_NEW_CLAUSE = r"\b(?:so|but|hence|thus|therefore|it|must)\b"
_DENIED_BEFORE = re.compile(
    rf"(?:\b(?:not|cannot|never|false|wrong|incorrect)|n['’]t)\b(?:(?!{_NEW_CLAUSE})[^.!?\n,;:]){{0,30}}$"
    rf"|\b(?:neither|nor|none\s+of)\b(?:(?!{_NEW_CLAUSE})[^.!?\n;:]){{0,50}}$",
    re.IGNORECASE,
)
_DENIED_AFTER = re.compile(
    r"\**[)\]\"']?\**\s+(?:(?:is|was|are|would\s+be|seems|looks)\s+(?:\w+ly\s+)?"
    r"(?:not|wrong|incorrect|false|out|excluded|eliminated|ruled\s+out|neither)\b"
    r"|(?:(?:is|was|ca|wo|would|could|does)n['’]t|cannot|(?:can|could|would|does|will)\s+not)\b)",
    re.IGNORECASE,
)
_DENIAL_CHARS = 70
_ARTICLE = re.compile(r"(?:the|an?)\s+(?=\S)", re.IGNORECASE)
_LONGEST_CHOICE = 200
_SAID_IN_WORDS = re.compile(
    r"(?i:\b(?:answer|choice|solution)\b[^.!?:=\n]{0,40}?(?:\b(?:is|be)\b|[:=])|\b(?:choose|chose|pick|select|go\s+with)\b)"
    r"(?P<said>[^\n;!?]{1,300}?)(?=\.(?:\s|$)|[\n;!?]|$)"
)


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
    whole = visible(response).strip()
    text = whole[-_LAST_CHARS:]
    plain = _plain(text)
    some = "".join(choices)
    alone = re.fullmatch(rf"\W*([{some}{some.lower()}])\W*", plain) if len(whole) < 50 else None
    kinds = (
        ("the whole response", [alone[1].upper()] if alone else _by_text(whole, choices)),
        ("boxed", [_in_box(content, choices) for content in _BOX.findall(_unwrapped(text))]),
        ("stated", _stated(plain, some)),
        ("stated in words", _stated_in_words(plain, choices)),
        (
            "at the beginning of a line",
            _undenied(rf"(?m)^[ \t>#-]*[(\[]?([{some}])(?:[)\].:][ \t\n]{_NO_LIST}|[)\].:]?$)", plain),
        ),
        ("in brackets", _undenied(rf"[(\[]([{some}])[)\]]", plain)),
        ("in bold", _undenied(rf"\*\*\s*[(\[]?([{some}])[)\].:]{{0,2}}\s*\*\*", text)),
        ("in the last sentence", _in_last_sentence(plain, some)),
    )
    for kind, letters in kinds:
        if letters:
            return kind, set(letters)
    return "", set()


def _stated(plain: str, some: str) -> list[str]:
    """The letters of statements such as "the answer is B"; denied ones do not count, "B or C" counts as both."""
    is_word = set(some) & set("AI")
    sure = "".join(sorted(set(some) - is_word))
    bare = "|".join([rf"[{sure}](?!\w)" if sure else "", *(rf"{letter}(?!\w){_NOT_A_WORD}" for letter in is_word)])
    letter = rf"(?:[(\[\"']\s*[{some}{some.lower()}]\s*[)\]\"']|{bare.strip('|')})"
    letter_alone = rf"[(\[]?[{some}][)\]]?"
    named = rf"(?i:the\s+)?(?:(?i:option|choice|answer|letter)\s*:?\s*)?(?P<first>{letter})"
    joined = r"(?:\s*(?:[,/&]|\b(?i:or|and)\b))+\s*(?:(?i:maybe|perhaps|possibly|also|option|choice)\s+){0,2}"
    more = rf"(?P<more>(?:{joined}{letter}){{0,25}})"
    statements = (
        rf"\b(?i:answer|choice|solution)\b[^.!?:=\n]{{0,40}}?(?:\b(?i:is|be)\b|[:=])\s*[:-]?\s*{named}{more}",
        rf"\b(?i:choose|chose|pick|select|go\s+with|(?:correct|right|best)\s+(?:option|one)\s+is)\s+{named}{more}",
        rf"(?<!\w)(?P<first>{letter_alone})(?P<more>\s+is\s+(?:the\s+)?(?i:correct|right|best|true)\b)",
    )
    matches = [match for statement in statements for match in re.finditer(statement, plain)]
    sure_ones = [match for match in matches if not _denied(plain, match.start("first"), match.end("first"))]
    if not sure_ones:
        return []
    # "The answer is B. Or C" and "… no wait, C" take back what was stated before.
    doubt = rf"(?:^|[.,;:!?(\n–—-]\s*)(?i:{_DOUBTS})\b[\s,.:(\[]{{1,4}}(?i:(?:maybe|it\s+is|it's|option)\s+)?{letter}"
    doubts = re.finditer(doubt, plain[min(match.start("first") for match in sure_ones) :])
    only = re.compile(rf"(?<!\w)[{some}](?!\w)|(?<=[(\[\"'])[{some.lower()}](?=[)\]\"'])")
    claims = [match["first"] + match["more"] for match in sure_ones] + [match[0] for match in doubts]
    return [choice.upper() for text in claims for choice in only.findall(text)]


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
        if not _denied(plain, word.start(), word.end())
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


def _undenied(pattern: str, text: str) -> list[str]:
    """The first group of the pattern's matches, without those that the words around them deny."""
    return [match[1] for match in re.finditer(pattern, text) if not _denied(text, match.start(), match.end(1))]


def _denied(text: str, start: int, end: int) -> bool:
    """Whether what stands there is denied: "neither A nor B", "certainly not (B)", "B is wrong"."""
    before = text[max(0, start - _DENIAL_CHARS) : start]
    return bool(_DENIED_BEFORE.search(before) or _DENIED_AFTER.match(text, end))


def _in_box(content: str, choices: Mapping[str, str]) -> str:
    """The letter in a box, perhaps with the choice's text after it; `?` when the box holds no choice."""
    match = re.fullmatch(rf"\W*([{''.join(choices)}])(?:\W.*)?", _plain(content), re.DOTALL)
    return match[1] if match else next(iter(_by_text(content, choices)), "?")


def _in_last_sentence(plain: str, some: str) -> list[str]:
    last = re.split(r"[.!?]\s|\n", plain.strip().rstrip(".!?"))[-1]
    sure, words = "".join(sorted(set(some) - set("AI"))), "".join(sorted(set(some) & set("AI")))
    letter = "|".join(
        pattern for given, pattern in ((sure, rf"[{sure}](?![\w'’-])"), (words, rf"[{words}]{_IN_A_LIST}")) if given
    )
    letters = re.finditer(rf"(?<![\w'’-])(?:{letter})", last)
    return [match[0] for match in letters if not _denied(last, match.start(), match.end())]


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


def _plain(text: str) -> str:
    """`text` without emphasis, dollar signs and LaTeX around letters."""
    return _MARKS.sub("", _BOX.sub(r"\1", _unwrapped(text)))


def _folded(text: str | Iterable[str]) -> str:
    return " ".join(str(text).casefold().split()).strip(" .*_`$\"'")
