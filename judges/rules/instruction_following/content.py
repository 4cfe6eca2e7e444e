"""Instructions about pieces of content that can be recognised: placeholders and postscripts."""

from __future__ import annotations

import re

from judges.rules.instruction_following.arguments import Count, Text

_MARKERS = {
    "P.P.S": re.compile(r"p\.\s?p\.\s?s", re.IGNORECASE),
    "P.S.": re.compile(r"p\.\s?s\.", re.IGNORECASE),
}


def number_placeholders(text: str, *, num_placeholders: Count) -> bool:
    """At least so many placeholders in square brackets, each within one line."""
    return sum(_brackets(line) for line in text.split("\n")) >= num_placeholders


def postscript(text: str, *, postscript_marker: Text) -> bool:
    """A postscript with this marker; `P.S.` and `P.P.S` may have spaces inside."""
    marker = postscript_marker.strip()
    pattern = _MARKERS.get(marker) or re.compile(re.escape(marker), re.IGNORECASE)
    return pattern.search(text) is not None


def _brackets(line: str) -> int:
    """Pairs `[…]` from left to right. No regular expression: on `[[[[…` that takes quadratic time."""
    count, position = 0, line.find("[")
    while position >= 0 and (end := line.find("]", position)) >= 0:
        count += 1
        position = line.find("[", end)
    return count
