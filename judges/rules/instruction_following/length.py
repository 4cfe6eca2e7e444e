"""Instructions about the number of sentences, paragraphs and words."""

from __future__ import annotations

import re
from itertools import takewhile

from judges.rules.instruction_following.arguments import Count, Ordinal, Relation, Text, compare
from judges.rules.instruction_following.sentences import count_sentences

_DIVIDER = re.compile(r"\s?\*\*\*\s?")
_ENDS_A_WORD = frozenset(".,?!'\"")


def number_sentences(text: str, *, num_sentences: Count, relation: Relation) -> bool:
    """How many sentences there are."""
    return compare(count_sentences(text), relation, num_sentences)


def number_paragraphs(text: str, *, num_paragraphs: Count) -> bool:
    """Exactly so many paragraphs, divided by `***`; an empty one counts as a fault, except at either end."""
    paragraphs = _DIVIDER.split(text)
    inner = paragraphs[1:-1]
    if any(not paragraph.strip() for paragraph in inner):
        return False
    return sum(1 for paragraph in paragraphs if paragraph.strip()) == num_paragraphs


def number_words(text: str, *, num_words: Count, relation: Relation) -> bool:
    """How many words there are: runs of letters, digits and underscores."""
    return compare(sum(1 for _ in re.finditer(r"\w+", text)), relation, num_words)


def nth_paragraph_first_word(text: str, *, num_paragraphs: Count, nth_paragraph: Ordinal, first_word: Text) -> bool:
    """Exactly so many paragraphs, divided by an empty line, the n-th of which begins with a word."""
    paragraphs = text.split("\n\n")
    filled = sum(1 for paragraph in paragraphs if paragraph.strip())
    if filled != num_paragraphs or nth_paragraph > filled:
        return False
    words = paragraphs[nth_paragraph - 1].split()
    if not words:
        return False
    word = words[0].lstrip("'").lstrip('"')
    return "".join(takewhile(lambda letter: letter not in _ENDS_A_WORD, word)).lower() == first_word.lower()
