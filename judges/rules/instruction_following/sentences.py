"""Sentences, split without trained data, in linear time.

A sentence ends with `.`, `!` or `?` before white space, a closing quote or a bracket. A line break alone ends none.
Not ends: abbreviations, initials and an ellipsis, unless a word follows that commonly opens a sentence; a number's full
stop before a small letter. A list's number (`1. Mix`) is a sentence of its own, as it is for Punkt, the tokenizer of
the public checkers.

There are two ways to count. `split_sentences` also knows the marks that end sentences in other scripts (with or without
a space after them) and abbreviations before a number (`No. 5`), and after `a.m.` or `p.m.` it lets every capital begin
a sentence that names no day and no time zone. `count_as_punkt` comes close to what Punkt makes of a text.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import zip_longest

_OPENERS = "\"'([{“‘«*_`"
_CLOSERS = "\"')]}”’»*_`"
_ENDS = "।॥۔؟።፧។៕။։᠃。！？｡‼⁇⁈⁉‽"
"""Marks that always end a sentence: of Indian languages, Urdu and Arabic, Amharic, Khmer, Burmese, Armenian, Mongolian,
Chinese and Japanese, and double ones."""
_MORE_CLOSERS = _CLOSERS + "」』）】》〉›\ufe0f"
_AFTER_END = re.compile(
    rf"([{_ENDS}][{_ENDS}.!?…]*[{re.escape(_MORE_CLOSERS)}]*|[!?]+(?=[\u3040-\u30ff\u4e00-\u9fff]))"
)
"""After it comes the next sentence, also where no space is put."""
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
_MORE_STARTERS_WORDS = """
i everyone everybody everything someone somebody something anyone anybody anything nobody nothing none neither
either another other others such every any several few much more both whoever whatever whenever wherever whose whom
me him us them mine yours hers ours theirs myself himself herself itself ourselves themselves is are was were be am
do does did don didn doesn has have had can could would shall should might must isn aren wasn weren won wouldn
couldn shouldn please perhaps maybe indeed instead meanwhile moreover furthermore otherwise nevertheless nonetheless
again still soon later earlier eventually suddenly usually often sometimes never always only even just today
tomorrow yesterday tonight once twice until unless during before without within under over between among against
across through near behind beyond despite except like since about above below around inside outside besides given
almost nearly hardly fortunately unfortunately sadly luckily clearly obviously apparently actually really very too
quite two three four five six seven eight nine ten hundreds thousands millions people children bring take make get
give go come see look keep use try ask tell say put leave call check read write close remember note consider imagine
suppose think thank thanks sorry hello hi ok okay well oh
"""
_MORE_STARTERS = _STARTERS | frozenset(_MORE_STARTERS_WORDS.split())
_BEFORE_NUMBERS = frozenset(("no", "nos", "nr", "p", "pp", "fig", "figs", "vol", "vols", "chap", "eq", "eqs"))
_BEFORE_NUMBERS_AS_NAMES = frozenset(("Art", "Sec", "Ch", "Ex", "Op", "App", "Par", "Tab", "Pt"))
"""Words of their own when small: `It is art. 20 came.`"""
_CLOCK = frozenset(("a.m", "p.m"))
_AFTER_CLOCK_WORDS = """
monday tuesday wednesday thursday friday saturday sunday mon tue tues wed thu thur thurs fri sat sun
january february march april may june july august september october november december
eastern central mountain pacific atlantic greenwich utc gmt bst cet cest eet est edt cst cdt mst mdt pst pdt et ct mt pt
ist jst aest
"""
_AFTER_CLOCK = frozenset(_AFTER_CLOCK_WORDS.split())
_INITIALS = re.compile(r"(?:[A-Z]\.)+|[^\W\d_]\.")
_NUMBER = re.compile(r"-?[.,]?[0-9][0-9,.-]*\.")
_END_INSIDE = re.compile(r"[!?][])};\"':*@(\[{]")
"""A question or exclamation that a token goes on after: `"Really?", he said`."""


def count_sentences(text: str) -> int:
    """Number of sentences; words after the last full stop count as one more."""
    return len(split_sentences(text))


def split_sentences(text: str) -> list[list[str]]:
    """The sentences, each as its tokens between white space."""
    return _split(_AFTER_END.sub(r"\1 ", text), _ends_sentence)


def count_as_punkt(text: str) -> int:
    """Number of sentences as the public checkers see them; words after the last full stop count as one more."""
    return len(split_as_punkt(text))


def split_as_punkt(text: str) -> list[list[str]]:
    """The sentences as the public checkers see them, each as its tokens between white space."""
    return _split(text, _ends_as_punkt)


def _split(text: str, ends: Callable[[str, str], bool]) -> list[list[str]]:
    tokens = text.split()
    sentences: list[list[str]] = []
    current: list[str] = []
    for token, follower in zip_longest(tokens, tokens[1:], fillvalue=""):
        current.append(token)
        if ends(token, follower):
            sentences.append(current)
            current = []
    return [*sentences, current] if current else sentences


def _ends_sentence(token: str, follower: str) -> bool:
    if token.rstrip(_MORE_CLOSERS).endswith(tuple(_ENDS)):
        return True
    core = token.rstrip(_CLOSERS).lstrip(_OPENERS)
    word = core.removesuffix(".")
    if word != core and follower and _bare(follower)[:1].isdigit() and _stands_before_numbers(word):
        return False
    if word != core and follower and word.lower() in _CLOCK:
        return _bare(follower)[:1].isupper() and _bare(follower).strip(".!?)").lower() not in _AFTER_CLOCK
    return _ends_as_punkt(token, follower, _MORE_STARTERS)


def _stands_before_numbers(word: str) -> bool:
    return word.lower() in _BEFORE_NUMBERS or word in _BEFORE_NUMBERS_AS_NAMES


def _ends_as_punkt(token: str, follower: str, starters: frozenset[str] = _STARTERS) -> bool:
    core = token.rstrip(_CLOSERS)
    if not core.endswith((".", "!", "?", "…")):
        return bool(follower) and _END_INSIDE.search(token) is not None
    if not follower or core.endswith(("!", "?")):
        return True
    core = core.lstrip(_OPENERS)
    if core.endswith("…"):
        return not _small(follower)
    if core.endswith("..") or _INITIALS.fullmatch(core):
        return _starts_sentence(follower, starters)
    if _NUMBER.fullmatch(core):
        return not _small(follower)
    word = core.rstrip(".").lower()
    if word in _NEVER_LAST:
        return False
    return _starts_sentence(follower, starters) if word in _ABBREVIATIONS else word != "etc" or not _small(follower)


def _small(word: str) -> bool:
    return word.lstrip(_OPENERS)[:1].islower()


def _starts_sentence(word: str, starters: frozenset[str]) -> bool:
    """Is it a capitalised word that commonly opens a sentence?"""
    bare = _bare(word)
    return bare[:1].isupper() and bare.lower() in starters


def _bare(word: str) -> str:
    """Without opening marks, and without what an apostrophe or a comma begins."""
    return re.split(r"[',;:’]", word.lstrip(_OPENERS), maxsplit=1)[0]
