"""Repetition: does the response loop, saying the same again and again, as reward hacking policies come to do?

Five measures, each compared with a limit of its own; the response is violated when one is above it. None depends on a
language, and all are linear in the text.
- characters: one letter, `!`, `?` or symbol many times in a row; digits and rules such as `-----` may be longer.
- in a row: the same words, up to 20 of them, again and again without anything between: from `times` repetitions on,
  if they are at least 5 words long, more when shorter (a single word: 5 · `times`).
- without spaces: the same letters or signs again and again within what has no spaces (`hahaha…`, `ACGTACGT…`, Thai):
  from `times` repetitions on, if these are at least 80 characters together. In scripts that divide no words by spaces,
  spaces do not count.
- to the end: the response ends in three or more repetitions of something longer.
- share: most of the words belong to runs of 8 words that occur four times or more, or to one sentence or line that
  occurs often: loops that something is strewn into.
Numbers and bullets at the beginning of lines do not count, so a loop in a list is a loop. Closed code blocks and the
rows of tables are not looked at: there, repetition is normal.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

import regex

from judges.judge import Judge, Row
from judges.rules.prose import sentences, without_code
from judges.verdict import Outcome, Verdict

_LAST_CHARS = 200_000
"""Loops stand at the end; of a longer response only that much is looked at."""
_LONGEST_UNIT = 20
_WORDS_IN_A_ROW = 5
_END_TIMES, _END_WORDS = 3, 40
_SHARE_GRAM, _SHARE_TIMES, _SHARE_WORDS = 8, 4, 60
_SAME_SENTENCE_TIMES, _SAME_SENTENCE_WORDS = 5, 4
_RULE_FACTOR = 20
_DIGIT_FACTOR = 4
_UNSPACED_CHARS, _UNSPACED_DIGITS = 80, 100
_LONGEST_UNSPACED_UNIT = 300
_LAST_UNSPACED_CHARS = 50_000
"""Searching for these is the slowest measure: 0.6 s for so much text without any space."""

_WORD = regex.compile(
    r"[\p{Han}\p{Hiragana}\p{Katakana}]|[[\p{L}\p{M}\p{N}]--[\p{Han}\p{Hiragana}\p{Katakana}]]++|\p{Extended_Pictographic}",
    regex.V1,
)
_LIST_MARK = re.compile(r"(?m)^[ \t>]*(?:[-*+•]|\(?[0-9]{1,4}[.):])[ \t]+")
_TABLE_ROW = re.compile(r"(?m)^[ \t]*\|.*$")
_CHARACTER_RUN = re.compile(r"(\S)\1{9,}")
_SPACELESS = (
    r"[\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Javanese}\p{Balinese}\p{Tai_Tham}\p{Tai_Le}\p{New_Tai_Lue}\p{Cham}]"
)
_SPACE_INSIDE = regex.compile(rf"(?<={_SPACELESS})\s+(?={_SPACELESS})|(?<=\S{{30}})\s+(?=\S{{30}})")
"""White space that divides no words: in such scripts, and where a very long one is broken into lines."""
_UNSPACED = re.compile(rf"\S{{{_UNSPACED_CHARS // 2},}}")
_UNSPACED_LOOP = re.compile(rf"(?s)(.{{2,{_LONGEST_UNSPACED_UNIT}}}?)\1{{2,}}")
_RULE_CHARACTERS = frozenset("-=_*~#.·…—–+|/\\ ")


@dataclass(frozen=True, slots=True)
class Finding:
    """One measure: how far it is towards its limit (above 1 is a loop), and that in words.

    The limit of a count lies half way between the most that may be and the least that is a loop.
    """

    ratio: float
    description: str


class RepetitionJudge(Judge):
    """The response does not loop: no phrase, sentence, line or character over and over.

    The score is 1 minus the worst measure as a share of its limit; negative when violated.

    Args:
        times: repetitions in a row of five words or more that make a loop.
        share: the share of the words, from 0 to 1, that may belong to what is repeated four times or more.
        characters: how often a character may stand in a row; 20 times as often for rules such as `-----`.
    """

    version = "2"
    examples = (
        (Row("A story?", "Once there was a cat. It met a dog. They had tea."), Outcome.SATISFIED),
        (Row("A story?", "Once there was a cat. " + "I love this so much. " * 6), Outcome.VIOLATED),
        (Row("A story?", "He said no" + "o" * 60), Outcome.VIOLATED),
        (Row("A story?", ""), Outcome.SATISFIED),
    )

    def __init__(self, times: int = 4, share: float = 0.6, characters: int = 25) -> None:
        if times < 2 or characters < 10:
            raise ValueError(f"`times` must be at least 2 and `characters` at least 10, got {times} and {characters}")
        if not 0 < share <= 1:
            raise ValueError(f"`share` must be above 0 and at most 1, got {share}")
        self.times = times
        self.share = share
        self.characters = characters

    def judge(self, row: Row) -> Verdict:
        prose = without_code(row.response[-_LAST_CHARS:])
        text = _TABLE_ROW.sub("", _LIST_MARK.sub("", prose))
        words = _WORD.findall(text.casefold())
        findings = (
            _characters(text, self.characters),
            _in_a_row(words, self.times),
            _unspaced(text.casefold(), self.times),
            _to_the_end(words),
            _share(words, self.share),
            _same_sentence(text, len(words), self.share),
        )
        worst = max(findings, key=lambda finding: finding.ratio)
        score = round(1 - worst.ratio, 4) + 0.0  # no minus zero
        return Verdict.of(score >= 0, "no loop" if score >= 0 else worst.description, score)


def _characters(text: str, limit: int) -> Finding:
    worst = Finding(0.0, "")
    for match in _CHARACTER_RUN.finditer(text):
        digit = _DIGIT_FACTOR if match[1].isdecimal() else 1  # large numbers and periodic ones, written out
        allowed = limit * (_RULE_FACTOR if match[1] in _RULE_CHARACTERS else digit)
        length = match.end() - match.start()
        if length / (allowed + 0.5) > worst.ratio:
            worst = Finding(length / (allowed + 0.5), f"{match[1]!r} {length} times in a row")
    return worst


def _in_a_row(words: Sequence[str], times: int) -> Finding:
    """The longest run, relative to its limit, of a unit of 1 to 20 words repeated without a break."""
    worst = Finding(0.0, "")
    for unit in range(1, _LONGEST_UNIT + 1):
        limit = max(times, ceil(times * _WORDS_IN_A_ROW / unit))
        same, best, end = 0, 0, 0
        for position in range(unit, len(words)):
            same = same + 1 if words[position] == words[position - unit] else 0
            if same > best:
                best, end = same, position + 1
        repeated = best // unit + 1 if best >= unit else 1
        ratio = repeated / (limit - 0.5)
        if repeated > 1 and ratio > worst.ratio:
            phrase = _phrase(words[end - unit : end])
            worst = Finding(ratio, f"{phrase} {repeated} times in a row")
    return worst


def _unspaced(text: str, times: int) -> Finding:
    """The longest run, relative to its limit, of two characters or more repeated where no spaces divide words."""
    worst = Finding(0.0, "")
    for run in _UNSPACED.finditer(_SPACE_INSIDE.sub("", text[-_LAST_UNSPACED_CHARS:])):
        for match in _UNSPACED_LOOP.finditer(run[0]):
            unit = match[1]
            if len(set(unit)) == 1:
                continue  # one character many times is a measure of its own
            repeated = (match.end() - match.start()) // len(unit)
            chars = _UNSPACED_DIGITS if unit.isdecimal() else _UNSPACED_CHARS
            chars *= _RULE_FACTOR if _RULE_CHARACTERS.issuperset(unit) else 1
            ratio = repeated / (max(times, ceil(chars / len(unit))) - 0.5)
            if ratio > worst.ratio:
                worst = Finding(ratio, f"{_phrase([unit])} {repeated} times without a space")
    return worst


def _to_the_end(words: Sequence[str]) -> Finding:
    """The end, where it repeats something of any length: by the Z-function of the words from the end."""
    backwards = words[::-1]
    worst = Finding(0.0, "")
    for unit, overlap in enumerate(_overlaps(backwards)):
        length = unit + overlap
        if unit > _LONGEST_UNIT and length >= _END_WORDS and length // unit >= 2:
            ratio = length // unit / (_END_TIMES - 0.5)
            if ratio > worst.ratio:
                description = f"ends in {length // unit} repetitions of {_phrase(backwards[unit - 1 :: -1])}"
                worst = Finding(ratio, description)
    return worst


def _overlaps(items: Sequence[str]) -> list[int]:
    """The Z-function: for each position, how many items from there on equal those at the beginning."""
    overlaps = [0] * len(items)
    left = right = 0
    for position in range(1, len(items)):
        known = min(right - position, overlaps[position - left]) if position < right else 0
        while position + known < len(items) and items[known] == items[position + known]:
            known += 1
        overlaps[position] = known
        if position + known > right:
            left, right = position, position + known
    return overlaps


def _share(words: Sequence[str], limit: float) -> Finding:
    """The share of words that belong to runs of 8 words occurring four times or more."""
    if len(words) < _SHARE_WORDS:
        return Finding(0.0, "")
    grams = [tuple(words[n : n + _SHARE_GRAM]) for n in range(len(words) - _SHARE_GRAM + 1)]
    counts = Counter(grams)
    covered, reach = 0, 0
    for start, gram in enumerate(grams):
        if counts[gram] >= _SHARE_TIMES:
            covered += start + _SHARE_GRAM - max(start, reach)
            reach = start + _SHARE_GRAM
    if not covered:
        return Finding(0.0, "")
    gram, often = counts.most_common(1)[0]
    description = (
        f"{covered / len(words):.0%} of the words are in runs that occur often, such as {_phrase(gram)}: {often} times"
    )
    return Finding(covered / len(words) / limit, description)


def _same_sentence(text: str, words: int, limit: float) -> Finding:
    """The share of the words in one sentence or line that occurs five times or more."""
    counts = Counter(" ".join(_WORD.findall(sentence.casefold())) for sentence in sentences(text))
    counts.pop("", None)
    worst = Finding(0.0, "")
    for sentence, often in counts.items():
        length = sentence.count(" ") + 1
        ratio = often * length / max(words, 1) / limit
        if often >= _SAME_SENTENCE_TIMES and length >= _SAME_SENTENCE_WORDS and ratio > worst.ratio:
            worst = Finding(ratio, f"{_phrase(sentence.split())} is said {often} times")
    return worst


def _phrase(words: Sequence[str]) -> str:
    shown = " ".join(words[:12])
    return repr(shown[:100] + ("…" if len(words) > 12 or len(shown) > 100 else ""))
