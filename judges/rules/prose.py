"""The prose of a response in Markdown: its text without code, and its sentences."""

from __future__ import annotations

import re

_FENCE = re.compile(r"[ \t]*(`{3,}|~{3,})")
_INLINE = re.compile(r"`[^`\n]{1,300}`")
_SENTENCE_END = re.compile(r"(?<=[.!?…。！？])[\"'”’)*_]*\s+|\n+")


def without_code(text: str) -> str:
    """`text` with the lines of closed fenced blocks emptied and inline code cut out; line numbers stay.

    A block that is never closed counts as prose: it is what a cut-off or looping response ends in.
    """
    lines = text.split("\n")
    opening, mark = -1, ""
    for number, line in enumerate(lines):
        fence = _FENCE.match(line)
        if fence is None:
            continue
        if opening < 0:
            opening, mark = number, fence[1]
        elif fence[1].startswith(mark) and not line.strip().strip(mark[0]):
            lines[opening : number + 1] = [""] * (number + 1 - opening)
            opening = -1
    return _INLINE.sub(" ", "\n".join(lines))


def sentences(text: str) -> list[str]:
    """Sentences and lines, without the white space around them; empty ones are left out."""
    return [stripped for part in _SENTENCE_END.split(text) if part and (stripped := part.strip())]
