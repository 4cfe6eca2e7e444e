"""`judge list NAME`: one judge with its docstring, the metadata it needs and its options."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

from judges import registry
from judges.errors import JudgesError
from judges.judge import Judge
from judges.options import Option, described

if TYPE_CHECKING:
    from rich.console import Console

_EVERY_ENTRY = (
    Option("as", "text", "the judge's name", "name of its verdicts in files and metrics"),
    Option("threshold", "number", "null", "satisfied where the judge's score is at least this, whatever it decided"),
    Option("abstain_within", "number ≥ 0", "0", "unknown where the score is nearer than this to the threshold (or 0)"),
)
_SHOWN_DEFAULT = 60


def print_judge(name: str, console: Console) -> None:
    """Prints what a user of the judge has to know.

    Raises:
        JudgesError: no such judge, or it cannot be loaded.
    """
    judge = registry.load(name)
    console.print(f"{name} ({judge.kind}, from {registry.origin(name)})\n")
    console.print(inspect.getdoc(judge) or "It has no docstring.")
    console.print()
    for line in _metadata(judge):
        console.print(line)
    options = described(registry.signature(name))
    _print_options(console, f"options of {name}", options)
    for option in options:
        if option.group:
            _print_options(console, f"options {option.name}.…, as {name}.{option.name}.KEY=VALUE", option.group)
    timeout = Option(registry.TIMEOUT_OPTION, "number > 0", _seconds(name), "wall time of one verdict")
    _print_options(console, "options of every judge", [*_EVERY_ENTRY, timeout])


def _seconds(name: str) -> str:
    """The judge's own time limit with its default options; some need options, and some decide it by them."""
    try:
        return f"{registry.timeout(registry.JudgeSpec(name)):g}"
    except JudgesError:
        return "the judge's own"


def _metadata(judge: type[Judge]) -> list[str]:
    any_of = " or ".join(sorted(judge.requires_any))
    needed = [*sorted(judge.requires), *([any_of] if any_of else [])]
    lines = [f"metadata it needs: {', '.join(needed) or 'none'}"]
    if judge.applies_only_with:
        lines.append(f"concerns only rows with metadata: {', '.join(sorted(judge.applies_only_with))}")
    return lines


def _print_options(console: Console, title: str, options: list[Option]) -> None:
    from rich.table import Table
    from rich.text import Text

    console.print(f"\n{title}{':' if options else ': none'}")
    if not options:
        return
    table = Table("name", "type", "default", box=None, padding=(0, 2, 0, 0))
    explained = any(option.about for option in options)
    if explained:
        table.add_column("", overflow="fold")
    for option in options:
        cells = (option.name, option.type, _cut(option.default), *([option.about] if explained else []))
        table.add_row(*map(Text, cells))
    console.print(table)


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN_DEFAULT else text[: _SHOWN_DEFAULT - 1] + "…"
