"""Instructions about punctuation."""

from __future__ import annotations


def no_comma(text: str) -> bool:
    """No comma anywhere."""
    return "," not in text
