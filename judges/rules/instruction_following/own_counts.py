"""Instructions of our own about numbers of things: exactly, at least or at most so many of them."""

from __future__ import annotations

from collections.abc import Callable

from judges.rules.instruction_following import pieces
from judges.rules.instruction_following.arguments import Count, Ordinal, Text, within
from judges.rules.instruction_following.sentences import count_sentences, split_sentences


def counted(count: Callable[[str], int]) -> Callable[..., bool]:
    """The checker of an instruction that bounds `count(text)`."""

    def checker(
        text: str, *, exactly: Count | None = None, at_least: Count | None = None, at_most: Count | None = None
    ) -> bool:
        return within(count(text), exactly, at_least, at_most)

    checker.__doc__ = count.__doc__
    return checker


words = counted(pieces.count_words)
sentences = counted(count_sentences)
paragraphs = counted(pieces.count_paragraphs)
lines = counted(pieces.count_lines)
characters = counted(pieces.count_characters)
bullets = counted(pieces.count_bullets)
headings = counted(pieces.count_headings)
emoji = counted(pieces.count_emoji)


def numbered_list(
    text: str, *, exactly: Count | None = None, at_least: Count | None = None, at_most: Count | None = None
) -> bool:
    """Top-level items numbered 1, 2, 3 … without a gap, so many of them."""
    numbers = [number for number, _ in pieces.numbered_items(text)]
    return numbers == list(range(1, len(numbers) + 1)) and within(len(numbers), exactly, at_least, at_most)


def word_frequency(
    text: str,
    *,
    word: Text,
    exactly: Count | None = None,
    at_least: Count | None = None,
    at_most: Count | None = None,
) -> bool:
    """How often a word or phrase occurs as whole words; case does not count."""
    return within(pieces.count_word(text, word), exactly, at_least, at_most)


COUNTS: dict[str, Callable[..., int]] = {
    "cgpo:words": pieces.count_words,
    "cgpo:sentences": count_sentences,
    "cgpo:paragraphs": pieces.count_paragraphs,
    "cgpo:lines": pieces.count_lines,
    "cgpo:characters": pieces.count_characters,
    "cgpo:bullets": pieces.count_bullets,
    "cgpo:numbered_list": lambda text: len(pieces.numbered_items(text)),
    "cgpo:headings": pieces.count_headings,
    "cgpo:emoji": pieces.count_emoji,
    "cgpo:word_frequency": pieces.count_word,
}
"""What an id counts, for the reason of a verdict."""


def sentence_length(text: str, *, max_words: Ordinal) -> bool:
    """No sentence has more words than this."""
    return all(pieces.count_words(" ".join(sentence)) <= max_words for sentence in split_sentences(text))
