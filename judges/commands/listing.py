"""`judge list`."""

from __future__ import annotations

import argparse

from judges import registry

_WIDTH_OF_FILES = 200


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """It has none of its own."""
    parser.epilog = f"example:\n  {parser.prog}"


def run(args: argparse.Namespace) -> int:
    """Prints all judges as a table."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for column in ("name", "kind", "metadata it needs", "comes from", "what it asks"):
        table.add_column(column, no_wrap=column in ("name", "kind"), overflow="fold")
    for info in registry.describe():
        needs = ", ".join(info.requires) or "–"
        if info.applies_only_with:
            needs += f" (only where the row has {', '.join(info.applies_only_with)})"
        about = f"cannot be used: {info.error}" if info.error else info.summary
        table.add_row(*map(Text, (info.name, info.kind or "–", needs, info.distribution, about)))
    console = Console()
    if not console.is_terminal:
        console.width = max(console.width, _WIDTH_OF_FILES)
    console.print(table)
    return 0
