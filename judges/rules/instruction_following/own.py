"""Instructions of our own, a checker each: numbers of things, words and their order, line beginnings, script."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from itertools import pairwise
from typing import Any, Literal

import regex

from judges.rules.instruction_following import phrases, pieces, sentences
from judges.rules.instruction_following.arguments import Count, Ordinal, Text, Words, check_bounds, wanted, within
from judges.rules.instruction_following.instruction_type import Types

TYPES = Types()

# --- numbers of things: exactly, at least or at most so many ---------------------------------------------------------


def _seen(count: Callable[..., int]) -> Callable[..., str]:
    """The number in a text and the bounds that it does not keep; nothing when it keeps them."""

    def seen(
        text: str, *, exactly: int | None = None, at_least: int | None = None, at_most: int | None = None, **given: Any
    ) -> str:
        bounds = (exactly, at_least, at_most)
        number = count(text, **given)
        return "" if within(number, *bounds) else f"{number}, {wanted(*bounds)} wanted"

    return seen


def _counted(id: str, count: Callable[[str], int]) -> None:
    """Declares a type that bounds `count(text)`."""

    @TYPES.add(id, check=check_bounds, seen=_seen(count))
    def checker(
        text: str, *, exactly: Count | None = None, at_least: Count | None = None, at_most: Count | None = None
    ) -> bool:
        return within(count(text), exactly, at_least, at_most)

    checker.__doc__ = count.__doc__


_counted("cgpo:words", pieces.count_words)
_counted("cgpo:sentences", sentences.count_sentences)
_counted("cgpo:paragraphs", pieces.count_paragraphs)
_counted("cgpo:lines", pieces.count_lines)
_counted("cgpo:characters", pieces.count_characters)
_counted("cgpo:bullets", pieces.count_bullets)
_counted("cgpo:headings", pieces.count_headings)
_counted("cgpo:emoji", pieces.count_emoji)


@TYPES.add("cgpo:numbered_list", check=check_bounds, seen=_seen(lambda text: len(pieces.numbered_items(text))))
def numbered_list(
    text: str, *, exactly: Count | None = None, at_least: Count | None = None, at_most: Count | None = None
) -> bool:
    """Top-level items numbered 1, 2, 3 … without a gap, so many of them."""
    numbers = [number for number, _ in pieces.numbered_items(text)]
    return numbers == list(range(1, len(numbers) + 1)) and within(len(numbers), exactly, at_least, at_most)


def _check_bounds_only(word: str, **bounds: int | None) -> None:
    check_bounds(**bounds)


@TYPES.add("cgpo:word_frequency", check=_check_bounds_only, seen=_seen(phrases.count))
def word_frequency(
    text: str,
    *,
    word: Text,
    exactly: Count | None = None,
    at_least: Count | None = None,
    at_most: Count | None = None,
) -> bool:
    """How often a word or phrase occurs as whole words; case does not count."""
    return within(phrases.count(text, word), exactly, at_least, at_most)


@TYPES.add("cgpo:sentence_length")
def sentence_length(text: str, *, max_words: Ordinal) -> bool:
    """No sentence has more words than this."""
    return all(pieces.count_words(" ".join(sentence)) <= max_words for sentence in sentences.split_sentences(text))


# --- words, their order, line beginnings, script ---------------------------------------------------------------------

Script = Literal[
    "latin", "cyrillic", "greek", "arabic", "hebrew", "devanagari", "bengali", "tamil", "telugu", "thai", "georgian",
    "armenian", "chinese", "japanese", "korean",
]  # fmt: skip
_SCRIPTS = {"chinese": ("Han", "Bopomofo"), "japanese": ("Han", "Hiragana", "Katakana"), "korean": ("Hangul", "Han")}
"""Unicode's scripts, where they are not the one of the same name."""
_NO_SCRIPT = regex.compile(r"\p{scx=Common}|\p{scx=Inherited}")
_MICRO = "µ"
_MARKUP = "*_`\"'“”‘’ "
_ACCENT = regex.compile(r"\p{sc=Inherited}+")
_HAN = regex.compile(r"\p{Han}")


@TYPES.add("cgpo:start_phrase")
def start_phrase(text: str, *, phrase: Text) -> bool:
    """The response begins with the phrase, and its last word ends there; case does not count.

    Quotation marks and markup before the phrase do not count either; those that it begins with itself must be there.
    """
    return phrases.begins(text, phrase)


@TYPES.add("cgpo:line_start")
def line_start(text: str, *, prefix: Text) -> bool:
    """Every line that is not blank begins with the prefix, letter for letter; indentation does not count."""
    start = phrases.seen(prefix).lstrip()
    return all(_begins_line(phrases.seen(line).lstrip(), start) for line in pieces.lines(text))


def _begins_line(line: str, start: str) -> bool:
    """Any white space serves for a space at the end of the prefix, and so does the line's end."""
    mark = start.rstrip()
    return line.startswith(mark) and (mark == start or not line[len(mark) :][:1].strip())


@TYPES.add("cgpo:keyword_order")
def keyword_order(text: str, *, keywords: Words) -> bool:
    """The keywords occur as whole words in this order, each after the one before it; case does not count."""
    return phrases.in_order(text, keywords)


@TYPES.add("cgpo:alphabetical_list")
def alphabetical_list(text: str, *, descending: bool = False) -> bool:
    """The items of the list, at least two, stand in alphabetical order; case, accents and markup do not count."""
    items = [_sortable(item) for item in pieces.bullets(text) or [item for _, item in pieces.numbered_items(text)]]
    pairs = pairwise(reversed(items) if descending else items)
    return len(items) > 1 and all(a <= b for a, b in pairs)


@TYPES.add("cgpo:no_repeated_words")
def no_repeated_words(text: str, *, min_letters: Ordinal = 1) -> bool:
    """No word of at least so many letters is used twice; case does not count."""
    words = [word for word in phrases.words(text) if sum(map(str.isalnum, word)) >= min_letters]
    return len(words) == len(set(words))


@TYPES.add("cgpo:no_digits")
def no_digits(text: str) -> bool:
    """No digit of any script and no other sign for a number (`½`, `⑪`, `x²`, `Ⅳ`); Chinese numerals are words."""
    return not any(unicodedata.category(sign).startswith("N") and not _HAN.match(sign) for sign in set(text))


@TYPES.add("cgpo:script")
def script(text: str, *, script: Script) -> bool:
    """Every letter belongs to the script, and there is one at least; Chinese characters are Japanese and Korean too.

    Letters of no script (the micro sign, the okina) belong to any.
    """
    scripts = _SCRIPTS.get(script, (script.capitalize(),))
    belongs = regex.compile("|".join(rf"\p{{scx={name}}}" for name in scripts))
    letters = [plain for letter in set(text) if letter.isalpha() for plain in _plain(letter)]
    return any(map(belongs.match, letters)) and all(belongs.match(x) or _NO_SCRIPT.match(x) for x in letters)


def _plain(letter: str) -> str:
    """The letter itself; of a letter of no script, such as a mathematical one (`𝛂`), the letters it stands for."""
    if letter == _MICRO or not _NO_SCRIPT.match(letter):
        return letter
    return "".join(filter(str.isalpha, unicodedata.normalize("NFKC", letter)))


def _sortable(item: str) -> str:
    """Without case and accents. The vowel signs of a script are no accents: they belong to it, accents to none."""
    decomposed = unicodedata.normalize("NFKD", item.strip(_MARKUP))
    return str(_ACCENT.sub("", decomposed)).casefold()
