"""Finds code blocks in Markdown: fences of backticks or tildes, as CommonMark has them, in one pass over the lines."""

from __future__ import annotations

import re
from dataclasses import dataclass

_FENCE = re.compile(r"([ \t]*)(`{3,}|~{3,})[ \t]*([^`]*)")
PYTHON_TAGS = frozenset({"python", "python3", "py", "py3"})


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block.

    Attributes:
        tag: the first word after the opening fence, in lower case; empty when there is none.
        code: the lines between the fences.
    """

    tag: str
    code: str


def fenced_blocks(text: str) -> list[Block]:
    """All fenced blocks in order. One without an end reaches to the end of the text."""
    blocks = []
    opening: re.Match[str] | None = None
    lines: list[str] = []
    for line in text.replace("\r\n", "\n").split("\n"):
        fence = _FENCE.fullmatch(line) if line.lstrip()[:3] in ("```", "~~~") else None
        if opening is None:
            opening = fence
        elif fence and _closes(opening, fence):
            blocks.append(_block(opening, lines))
            opening, lines = None, []
        else:
            lines.append(line)
    if opening is not None:
        blocks.append(_block(opening, lines))
    return blocks


def _closes(opening: re.Match[str], fence: re.Match[str]) -> bool:
    same = fence[2][0] == opening[2][0] and len(fence[2]) >= len(opening[2])
    return same and not fence[3].strip()


def _block(opening: re.Match[str], lines: list[str]) -> Block:
    """The block, without the indentation that its fence has (a block in a list)."""
    words = opening[3].split(None, 1)
    indent = opening[1]
    return Block(words[0].lower() if words else "", "\n".join(line.removeprefix(indent) for line in lines))
