"""Exact match: is the answer one of the accepted texts, whatever its case, punctuation, articles and white space?

The normalisation is that of the SQuAD evaluation (Rajpurkar et al. 2016) with three differences, because there `-3.5`
and `35` become equal: mathematical symbols, signs before a number, what stands between digits, `!` and `%` after them
stay; hyphens and slashes between words become a space (`twenty-one` is `twenty one`); an answer that is an article
alone is kept. Characters are compared after Unicode NFKC, with `²` as `^2`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from itertools import pairwise
from typing import Any, Literal

from judges.judge import Judge, Row
from judges.metadata import texts
from judges.rules.answers import Answer, bare, denied, visible
from judges.verdict import Outcome, Verdict

Where = Literal["response", "phrase", "last_line"]
Normalise = Callable[[str], str]

MAX_CHARS = 10_000
"""An answer that is longer is a text, and no candidate for an exact match."""

_OPERATOR = re.compile(
    r"(?<=[0-9])[^\w\s]+(?=[0-9])"  # 3.5, 10:30, 2*3, 2(3
    r"|(?<=[0-9)] )[-−–*/](?= [0-9(])"  # 5 - 3
    r"|(?<=[\w)])[*](?=[\w(])"  # a*b
    r"|(?<![\w-])[-−–](?=[.]?[0-9])|(?<![\w.-])[.](?=[0-9])"  # -5, .5
    r"|(?<=[0-9])!+(?!\w)|[%‰]"  # 5!, 5%
)
"""Punctuation that says something about a number. What Unicode counts as symbols, such as `+<=>~^|`, stays anyway."""
_DASHES = str.maketrans("−–", "--")
_SUPERSCRIPTS = re.compile(r"[⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻]+")
_BETWEEN_WORDS = re.compile(r"(?<=\w)[-‐‑–—/](?=\w)")
_ARTICLE = re.compile(r"\b(?:a|an|the)\b", re.IGNORECASE)


class ExactMatchJudge(Judge):
    """The answer is one of the texts accepted by metadata `answer`, after normalisation.

    Args:
        where: what is compared: the whole `response`, what follows the last `phrase`, or the `last_line`.
        phrase: the words before the answer, for `where: phrase`. A colon or `is` must be part of it.
        ignore_case: small and capital letters are the same.
        ignore_punctuation: punctuation does not count, except mathematical symbols and what belongs to a number.
        ignore_articles: the words a, an and the do not count.
    """

    requires = frozenset({"answer"})
    version = "3"
    examples = (
        (Row("Capital of France?", "Paris.", {"answer": "Paris"}), Outcome.SATISFIED),
        (Row("Who wrote it?", "the Brothers  Grimm", {"answer": ["Grimm", "Brothers Grimm"]}), Outcome.SATISFIED),
        (Row("Capital of France?", "It is Paris.", {"answer": "Paris"}), Outcome.VIOLATED),
        (Row("Capital of France?", "Paris", {"answer": []}), Outcome.UNKNOWN),
    )

    def __init__(
        self,
        where: Where = "response",
        phrase: str = "The final answer is",
        ignore_case: bool = True,
        ignore_punctuation: bool = True,
        ignore_articles: bool = True,
    ) -> None:
        if not phrase.split():
            raise ValueError("`phrase` is empty")
        self.where = where
        self.phrase = phrase
        self.ignore_case = ignore_case
        self.ignore_punctuation = ignore_punctuation
        self.ignore_articles = ignore_articles

    def judge(self, row: Row) -> Verdict:
        accepted = _accepted(row.metadata["answer"])
        if isinstance(accepted, Verdict):
            return accepted
        wanted = {self.normalised(text): text for text in accepted}
        if "" in wanted:
            return Verdict.unknown(f"nothing is left of the accepted answer {wanted['']!r} after normalisation")
        answer = self._find(row.response)
        if answer.problem:
            return Verdict.violated(answer.problem)
        if len(answer.text) > MAX_CHARS:
            return Verdict.violated(f"the answer is longer than {MAX_CHARS} characters")
        given = self.normalised(answer.text)
        if given in wanted:
            return Verdict.satisfied(f"equals {wanted[given]!r}")
        return Verdict.violated(f"{given[:80]!r} is none of the {len(wanted)} accepted: {', '.join(wanted)[:200]}")

    def normalised(self, text: str) -> str:
        """`text` as it is compared."""
        text = unicodedata.normalize("NFKC", _raised(visible(text)))
        text = text.casefold() if self.ignore_case else text
        text = _without_punctuation(text) if self.ignore_punctuation else text
        if self.ignore_articles:
            text = _ARTICLE.sub(" ", text) if _ARTICLE.sub("", text).strip() else text
        return " ".join(text.split())

    def _find(self, response: str) -> Answer:
        if not response.strip():
            return Answer(problem="empty response")
        if self.where == "response":
            return Answer(response.strip())
        if self.where == "last_line":
            return Answer(bare(response.rstrip()[-MAX_CHARS:].splitlines()[-1]))
        return _after(response, self.phrase, self.normalised)


def _accepted(answer: Any) -> list[str] | Verdict:
    """The accepted answers as texts; or `unknown` when metadata `answer` holds none."""
    answer = texts(answer)
    values = answer if isinstance(answer, (list, tuple)) else [answer]
    if not values:
        return Verdict.unknown("metadata `answer` is an empty list")
    wrong = [value for value in values if isinstance(value, bool) or not isinstance(value, (str, int, float))]
    if wrong:
        kind = type(wrong[0]).__name__
        return Verdict.unknown(f"metadata `answer` must be text or a list of accepted texts, not {kind}")
    return [str(value) for value in values]


def _after(response: str, phrase: str, normalised: Normalise) -> Answer:
    """What follows the last `phrase`, to the end; an earlier one in a line of its own must say the same."""
    text = visible(response).rstrip()
    words = r"\s+".join(re.escape(word) for word in phrase.split())
    phrases = list(re.finditer(rf"(?<![^\W_]){words}", text, re.IGNORECASE))
    if not phrases:
        return Answer(problem=f"the response does not say {phrase!r}")
    if denied(text[: phrases[-1].start()]):
        return Answer(problem="the sentence denies the answer it gives")
    answer = bare(text[phrases[-1].end() :].strip(" \t\n:*_"))
    if not answer:
        return Answer(problem=f"nothing follows {phrase!r}")
    for match, following in pairwise(phrases):
        earlier = text[match.end() : following.start()].strip(" \t:*_").splitlines()
        if not earlier or normalised(answer) != normalised(_first_sentence(earlier[0])):
            return Answer(problem="the response gives several final answers")
    return Answer(answer)


def _first_sentence(line: str) -> str:
    return re.split(r"(?<=[.!?])\s", line[:MAX_CHARS], maxsplit=1)[0]


def _raised(text: str) -> str:
    """`text` with `²` as `^2`, because NFKC makes it `2`."""
    return _SUPERSCRIPTS.sub(r"^\g<0>", text)


def _without_punctuation(text: str) -> str:
    pieces, end = [], 0
    for match in _OPERATOR.finditer(text):
        pieces += [_without_all_punctuation(text, end, match.start()), match[0].translate(_DASHES)]
        end = match.end()
    return "".join([*pieces, _without_all_punctuation(text, end, len(text))])


def _without_all_punctuation(text: str, start: int, end: int) -> str:
    spaced = (" " if _BETWEEN_WORDS.match(text, i) else text[i] for i in range(start, end))
    return "".join("-" if c == "−" else c for c in spaced if not _is_punctuation(c))


def _is_punctuation(character: str) -> bool:
    return unicodedata.category(character).startswith("P") or character == "`"
