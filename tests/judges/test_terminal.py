"""What commands print: words stay whole, in terminals of any width and in files."""

from __future__ import annotations

import ast
import io
from pathlib import Path

import pytest
from rich.console import Console
from rich.table import Table
from rich.text import Text

import cgpo
import judges
from judges.terminal import open_console, print_beside

PATH = "/home/somebody/a-folder-that-has:x:a-rather-long-name-[bold]/runs/first/checkpoints/step-000050/model"
SENTENCE = f"the checkpoint {PATH} has another form"


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


def in_terminal(width: int, *printed: object, **options: object) -> str:
    """What a terminal of so many columns gets, without colours."""
    screen = Screen()
    console = open_console(screen, width=width)
    console._color_system = None
    for each in printed:
        console.print(each, **options)  # type: ignore[arg-type]
    return screen.getvalue()


@pytest.fixture(autouse=True)
def _a_plain_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")


def test_a_file_gets_a_sentence_as_one_line() -> None:
    out = io.StringIO()
    open_console(out, width=40).print(SENTENCE, markup=False)
    assert out.getvalue() == f"{SENTENCE}\n"


@pytest.mark.parametrize("width", [1, 20, 40, 80, 120])
def test_a_terminal_gets_lines_that_break_between_words_only(width: int) -> None:
    lines = in_terminal(width, SENTENCE, markup=False).splitlines()
    assert " ".join(lines) == SENTENCE
    assert all(len(line) <= width or " " not in line for line in lines)


def test_lines_and_indents_stay_where_they_are() -> None:
    text = "one two three\n\n  four five six\n"
    assert in_terminal(9, text) == "one two\nthree\n\n  four\nfive six\n\n"


def test_styles_go_with_their_words() -> None:
    screen = Screen()
    open_console(screen, width=10).print("[red]one two[/] three [bold]four[/]", highlight=False)
    assert screen.getvalue() == "\x1b[31mone two\x1b[0m\nthree \x1b[1mfour\x1b[0m\n"


def test_texts_beside_names() -> None:
    screen, file = Screen(), io.StringIO()
    rows = [(Text("first"), f"begins {PATH} ends\nsecond line"), (Text("日本"), "x")]
    print_beside(open_console(screen, width=40), rows)
    print_beside(open_console(file, width=40), rows)
    indent = " " * 7
    ends = f"{indent}second line\n日本   x\n"
    assert screen.getvalue() == f"first  begins\n{indent}{PATH}\n{indent}ends\n{ends}"
    assert file.getvalue() == f"first  begins {PATH} ends\n{ends}"


@pytest.mark.parametrize("width", [5, 40, 200])
def test_a_table_loses_neither_words_nor_numbers(width: int) -> None:
    table = Table(box=None)
    table.add_column("measure", overflow="fold")
    table.add_column("before", no_wrap=True)
    table.add_column("where", overflow="fold")
    table.add_row("  satisfied responses", "64 % (127/198)", PATH.replace("[", "\\["))
    shown = in_terminal(width, table)
    assert "  satisfied" in shown
    assert "64 % (127/198)" in shown
    assert PATH in shown


def test_a_table_that_can_fits() -> None:
    table = Table(box=None)
    table.add_column("what")
    table.add_row("word " * 40)
    assert max(map(len, in_terminal(30, table).splitlines())) <= 30


def test_nothing_else_makes_a_console() -> None:
    """Everything that is printed goes through this one place."""
    makers = []
    for package in (cgpo, judges):
        for path in sorted(Path(str(package.__file__)).parent.rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", "")) == "Console":
                    makers.append(path.name)
    assert makers == []
    assert issubclass(type(open_console()), Console)
