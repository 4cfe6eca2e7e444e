"""`judge list`."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from judges import registry
from judges.command_options import Form, add_options, read_options

if TYPE_CHECKING:
    from rich.console import Console

_WIDTH_OF_FILES = 200
_EPILOG = """examples:
  {prog}
  {prog} math
  {prog} my_judges.py:polite"""


@dataclass(frozen=True)
class Options:
    """What `judge list` is asked."""

    judge: Annotated[str | None, Form(str, "NAME", positional=True)] = None
    """show all of this judge: what it decides, its metadata and options; FILE.py:FUNCTION is one in a file"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `judge list`."""
    parser.epilog = _EPILOG.format(prog=parser.prog)
    add_options(parser, Options)


def run(args: argparse.Namespace) -> int:
    """Prints all judges as a table, or one with everything."""
    from judges.commands.describing import print_judge
    from judges.commands.files import judge_files
    from judges.terminal import open_console

    console = open_console(markup=False)
    if not console.is_terminal:
        console.width = max(console.width, _WIDTH_OF_FILES)
    judge = read_options(args, Options).judge
    if judge is None:
        _print_all(console)
        return 0
    with judge_files([judge]) as (name,):
        print_judge(name, console)
    return 0


def _print_all(console: Console) -> None:
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
    console.print(table)
