"""The letters of a multiple-choice answer: where a response states one, and which letters it denies.

A capital letter is one of a choice wherever it stands alone; A and I are words too and need a sign that they are none.
A small letter needs that always (`the answer is d.`, `option b because …`), and counts only where no capital does: `a`
is an article, and b, c, d and e are what mathematics calls its unknowns.

A denial holds for a whole list of letters: `A, B and C are wrong`, `not A, B or C`, `eliminating B and C`.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property, lru_cache

_DENIAL_CHARS = 70

_SIGNS = "…✅✓✔☑<|"
_NOT_A_WORD = rf"(?=\s*(?:$|[.,;:!?()\[\]\n\"'/&{_SIGNS}]|(?:because|since|as|or|and|is|was)\b))"
"""After A and I, which are words: `the answer is A dog` names no choice."""
_NOT_A_NAME = (
    rf"(?=[)\]\"']?\s*(?:$|[,;:!?\n)\]&–—({_SIGNS}]|\.(?!\w)"
    r"|(?:because|since|as|or|and|is|was|so|which|over|but|not|rather|instead)\b))"
)
"""After a small letter: `the answer is c = 5`, `e^2` and `b - 4ac` name no choice."""
_NOT_AN_ARTICLE = rf"(?=[)\]\"']?\s*(?:$|[,;:!?\n)\]{_SIGNS}]|\.(?!\w)|(?:because|since|is)\b|(?:or|and)\s+\w\b))"
_IN_A_LIST = r"(?=\s*(?:$|[,;:/&]|(?:or|and)\b))"
NO_LIST = r"(?![ \t]*(?:(?i:or|and)\b|[,/&]))"

_ANSWER = r"(?:answer|choice|option|respuesta|réponse|antwort|risposta|resposta|ответ)\b"
_ANSWER_JOINED = r"(?:答案|答え|正解|回答|정답|답)"
_IS = r"(?:is|be|es|est|ist|è|é|это)\b"
_SURELY = (
    r"(?:(?:therefore|thus|hence|clearly|indeed|definitely|certainly|obviously|simply|just|probably|most\s+likely|likely"
    r"|in\s+fact|then|also|only)\s+){0,2}"
)
_NAMED = (
    r"(?:the\s+)?(?:(?:option|choice|answer|letter|opción|opcion|opção|réponse|antwort|вариант|选项|選項)\s*:?\s*)?"
)
_CHOOSE = (
    r"(?:\b(?:choos(?:e|ing)|chose|chosen|pick(?:ed|ing)?|select(?:ed|ing)?|go(?:ing)?\s+(?:with|for)|went\s+with|opt(?:ed|ing)?"
    r"\s+for|settled?\s+on|vote\s+for|(?:correct|right|best)\s+(?:option|one)\s+is)|选择?|選擇?)"
)
_RIGHT = r"(?:(?:the|my)\s+)?(?:only\s+|most\s+|final\s+)?(?:correct|right|best|true|answer|choice|pick)\b"
_INTRODUCTION = (
    r"(?:(?:\b(?i:be|is|so|thus|hence|therefore|leaves|choose|pick|say|vote|guess|option|choice|letter|answer|ans|with"
    r"|either|or|and|only|probably|definitely)|['’]s)[.,]?|[:→>…])"
)
_DOUBTS = r"(?:no,?\s+)?(?:or|wait|maybe|perhaps|possibly|actually|rather|instead|alternatively|correction)"

_NEW_CLAUSE = r"\b(?:so|but|hence|thus|therefore|it|must|leaves?|leaving|remains?)\b"
_BETWEEN = r"(?:(?:the|both|either|all|of|options?|choices?|answers?|letters?)\s+)*[(\[\"'*]*"
DENIED_BEFORE = re.compile(
    rf"(?:\b(?:not|cannot|never|false|wrong|incorrect)|n['’]t)\b(?:(?!{_NEW_CLAUSE})[^.!?\n,;:]){{0,30}}\Z"
    rf"|\b(?:neither|nor|none\s+of)\b(?:(?!{_NEW_CLAUSE}|\b(?:fits?|works?|appl(?:y|ies))\b)[^.!?\n;:]){{0,50}}\Z"
    r"|\b(?:eliminat(?:e|es|ed|ing)|(?:rul(?:e|es|ed|ing)|cross(?:es|ed|ing)?)\s+out|exclud(?:e|es|ed|ing)"
    r"|discard(?:s|ed|ing)?|reject(?:s|ed|ing)?|dismiss(?:es|ed|ing)?|except(?:\s+for)?|besides|unlike"
    rf"|(?:other|rather)\s+than|instead\s+of|as\s+opposed\s+to|wrong:|incorrect:|false:)\s+{_BETWEEN}\Z",
    re.IGNORECASE,
)
_WRONG = (
    r"(?:not|wrong|incorrect|false|out|excluded|eliminated|discarded|dismissed|rejected|ruled\s+out|crossed\s+out|neither"
    r"|impossible|implausible|invalid|untrue|irrelevant|too\s+\w+|distractors?)\b"
)
DENIED_AFTER = re.compile(
    r"\**[)\]\"']?\**\s+(?:(?:both|all|each)\s+)?(?:(?:is|are|was|were|would\s+be|(?:can|could|must|may)\s+(?:all\s+|both\s+)?be"
    rf"|ha(?:s|ve)\s+been|seems?|looks?)\s+(?:(?:both|all|also|\w+ly)\s+){{0,2}}{_WRONG}"
    r"|(?:(?:is|are|was|were|ca|wo|would|could|does|do|did)n['’]t|cannot|(?:can|could|would|does|do|did|will)\s+not)\b"
    r"|fails?\b|makes?\s+no\s+sense\b)"
    r"|\**[)\].:]\**\s*(?:(?:incorrect|wrong|false)\b|[✗✘❌])",
    re.IGNORECASE,
)
_ONE_IS = re.compile(
    r"\**[)\]\"']?\**\s+(?:is|was|isn['’]t|wasn['’]t|does|doesn['’]t|fails|makes|seems|looks)\b", re.IGNORECASE
)
_LAST_JOINED = re.compile(r"(?:\band|\bor|\bnor|&|/)[\s(\[\"'*]*(?:option\s+)?[A-Za-z][)\]\"'*]*$")
"""The end of a list whose last letter is joined by a word, not by a comma alone."""


def denied(text: str, start: int, end: int) -> bool:
    """Whether what stands there is denied: "neither A nor B", "certainly not (B)", "B is wrong"."""
    return denied_before(text, start) or bool(DENIED_AFTER.match(text, end))


def denied_before(text: str, start: int) -> bool:
    """Whether what begins there is denied by what precedes it."""
    return bool(DENIED_BEFORE.search(text[max(0, start - _DENIAL_CHARS) : start]))


@dataclass(frozen=True)
class Letters:
    """Patterns for the letters that can be chosen, such as `ABCDE`."""

    some: str

    @cached_property
    def any(self) -> str:
        return f"{self.some}{self.some.lower()}"

    @cached_property
    def _words(self) -> str:
        return "".join(sorted(set(self.some) & set("AI")))

    @cached_property
    def _sure(self) -> str:
        return "".join(sorted(set(self.some) - set("AI")))

    @cached_property
    def capital(self) -> str:
        """A letter that a statement names: a capital one, or one in brackets or quotation marks."""
        bare = [rf"[{self._sure}](?!\w)"] if self._sure else []
        bare += [rf"{letter}(?!\w){_NOT_A_WORD}" for letter in self._words]
        return rf"(?:[(\[\"']\s*[{self.any}]\s*[)\]\"']|{'|'.join(bare)})"

    @cached_property
    def either(self) -> str:
        """A letter that a statement names, a small one too where it can be nothing else."""
        small = [rf"[{self._sure.lower()}](?!\w){_NOT_A_NAME}"] if self._sure else []
        small += [rf"[{self._words.lower()}](?!\w){_NOT_AN_ARTICLE}"] if self._words else []
        return rf"(?:{self.capital}|{'|'.join(small)})"

    @cached_property
    def alone(self) -> re.Pattern[str]:
        """A capital letter in a sentence that is no word."""
        bare = [rf"[{self._sure}](?![\w'’-])"] if self._sure else []
        bare += [rf"[{self._words}]{_IN_A_LIST}", rf"(?<=[Oo]ption )[{self._words}](?!\w)"] if self._words else []
        return re.compile(rf"(?<![\w'’-])(?:{'|'.join(bare)})")

    @cached_property
    def introduced(self) -> re.Pattern[str]:
        """A small letter that begins a sentence, or stands after words that introduce it: `so it must be d`."""
        small = [rf"[{self._sure.lower()}](?![\w'’-]){_NOT_A_NAME}"] if self._sure else []
        small += [rf"[{self._words.lower()}](?![\w'’-]){_NOT_AN_ARTICLE}"] if self._words else []
        return re.compile(
            rf"(?:{_INTRODUCTION}\s+|^(?=\w(?:,|\W*$|\s+(?:because|since|as)\b)))[(\[\"']?(?P<letter>{'|'.join(small)})"
        )

    @cached_property
    def lists(self) -> re.Pattern[str]:
        """Letters that are listed, and single ones; a list ends with the letter after its only `and` or `or`."""
        one = rf"(?:(?i:options?|choices?|answers?)\s+)?[(\[\"'*]{{0,4}}(?<![\w'’-])[{self.any}](?![\w'’-])[)\]\"'*]*"
        conjunction = r"\s*(?:,?\s*\b(?i:and|or|nor)\b|[&/])\s*"
        chain = rf"{one}(?:{conjunction.replace(',?', '')}{one})+"
        last = rf"{conjunction}{one}(?!{conjunction}{one})"
        commas = rf"(?:\s*,\s*{one})"
        return re.compile(rf"{one}{commas}*{last}|{one}{commas}+(?!{conjunction}{one})|{chain}|{one}")


class Denials:
    """Which letters of a text are denied, alone or with the list that they stand in."""

    def __init__(self, text: str, some: str) -> None:
        self.text = text
        self._some = some

    @cached_property
    def _lists(self) -> list[tuple[int, int]]:
        return [match.span() for match in letters(self._some).lists.finditer(self.text)]

    def cover(self, start: int, end: int) -> bool:
        """Whether the letter that stands from `start` to `end` is denied."""
        if denied(self.text, start, end):
            return True
        number = bisect_right(self._lists, (start, len(self.text))) - 1
        if number < 0 or self._lists[number][1] < end:
            return False
        first, last = self._lists[number]
        return denied_before(self.text, first) or self._after(last, end)

    def _after(self, last: int, end: int) -> bool:
        """`A and B are wrong` denies both, `I chose A, B is wrong` only one."""
        found = DENIED_AFTER.match(self.text, last)
        if not found:
            return False
        return bool(_LAST_JOINED.search(self.text, end, last)) or not _ONE_IS.match(self.text, last)


@lru_cache(maxsize=64)
def letters(some: str) -> Letters:
    """The patterns for `some`, made once."""
    return Letters(some)


def stated(plain: str, some: str, denials: Denials) -> list[str]:
    """The letters of statements such as "the answer is B"; denied ones do not count, "B or C" counts as both.

    Small letters that are not in brackets are only looked for where nothing else is stated.
    """
    patterns = letters(some)
    return _claims(plain, some, patterns.capital, denials) or _claims(plain, some, patterns.either, denials)


def _claims(plain: str, some: str, letter: str, denials: Denials) -> list[str]:
    matches = [match for statement in _statements(some, letter) for match in statement.finditer(plain)]
    sure = [match for match in matches if not _denied_claim(match, denials)]
    if not sure:
        return []
    chosen = [_letter_in(match["first"]) for match in sure]
    chosen += [plain[at] for match in sure for at in _others(match, some) if not denials.cover(at, at + 1)]
    # "The answer is B. Or C" and "… no wait, C" take back what was stated before.
    first = min(match.start("first") for match in sure)
    chosen += [_letter_in(match["letter"]) for match in _doubts(letter).finditer(plain, first)]
    return [one.upper() for one in chosen]


def _denied_claim(match: re.Match[str], denials: Denials) -> bool:
    """The stated letter itself: what is said of a list behind it does not concern it."""
    start, end = match.span("first")
    return denied(denials.text, start, end) or (not match["more"] and denials.cover(start, end))


def _letter_in(text: str) -> str:
    return text.strip("()[]\"' \t")[:1]


def _others(match: re.Match[str], some: str) -> list[int]:
    """Where the letters stand that a statement names besides its first."""
    only = re.compile(rf"(?<!\w)[{some}](?!\w)|(?<![\w'’-])[{some.lower()}](?![\w'’-])")
    return [one.start() for one in only.finditer(match.string, match.start("more"), match.end("more"))]


@lru_cache(maxsize=64)
def _statements(some: str, letter: str) -> tuple[re.Pattern[str], ...]:
    any_letter = letters(some).any if "(?:(?:" in letter else some
    named = rf"(?i:{_SURELY}{_NAMED})(?P<first>{letter})"
    joined = r"(?:\s*(?:[,/&]|\b(?i:or|and)\b))+\s*(?:(?i:maybe|perhaps|possibly|also|option|choice)\s+){0,2}"
    more = rf"(?P<more>(?:{joined}{letter}){{0,25}})"
    statements = (
        rf"(?i:(?:\b(?:{_ANSWER}|solution\b)|{_ANSWER_JOINED})[^.!?:=：\n]{{0,40}}?(?:\b{_IS}|[:=]|是|为|為|は|：))\s*[:-]?\s*{named}{more}",
        rf"(?i:{_CHOOSE})\s*{named}{more}",
        rf"(?<!\w)(?P<first>[(\[]?[{any_letter}][)\]]?)(?P<more>\s+(?i:is|must\s+be|would\s+be|seems|looks)"
        rf"\s+(?i:{_RIGHT})|\s+it\s+is(?=\W*$))",
    )
    tagged = rf"(?i:<answer>)\W*(?P<first>[{letters(some).any}])\b(?P<more>)[^<]*(?i:</answer>)"
    return tuple(map(re.compile, (*statements, tagged)))


@lru_cache(maxsize=64)
def _doubts(letter: str) -> re.Pattern[str]:
    return re.compile(
        rf"(?:^|[.,;:!?(\n–—-]\s*)(?i:{_DOUBTS})\b[\s,.:(\[]{{1,4}}(?i:(?:maybe|it\s+is|it's|option)\s+)?(?P<letter>{letter})"
    )


def in_last_sentence(plain: str, some: str) -> list[str]:
    """The letters alone in the last sentence; a small one at its end, after words that introduce it."""
    last = re.split(r"[.!?。！？]\s|[。！？\n]", plain.strip().rstrip(".!?。！？"))[-1]
    denials, patterns = Denials(last, some), letters(some)
    found = [match.span() for match in patterns.alone.finditer(last)] or [
        match.span("letter") for match in patterns.introduced.finditer(last)
    ]
    return [last[start:end].upper() for start, end in found if not denials.cover(start, end)]
