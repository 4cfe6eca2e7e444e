"""Splits sentences without trained data, close to what the Punkt tokenizer of the public checkers does.

A sentence ends with `.`, `!` or `?` before white space, a closing quote or a bracket. A line break alone ends none.
Not ends: abbreviations, initials and an ellipsis, unless a word follows that commonly opens a sentence; a number's full
stop before a small letter. A list's number (`1. Mix`) is a sentence of its own, as it is for Punkt.
"""

from __future__ import annotations

import re
from itertools import zip_longest

_OPENERS = "\"'([{“‘«*_`"
_CLOSERS = "\"')]}”’»*_`"
_NEVER_LAST_WORDS = """
mr mrs ms dr prof rev hon gen col lt capt sgt gov sen rep st mt vs e.g i.e cf approx fig vol pp messrs dept
"""
_NEVER_LAST = frozenset(_NEVER_LAST_WORDS.split())
_ABBREVIATIONS_WORDS = """
a.m p.m a.s u.s u.k u.n u.s.a d.c ph.d b.a m.a inc ltd co corp bros jr sr ft al est
jan feb mar apr jun jul aug sep sept oct nov dec
"""
_ABBREVIATIONS = frozenset(_ABBREVIATIONS_WORDS.split())
"""These also stand last in a sentence; only what follows can tell."""
_STARTERS_WORDS = """
the a an this that these those he she it they we you his her its their our my your there here if when while since
because although though but and or so yet however therefore thus then also in on at for to as by with from after
before what who why how where which let not no yes now finally next first one some many most each both all
"""
_STARTERS = frozenset(_STARTERS_WORDS.split())
_INITIALS = re.compile(r"(?:[A-Z]\.)+|[^\W\d_]\.")
_NUMBER = re.compile(r"-?[.,]?[0-9][0-9,.-]*\.")
_END_INSIDE = re.compile(r"[!?][])};\"':*@(\[{]")
"""A question or exclamation that a token goes on after: `"Really?", he said`."""


def count_sentences(text: str) -> int:
    """Number of sentences; words after the last full stop count as one more."""
    return len(split_sentences(text))


def split_sentences(text: str) -> list[list[str]]:
    """The sentences, each as its tokens between white space."""
    tokens = text.split()
    sentences: list[list[str]] = []
    current: list[str] = []
    for token, follower in zip_longest(tokens, tokens[1:], fillvalue=""):
        current.append(token)
        if _ends_sentence(token, follower):
            sentences.append(current)
            current = []
    return [*sentences, current] if current else sentences


def _ends_sentence(token: str, follower: str) -> bool:
    core = token.rstrip(_CLOSERS)
    if not core.endswith((".", "!", "?", "…")):
        return bool(follower) and _END_INSIDE.search(token) is not None
    if not follower or core.endswith(("!", "?")):
        return True
    core = core.lstrip(_OPENERS)
    if core.endswith("…"):
        return not _small(follower)
    if core.endswith("..") or _INITIALS.fullmatch(core):
        return _starts_sentence(follower)
    if _NUMBER.fullmatch(core):
        return not _small(follower)
    word = core.rstrip(".").lower()
    if word in _NEVER_LAST:
        return False
    return _starts_sentence(follower) if word in _ABBREVIATIONS else word != "etc" or not _small(follower)


def _small(word: str) -> bool:
    return word.lstrip(_OPENERS)[:1].islower()


def _starts_sentence(word: str) -> bool:
    """Is it a capitalised word that commonly opens a sentence?"""
    bare = re.split(r"[',;:’]", word.lstrip(_OPENERS), maxsplit=1)[0]
    return bare[:1].isupper() and bare.lower() in _STARTERS
