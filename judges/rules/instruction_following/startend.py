"""Instructions about how the response starts and ends."""

from __future__ import annotations

from judges.rules.instruction_following.arguments import Text


def end_checker(text: str, *, end_phrase: Text) -> bool:
    """The response ends with the phrase; case and quotation marks around the response do not count."""
    return text.strip().strip('"').lower().endswith(end_phrase.strip().lower())


def quotation(text: str) -> bool:
    """The whole response stands in double quotation marks."""
    text = text.strip()
    return len(text) > 1 and text.startswith('"') and text.endswith('"')
