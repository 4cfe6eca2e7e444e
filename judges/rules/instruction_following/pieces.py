"""The pieces of a response that instructions count: words, sentences, lines, paragraphs, list items, emoji.

Every function takes linear time, whatever the text.

Sentences are split without trained data, close to what the Punkt tokenizer of the public checkers does. A sentence ends
with `.`, `!` or `?` before white space, a closing quote or a bracket. A line break alone ends none. Not ends:
abbreviations, initials and an ellipsis, unless a word follows that commonly opens a sentence; a number's full stop
before a small letter. A list's number (`1. Mix`) is a sentence of its own, as it is for Punkt.
"""

from __future__ import annotations

import re
from itertools import groupby, zip_longest

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


# --- sentences -------------------------------------------------------------------------------------------------------

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
