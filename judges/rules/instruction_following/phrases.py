"""Words and phrases in a text, compared as a reader does.

Before comparing, text and phrase are folded: case (`STRASSE` is `straße`), accents in one or two characters,
typographic apostrophes, quotation marks and hyphens, and signs that nobody sees (a soft hyphen, a zero-width space)
make no difference. A space of a phrase may be a line break in the text, and emphasis (`*`, `_`) may stand beside it.

Words end where letters, their marks and digits end: vowel signs of Hindi or Tamil are inside of words, an underscore of
Markdown is not. Chinese, Japanese, Thai, Lao, Khmer and Burmese put no spaces between words: a phrase that begins or
ends in such a letter is found anywhere, and such a letter ends the word of another script.
"""

from __future__ import annotations

import unicodedata

import regex

_ALIKE = str.maketrans({**dict.fromkeys("’‘‛ʼ´＇", "'"), **dict.fromkeys("“”„‟＂", '"'), **dict.fromkeys("‐‑", "-")})
_UNSEEN = regex.compile(r"\p{Default_Ignorable_Code_Point}+")
_UNSPACED = r"[\p{Han}\p{Hiragana}\p{Katakana}ー\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]"
_INSIDE = rf"[[\p{{L}}\p{{N}}]--{_UNSPACED}]"
_STARTS_UNSPACED = regex.compile(_UNSPACED)
_WORD = regex.compile(r"[\p{L}\p{M}\p{N}]++(?:['\-][\p{L}\p{M}\p{N}]++)*+")
_BREAK = r"[*_]{0,3}+(?:[^\S\n]|[^\S\n]*+\n[^\S\n]*+)[*_]{0,3}?"
_MARKS = "\"'*_#`~>"
_BEFORE = r"[\s\"'*_#`~>«‹]*?"
"""What may stand before the first phrase of a text: quotation marks and markup."""


def seen(text: str) -> str:
    """`text` with typographic signs as plain ones, accents composed, without signs that nobody sees; case stays."""
    return unicodedata.normalize("NFC", _UNSEEN.sub("", text).translate(_ALIKE)).replace("\r\n", "\n")


def folded(text: str) -> str:
    """`seen` without case; the Turkish `İ` is an `i`."""
    return unicodedata.normalize("NFC", seen(text).casefold().replace("i\u0307", "i"))


def words(text: str) -> list[str]:
    """The words, folded: runs of letters, their marks and digits, which an apostrophe or a hyphen may join."""
    return [match[0] for match in _WORD.finditer(folded(text))]


def count(text: str, word: str) -> int:
    """How often a word or phrase occurs as whole words."""
    return sum(1 for _ in _whole_words(word).finditer(folded(text)))


def in_order(text: str, phrases: list[str]) -> bool:
    """Do the phrases occur as whole words in this order, each after the one before it?"""
    text, position = folded(text), 0
    for phrase in phrases:
        match = _whole_words(phrase).search(text, position)
        if match is None:
            return False
        position = match.end()
    return True


def begins(text: str, phrase: str) -> bool:
    """Does the text begin with the phrase, perhaps after quotation marks and markup, and does its last word end there?

    Marks that the phrase itself begins or ends with must be there, as many as it has.
    """
    phrase = folded(phrase).strip()
    start = f"(?<!{regex.escape(phrase[0])})" if phrase[0] in _MARKS else ""
    if phrase[-1] in _MARKS:
        end = f"(?!{regex.escape(phrase[-1])})"
    else:
        end = _end_of_word(phrase) if _WORD.match(phrase[-1]) else ""
    return regex.match(f"{_BEFORE}{start}{_body(phrase)}{end}", folded(text), regex.V1) is not None


def _whole_words(phrase: str) -> regex.Pattern[str]:
    phrase = folded(phrase).strip()
    start = "" if _STARTS_UNSPACED.match(phrase) else rf"(?<!{_INSIDE}|\p{{M}})(?<!{_INSIDE}_)"
    return regex.compile(f"{start}{_body(phrase)}{_end_of_word(phrase)}(?!_{_INSIDE})", regex.V1)


def _body(phrase: str) -> str:
    return _BREAK.join(map(regex.escape, phrase.split()))


def _end_of_word(phrase: str) -> str:
    """That no letter follows, where the phrase ends in one of a script with spaces; that no mark follows, anyway."""
    return r"(?!\p{M})" if _STARTS_UNSPACED.match(phrase[-1]) else rf"(?!{_INSIDE}|\p{{M}})"
