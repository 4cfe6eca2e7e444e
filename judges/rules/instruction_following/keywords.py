"""Instructions about words and letters that must or must not occur. Case never counts."""

from __future__ import annotations

import re

from judges.rules.instruction_following.arguments import Count, Relation, Text, Words, compare


def existence(text: str, *, keywords: Words) -> bool:
    """Every keyword occurs, also inside a longer word."""
    return all(_occurrences(text, keyword) > 0 for keyword in keywords)


def frequency(text: str, *, keyword: Text, frequency: Count, relation: Relation) -> bool:
    """How often a keyword occurs, also inside longer words."""
    return compare(_occurrences(text, keyword.strip()), relation, frequency)


def forbidden_words(text: str, *, forbidden_words: Words) -> bool:
    """None of the words occurs as a word of its own."""
    return not any(re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text, re.IGNORECASE) for word in forbidden_words)


def letter_frequency(text: str, *, letter: Text, let_frequency: Count, let_relation: Relation) -> bool:
    """How often a letter or sign occurs."""
    return compare(text.lower().count(letter.strip().lower()), let_relation, let_frequency)


def _occurrences(text: str, keyword: str) -> int:
    return len(re.findall(re.escape(keyword), text, re.IGNORECASE))
