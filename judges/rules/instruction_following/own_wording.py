"""Instructions of our own about words and their order, line beginnings, and the script of the letters."""

from __future__ import annotations

import re
import unicodedata
from itertools import pairwise
from typing import Literal

from judges.rules.instruction_following import pieces
from judges.rules.instruction_following.arguments import Ordinal, Text, Words

Script = Literal[
    "latin", "cyrillic", "greek", "arabic", "hebrew", "devanagari", "bengali", "tamil", "telugu", "thai", "georgian",
    "armenian", "chinese", "japanese", "korean",
]  # fmt: skip
_SCRIPT_NAMES = {
    "chinese": ("CJK", "BOPOMOFO", "IDEOGRAPHIC"),
    "japanese": ("CJK", "HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA", "HALFWIDTH", "IDEOGRAPHIC"),
    "korean": ("HANGUL", "CJK"),
}
"""First words of the letters' Unicode names, where they are not the script's own name."""
_MARKUP = "*_`\"'“”‘’ "
_OPENING = " \t\r\n\"“'*_#"


def start_phrase(text: str, *, phrase: Text) -> bool:
    """The response begins with the phrase and the word ends there; case, quotation marks and markup do not count."""
    wanted, start = phrase.strip().casefold(), text.lstrip(_OPENING).casefold()
    end = len(wanted)
    return start.startswith(wanted) and not (wanted[-1].isalnum() and start[end : end + 1].isalnum())


def line_start(text: str, *, prefix: Text) -> bool:
    """Every line that is not blank begins with the prefix, letter for letter; indentation does not count."""
    return all(line.lstrip().startswith(prefix.strip()) for line in pieces.lines(text))


def keyword_order(text: str, *, keywords: Words) -> bool:
    """The keywords occur as whole words in this order, each after the one before it; case does not count."""
    position = 0
    for keyword in keywords:
        pattern = re.compile(rf"(?<!\w){re.escape(keyword.strip())}(?!\w)", re.IGNORECASE)
        match = pattern.search(text, position)
        if match is None:
            return False
        position = match.end()
    return True


def alphabetical_list(text: str, *, descending: bool = False) -> bool:
    """The items of the list, at least two, stand in alphabetical order; case, accents and markup do not count."""
    items = [_sortable(item) for item in pieces.bullets(text) or [item for _, item in pieces.numbered_items(text)]]
    pairs = pairwise(reversed(items) if descending else items)
    return len(items) > 1 and all(a <= b for a, b in pairs)


def no_repeated_words(text: str, *, min_letters: Ordinal = 1) -> bool:
    """No word of at least so many letters is used twice; case does not count."""
    words = [word for word in pieces.words(text) if len(word) >= min_letters]
    return len(words) == len(set(words))


def no_digits(text: str) -> bool:
    """No digit of any script."""
    return not any(map(str.isdigit, text))


def script(text: str, *, script: Script) -> bool:
    """Every letter belongs to the script, and there is one at least; Chinese characters are Japanese and Korean too."""
    names = _SCRIPT_NAMES.get(script, (script.upper(),))
    letters = [letter for letter in set(text) if letter.isalpha()]
    return bool(letters) and all(unicodedata.name(letter, "").split(" ")[0] in names for letter in letters)


def _sortable(item: str) -> str:
    decomposed = unicodedata.normalize("NFKD", item.strip(_MARKUP))
    return "".join(letter for letter in decomposed if not unicodedata.combining(letter)).casefold()
