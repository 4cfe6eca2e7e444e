"""The pieces of a response that instructions count: words, characters, lines, paragraphs, list items, headings, emoji.

Every function takes linear time, whatever the text. What stands in fenced code is no item and no heading.
"""

from __future__ import annotations

import re
from itertools import groupby

import regex

from judges.rules.blocks import lines_outside

_BULLET = re.compile(r" ?[-*+•][ \t]+(?=\S)")
_RULE = re.compile(r" *([-*])[ \t]*(?:\1[ \t]*){2,}")
_NUMBERED = re.compile(r" ?([0-9]{1,6})[.)][ \t]+(?=\S)")
_HEADING = re.compile(r" {0,3}#{1,6}[ \t]+\S")
_CHARACTER = regex.compile(r"\X")
_FLAG = regex.compile(r"\p{RI}\p{RI}")
_PICTURE = (
    "[\U0001f004\U0001f0cf\U0001f18e\U0001f191-\U0001f19a\U0001f201-\U0001f251\U0001f300-\U0001faff"
    "⌚⌛⏩-⏬⏰⏳◽◾☔☕♈-♓♿⚓⚡⚪⚫⚽⚾⛄⛅⛎⛔⛪⛲⛳⛵⛺⛽✅✊✋✨❌❎❓-❕❗➕-➗➰➿⬛⬜⭐⭕]"
    "|[\u00a9\u00ae\u203c-\u3299]\ufe0f"
)
_EMOJI = re.compile(
    rf"[\U0001f1e6-\U0001f1ff]{{2}}|[0-9#*]\ufe0f?\u20e3"
    rf"|(?:{_PICTURE})[\ufe0f\U0001f3fb-\U0001f3ff\U000e0020-\U000e007f]*"
    rf"(?:\u200d(?:{_PICTURE}|[\u2600-\u27bf])[\ufe0f\U0001f3fb-\U0001f3ff]*)*"
)


def lines(text: str) -> list[str]:
    """The lines that are not blank."""
    return [line for line in text.splitlines() if line.strip()]


def count_lines(text: str) -> int:
    """Lines that are not blank."""
    return len(lines(text))


def count_words(text: str) -> int:
    """Runs between white space with a letter or a digit in them: `well-known` and `don't` are one word each."""
    return sum(1 for token in text.split() if any(map(str.isalnum, token)))


def count_paragraphs(text: str) -> int:
    """Blocks divided by blank lines."""
    return sum(1 for filled, _ in groupby(text.splitlines(), key=lambda line: bool(line.strip())) if filled)


def count_characters(text: str) -> int:
    """Characters as a reader sees them (grapheme clusters), without white space at either end."""
    text = _FLAG.sub("x", text.strip())  # in a long run of flags, `\X` counts from the run's start for every one
    return len(text) if text.isascii() and "\r" not in text else sum(1 for _ in _CHARACTER.finditer(text))


def count_emoji(text: str) -> int:
    """Emoji as people see them: a flag, a family joined by joiners, or a hand with a skin tone is one."""
    return sum(1 for _ in _EMOJI.finditer(text))


def count_headings(text: str) -> int:
    """Markdown headings, `#` to `######`, indented by at most three spaces."""
    return sum(1 for line in lines_outside(text) if _HEADING.match(line))


def bullets(text: str) -> list[str]:
    """Texts of the top-level bullet points: `-`, `*`, `+` or `•` and a space, indented by at most one space."""
    return [
        line[match.end() :]
        for line in lines_outside(text)
        if (match := _BULLET.match(line)) and not _RULE.fullmatch(line)
    ]


def count_bullets(text: str) -> int:
    """Top-level bullet points."""
    return len(bullets(text))


def numbered_items(text: str) -> list[tuple[int, str]]:
    """Number and text of the top-level items `1. …` or `1) …`."""
    return [(int(match[1]), line[match.end() :]) for line in lines_outside(text) if (match := _NUMBERED.match(line))]
