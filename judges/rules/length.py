"""Length: is the response within a minimum and a maximum of words, characters, sentences, lines or paragraphs?

How they are counted, so that users can tell in advance:
- words: runs of letters and digits, which an apostrophe, hyphen, point or comma between two of them does not end
  (`don't`, `well-known`, `3.5`, `1,000` are one word each). Han characters and kana count one each, because they are
  written without spaces. Thai, Lao, Khmer and Burmese are not taken apart: a run is one word.
- characters: as a reader sees them (grapheme clusters: an emoji with skin tone is one), white space included, without
  that at both ends;
- sentences: as the instruction-following judge counts them;
- lines: those with something on them; paragraphs: divided by empty lines.
Tokens are not counted: their number is the model's affair, and the rollout's `max_tokens` bounds it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import regex

from judges.judge import Judge, Row
from judges.metadata import value_of, whole_number
from judges.rules.instruction_following.pieces import count_characters, count_lines, count_paragraphs
from judges.rules.instruction_following.sentences import count_sentences
from judges.verdict import Outcome, Verdict

Unit = Literal["words", "characters", "sentences", "lines", "paragraphs"]

_IDEOGRAPH = r"[\p{Han}\p{Hiragana}\p{Katakana}ー]"
_LETTER = rf"[[\p{{L}}\p{{M}}\p{{N}}_]--{_IDEOGRAPH}]"
_WORD = regex.compile(rf"{_IDEOGRAPH}|{_LETTER}++(?:['’\-‐‑.,]{_LETTER}++)*+", regex.V1)


class LengthJudge(Judge):
    """The response is neither shorter than `minimum` nor longer than `maximum`.

    Metadata `min_length` and `max_length` win over the options, row by row. The score is the distance to the nearer
    limit, in units; negative outside.

    Args:
        unit: what is counted.
        minimum: how many there must be at least.
        maximum: how many there may be at most.
    """

    version = "3"
    examples = (
        (Row("In brief?", "Yes, of course.", {"min_length": 2, "max_length": 5}), Outcome.SATISFIED),
        (Row("In brief?", "Yes.", {"min_length": 2}), Outcome.VIOLATED),
        (Row("In brief?", "Yes, but not on Sundays.", {"max_length": 4}), Outcome.VIOLATED),
        (Row("In brief?", "Yes."), Outcome.UNKNOWN),
        (Row("In brief?", "Yes.", {"min_length": 5, "max_length": 2}), Outcome.UNKNOWN),
    )

    def __init__(self, unit: Unit = "words", minimum: int | None = None, maximum: int | None = None) -> None:
        problem = _limits_problem(minimum, maximum) if (minimum, maximum) != (None, None) else ""
        if problem:
            raise ValueError(problem)
        self.unit = unit
        self.minimum = minimum
        self.maximum = maximum
        if minimum is None and maximum is None:
            self.requires_any = frozenset({"min_length", "max_length"})

    def judge(self, row: Row) -> Verdict:
        minimum = whole_number(value_of(row.metadata, "min_length", self.minimum))
        maximum = whole_number(value_of(row.metadata, "max_length", self.maximum))
        problem = _limits_problem(minimum, maximum)
        if problem:
            return Verdict.unknown(problem)
        count = COUNTERS[self.unit](row.response)
        margins = [count - minimum] if minimum is not None else []
        margins += [maximum - count] if maximum is not None else []
        margin = min(margins)
        allowed = " and ".join(
            f"{word} {limit}" for word, limit in (("at least", minimum), ("at most", maximum)) if limit is not None
        )
        counted = f"1 {self.unit.removesuffix('s')}" if count == 1 else f"{count} {self.unit}"
        return Verdict.of(margin >= 0, f"{counted}, {allowed} allowed", float(margin))


def count_words(text: str) -> int:
    """How many words there are, by the rule at the top of this file."""
    return sum(1 for _ in _WORD.finditer(text))


COUNTERS: dict[str, Callable[[str], int]] = {
    "words": count_words,
    "characters": count_characters,
    "sentences": count_sentences,
    "lines": count_lines,
    "paragraphs": count_paragraphs,
}


def _limits_problem(minimum: Any, maximum: Any) -> str:
    """What is wrong with the limits; empty when they can be used."""
    given = [limit for limit in (minimum, maximum) if limit is not None]
    if not given:
        return "no limit: neither metadata `min_length` or `max_length` nor an option"
    if not all(isinstance(limit, int) and not isinstance(limit, bool) and limit >= 0 for limit in given):
        return f"limits must be whole numbers from 0 on, got {', '.join(map(repr, given))}"
    return f"the minimum {minimum} is above the maximum {maximum}" if len(given) == 2 and minimum > maximum else ""
