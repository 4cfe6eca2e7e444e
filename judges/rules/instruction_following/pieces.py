"""The pieces of a response that instructions of our own count: words, lines, paragraphs, list items, emoji.

Every function takes linear time, whatever the text.
"""

from __future__ import annotations

import re
from itertools import groupby

_BULLET = re.compile(r" ?[-*+•] +(?=\S)")
_NUMBERED = re.compile(r" ?([0-9]{1,6})[.)] +(?=\S)")
_HEADING = re.compile(r"#{1,6} +\S")
_FENCE = "```"
_WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")
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
    """Characters without white space at either end."""
    return len(text.strip())


def count_emoji(text: str) -> int:
    """Emoji as people see them: a flag, a family joined by joiners, or a hand with a skin tone is one."""
    return sum(1 for _ in _EMOJI.finditer(text))


def count_headings(text: str) -> int:
    """Markdown headings, `#` to `######`, outside fenced code."""
    count, fenced = 0, False
    for line in text.splitlines():
        if line.lstrip().startswith(_FENCE):
            fenced = not fenced
        elif not fenced and _HEADING.match(line):
            count += 1
    return count


def bullets(text: str) -> list[str]:
    """Texts of the top-level bullet points: `-`, `*`, `+` or `•` and a space, indented by at most one space."""
    return [line[match.end() :] for line in text.splitlines() if (match := _BULLET.match(line))]


def count_bullets(text: str) -> int:
    """Top-level bullet points."""
    return len(bullets(text))


def numbered_items(text: str) -> list[tuple[int, str]]:
    """Number and text of the top-level items `1. …` or `1) …`."""
    return [(int(match[1]), line[match.end() :]) for line in text.splitlines() if (match := _NUMBERED.match(line))]


def words(text: str) -> list[str]:
    """Words without the signs around them, case folded."""
    return [word.casefold().replace("’", "'") for word in _WORD.findall(text)]


def count_word(text: str, word: str) -> int:
    """How often a word or phrase occurs as whole words; case does not count."""
    return len(re.findall(rf"(?<!\w){re.escape(word.strip())}(?!\w)", text, re.IGNORECASE))
