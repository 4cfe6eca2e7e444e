"""How commands write to a terminal: lines break between words, however narrow it is, and a path is one word.

rich by itself breaks a word that is longer than a line, cuts numbers off in narrow tables, and breaks every line at 80
columns where there is no terminal. A path is then two, and neither can be clicked, copied or searched for. It also lets
a text's own ESC sequences through: here no text moves the terminal, whoever wrote it (`judges.printing`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, TextIO

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.style import Style
from rich.table import Column, Table
from rich.text import Text

from judges.printing import showable

_NARROWEST = 24
"""Columns a text beside names gets at least, however little is left of the line."""

_ANY_WIDTH = 100_000


class WholeWordConsole(Console):
    """Breaks lines between words only, and sentences not at all where there is no terminal.

    What is longer than a line, a terminal breaks by itself, and gives it back as one. All that is drawn passes
    `render`, tables, bars and panels too; what rich itself says to the terminal, colours and the cursor's way, stays.
    """

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterator[Segment]:
        """As rich renders, in characters that a terminal only shows; no text becomes a link."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(showable(segment.text), _unlinked(segment.style))

    def print(self, *objects: Any, **options: Any) -> None:
        """As rich prints."""
        (only,) = objects if len(objects) == 1 else (None,)
        if isinstance(only, Table):
            self._keep_words(only)
        elif isinstance(only, str | Text) and self.is_terminal:
            given = {name: options.pop(name) for name in ("markup", "highlight") if name in options}
            text = self.render_str(only, **given) if isinstance(only, str) else only
            objects = (broken_between_words(text, self.width),)
        super().print(*objects, **options)

    def _keep_words(self, table: Table) -> None:
        """A table that does not fit becomes wider than the terminal instead of losing words and digits."""
        for column in table.columns:
            column.min_width = max((self._least(column, cell) for cell in [column.header, *column.cells]), default=0)
        least = self.measure(table, options=self.options.update(width=_ANY_WIDTH)).minimum
        if least > self.width:
            table.width = least

    def _least(self, column: Column, cell: Any) -> int:
        if not isinstance(cell, str | Text):
            return 0
        plain = self.render_str(cell).plain if isinstance(cell, str) else cell.plain
        # What a line is indented by stays with its first word.
        parts = plain.splitlines() if column.no_wrap else re.findall(r"(?:^\s+)?\S+", plain, re.MULTILINE)
        return max(map(cell_len, parts), default=0)


def _unlinked(style: Style | None) -> Style | None:
    return style.update_link(None) if style is not None and style.link else style


def open_console(
    file: TextIO | None = None,
    *,
    stderr: bool = False,
    width: int | None = None,
    markup: bool = True,
    highlight: bool = False,
) -> Console:
    """The console of a command.

    Args:
        file: where to, if neither to standard output nor to standard error.
        stderr: to standard error.
        width: columns of the terminal, where they shall not be found out.
        markup: read `[bold]` and the like in texts.
        highlight: colour numbers and paths.
    """
    # No emoji: `:x:` in a path is part of the path.
    return WholeWordConsole(
        file=file, stderr=stderr, width=width, markup=markup, highlight=highlight, soft_wrap=True, emoji=False
    )


def print_beside(console: Console, rows: Iterable[tuple[Text, str]]) -> None:
    """Prints a column of names and one of texts.

    Args:
        console: where to.
        rows: name and text; a text may have several lines.
    """
    named = list(rows)
    indent = max((cell_len(name.plain) for name, _ in named), default=0) + 2
    width = max(_NARROWEST, console.width - indent)
    for name, text in named:
        beside = broken_between_words(Text(text), width) if console.is_terminal else Text(text)
        before = name.copy()
        for line in beside.split("\n"):
            before.pad_right(indent - cell_len(before.plain))
            Console.print(console, before + line)
            before = Text()


def broken_between_words(text: Text, width: int) -> Text:
    """The text in lines of at most `width` columns; a longer word is a longer line."""
    return Text("\n").join(part for line in text.split("\n", allow_blank=True) for part in _parts(line, width))


def _parts(line: Text, width: int) -> list[Text]:
    begin, breaks = 0, []
    for word in re.finditer(r"\S+", line.plain):
        if word.start() > begin and cell_len(line.plain[begin : word.end()]) > width:
            begin = word.start()
            breaks.append(begin)
    parts = line.divide(breaks)
    for part in parts[:-1]:
        part.rstrip()
    return list(parts)
