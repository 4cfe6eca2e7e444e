"""Tables of a page, in a terminal."""

from __future__ import annotations

from typing import Any

from cgpo.report.page import Table
from cgpo.storage.text import showable


def print_table(console: Any, title: str, table: Table) -> None:
    """A table of `cgpo.report.page` in a terminal."""
    from rich import box
    from rich.table import Table as RichTable
    from rich.text import Text

    drawn = RichTable(title=title or None, title_justify="left", box=box.SIMPLE, show_header=any(table.headers))
    for number, header in enumerate(table.headers):
        drawn.add_column(header, justify="right" if number and len(table.headers) > 2 else "left", overflow="fold")
    for row in table.rows:
        drawn.add_row(*(Text(showable(cell)) for cell in row))
    console.print(drawn)
