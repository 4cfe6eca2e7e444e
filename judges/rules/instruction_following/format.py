"""Instructions about the form of the response: lists, highlights, sections, JSON, title, a fixed answer."""

from __future__ import annotations

import json
import re

from judges.rules.instruction_following.arguments import Count, Text

CONSTRAINED_RESPONSES = ("My answer is yes.", "My answer is no.", "My answer is maybe.")
_FENCES = ("```json", "```Json", "```JSON", "```")


def number_bullet_lists(text: str, *, num_bullets: Count) -> bool:
    """Exactly so many bullet points: lines that begin with `-`, or with one `*` and something after it."""
    lines = (line.lstrip() for line in text.split("\n"))
    return sum(1 for line in lines if line.startswith("-") or re.match(r"\*[^*]", line)) == num_bullets


def constrained_response(text: str) -> bool:
    """One of the three fixed answers occurs."""
    return any(answer in text for answer in CONSTRAINED_RESPONSES)


def number_highlighted_sections(text: str, *, num_highlights: Count) -> bool:
    """At least so many highlights, `*…*` or `**…**`, not empty and within one line."""
    single = sum(1 for highlight in re.findall(r"\*([^\n*]*)\*", text) if highlight.strip())
    double = sum(1 for highlight in re.findall(r"\*\*([^\n*]*)\*\*", text) if highlight.strip())
    return single + double >= num_highlights


def multiple_sections(text: str, *, section_spliter: Text, num_sections: Count) -> bool:
    """At least so many sections, each begun by the section word and a number."""
    return len(re.findall(rf"{re.escape(section_spliter.strip())}\s?\d+", text)) >= num_sections


def json_format(text: str) -> bool:
    """The whole response is JSON, perhaps in a fenced code block."""
    text = text.strip()
    for fence in _FENCES:
        text = text.removeprefix(fence)
    try:
        json.loads(text.removesuffix("```").strip())
    except (ValueError, RecursionError):
        return False
    return True


def title(text: str) -> bool:
    """A title in double angular brackets, not empty and within one line."""
    return any(_title(line) for line in text.split("\n"))


def _title(line: str) -> bool:
    """By position and not by a regular expression, which takes quadratic time on `<<<<…`."""
    start, end = line.find("<<"), line.rfind(">>")
    return start >= 0 and end > start + 2 and bool(line[start : end + 2].lstrip("<").rstrip(">").strip())
