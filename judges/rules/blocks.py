"""Finds code blocks in Markdown: fences of backticks or tildes, as CommonMark has them, in one pass over the lines."""

from __future__ import annotations

from dataclasses import dataclass

from judges.rules.info_strings import language

_SHORTEST = 3


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block.

    Attributes:
        tag: the language that is named after the opening fence, in lower case; empty when there is none.
        code: the lines between the fences.
        first: number of the line with the opening fence, from 0.
        last: number of the line with the closing fence, or of the text's last line.
        closed: whether there is a closing fence.
    """

    tag: str
    code: str
    first: int
    last: int
    closed: bool


@dataclass(frozen=True, slots=True)
class _Fence:
    indent: str
    mark: str
    length: int
    info: str

    def closes(self, opening: _Fence) -> bool:
        return self.mark == opening.mark and self.length >= opening.length and not self.info

    def block(self, lines: list[str], last: int, closed: bool) -> Block:
        """The block that this fence opens, without the fence's indentation (a block in a list)."""
        code = "\n".join(line.removeprefix(self.indent) for line in lines)
        return Block(language(self.info), code, last - len(lines) - closed, last, closed)


def fenced_blocks(text: str) -> list[Block]:
    """All fenced blocks in order. One without an end reaches to the end of the text."""
    blocks = []
    opening: _Fence | None = None
    lines: list[str] = []
    number = -1
    for number, line in enumerate(_lines(text)):
        fence = _fence(line)
        if opening is None:
            opening = fence
        elif fence is not None and fence.closes(opening):
            blocks.append(opening.block(lines, number, closed=True))
            opening, lines = None, []
        else:
            lines.append(line)
    if opening is not None:
        blocks.append(opening.block(lines, number, closed=False))
    return blocks


def lines_outside(text: str) -> list[str]:
    """The lines that belong to no fenced block."""
    lines = _lines(text)
    for block in reversed(fenced_blocks(text)):
        del lines[block.first : block.last + 1]
    return lines


def whole_block(text: str) -> Block | None:
    """The closed block that the text is, with nothing but blank lines around it; None when it is something else."""
    blocks = fenced_blocks(text)
    if len(blocks) != 1 or not blocks[0].closed or any(line.strip() for line in lines_outside(text)):
        return None
    return blocks[0]


def _lines(text: str) -> list[str]:
    return text.replace("\r\n", "\n").split("\n")


def _fence(line: str) -> _Fence | None:
    """The fence in this line; no regular expression, because long lines would make it slow."""
    rest = line.lstrip(" \t")
    mark = rest[:1]
    if mark not in ("`", "~"):
        return None
    after = rest.lstrip(mark)
    length = len(rest) - len(after)
    if length < _SHORTEST or (mark == "`" and "`" in after):
        return None
    return _Fence(line[: len(line) - len(rest)], mark, length, after.strip())
