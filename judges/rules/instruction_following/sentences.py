"""Counts sentences without trained data, close to what the Punkt tokenizer of the public checkers does.

A sentence ends with a token that ends in `.`, `!` or `?` (closing quotes and brackets may follow) and stands before
white space or the end. A line break alone ends none. Not ends: abbreviations, initials, a number's full stop before a
small letter, an ellipsis before a small letter.
"""

from __future__ import annotations

import re
from itertools import zip_longest

_CLOSERS = "\"')]}”’»*_`"
_ABBREVIATION_WORDS = """
mr mrs ms dr prof rev hon sr jr st mt ft vs etc e.g i.e cf al inc ltd co corp dept est fig vol pp approx a.m p.m u.s
u.k u.n ph.d b.a m.a jan feb mar apr jun jul aug sep sept oct nov dec gen col lt capt sgt gov sen rep
"""
_ABBREVIATIONS = frozenset(_ABBREVIATION_WORDS.split())
_MAY_END = frozenset(["etc", "a.m", "p.m", "u.s", "u.k", "u.n", "ph.d", "b.a", "m.a", "inc", "ltd", "co", "corp", "jr"])
"""Abbreviations that also stand at a sentence's end: then the next word begins with a capital."""
_INITIAL = re.compile(r"[A-Z]\.")
_NUMBER = re.compile(r"[0-9]+\.")


def count_sentences(text: str) -> int:
    """Number of sentences; words after the last full stop count as one more."""
    tokens = text.split()
    ends = [_ends_sentence(token, follower) for token, follower in zip_longest(tokens, tokens[1:], fillvalue="")]
    return sum(ends) + (1 if ends and not ends[-1] else 0)


def _ends_sentence(token: str, follower: str) -> bool:
    core = token.rstrip(_CLOSERS)
    if not core.endswith((".", "!", "?", "…")):
        return False
    if not follower or core.endswith(("!", "?")):
        return True
    small = follower.lstrip("\"'([{“‘«*_`")[:1].islower()
    if core.endswith(("..", "…")) or _NUMBER.fullmatch(core):
        return not small
    word = core.lstrip("\"'([{“‘«*_`").rstrip(".").lower()
    if word in _ABBREVIATIONS:
        return word in _MAY_END and not small
    return not (_INITIAL.fullmatch(core) and core != "I.")
