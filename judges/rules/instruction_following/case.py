"""Instructions about capital and small letters."""

from __future__ import annotations

import re

from judges.rules.instruction_following.arguments import Count, Relation, compare
from judges.rules.instruction_following.language import detect

_SIGNS = re.compile(r"[;@#$%&*?!()\[\]{}<>\"“”’–—]|[,:](?![0-9])|\.\.\.|--")
_CLITICS = re.compile(
    r"(?<=\w)(n't|'(?:s|m|d|ll|re|ve))\b|(?<=\bcan)not\b|(?<=\b[gw][oa]n)na\b|(?<=\b(?:lem|gim))me\b|(?<=\bgot)ta\b",
    re.IGNORECASE,
)


def capital_word_frequency(text: str, *, capital_frequency: Count, capital_relation: Relation) -> bool:
    """How many words are all capitals, split as in the Penn Treebank: `IT'S` and `GONNA` are two, `WELL-KNOWN` one."""
    words = _CLITICS.sub(r" \g<0>", _SIGNS.sub(" ", text)).split()
    return compare(sum(1 for word in words if word.isupper()), capital_relation, capital_frequency)


def english_capital(text: str) -> bool:
    """English, without a small letter."""
    return text.isupper() and detect(text) == "en"


def english_lowercase(text: str) -> bool:
    """English, without a capital letter."""
    return text.islower() and detect(text) == "en"
