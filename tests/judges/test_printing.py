"""What is printed moves no terminal, and JSON says the same before and after."""

from __future__ import annotations

import ast
import io
import json
import sys
from pathlib import Path

import pytest
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

import cgpo
import judges
from judges.command_options import Parser
from judges.printing import escaped_json, json_text, say, show_errors_plainly, showable
from judges.terminal import open_console

OBEYED = "".join(
    map(chr, [*range(9), *range(11, 32), *range(127, 160), *range(0x2028, 0x202F), *range(0x2066, 0x206A)])
)
SEEN = "tab\tline\nä 日本 👋 مرحبا \u200f \u200d"


def test_only_what_a_terminal_would_obey_is_written_out() -> None:
    assert showable(SEEN) == SEEN
    assert showable("a\x1b[2Jb\x9b1m\x7f\r\u202e\ud800") == "a\\x1b[2Jb\\x9b1m\\x7f\\r\\u202e\\ud800"
    assert not set(showable(OBEYED)) & set(OBEYED)


def test_json_without_them_is_the_same_json() -> None:
    value = {OBEYED + SEEN: [OBEYED, "\\u001b", '"', 1.5, None]}
    for text in (json_text(value), json_text(value, indent=1), escaped_json(json.dumps(value))):
        assert json.loads(text) == value
        assert not set(text) & set(OBEYED)
    with pytest.raises(ValueError, match="not JSON compliant"):
        json_text(float("nan"))


def test_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    say(f"{SEEN}{OBEYED}")
    assert capsys.readouterr().out == f"{SEEN}{showable(OBEYED)}\n"


def test_a_console_draws_its_colours_and_no_one_elses() -> None:
    class Screen(io.StringIO):
        def isatty(self) -> bool:
            return True

    screen = Screen()
    console = open_console(screen, width=300)
    console._color_system = None
    table = Table(OBEYED, OBEYED)
    table.add_row(OBEYED, Text(OBEYED))
    for each in (OBEYED, Text(OBEYED), table, Panel(OBEYED, title=OBEYED), f"[link=http://x/{OBEYED}]linked[/link]"):
        console.print(each)
    assert not set(screen.getvalue()) & set(OBEYED)
    assert "linked" in screen.getvalue()
    coloured = Screen()
    open_console(coloured, width=80).print("[red]red[/] \x1b[32mgreen")
    assert "\\x1b[32mgreen" in coloured.getvalue()
    assert coloured.getvalue().count("\x1b") == 2


def test_what_the_command_line_repeats(capsys: pytest.CaptureFixture[str]) -> None:
    parser = Parser(prog="judge")
    parser.add_argument("--rows", type=int)
    for words in (["--rows", OBEYED], [f"--{OBEYED}"]):
        with pytest.raises(SystemExit):
            parser.parse_args(words)
        assert not set(capsys.readouterr().err) & set(OBEYED)


def test_a_traceback(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    show_errors_plainly()
    error = ValueError("quotes \x1b[2J")
    sys.excepthook(ValueError, error, None)
    assert capsys.readouterr().err == "ValueError: quotes \\x1b[2J\n"


def test_nothing_else_prints() -> None:
    """Neither `print` nor a stream's own `write`: what programs in the sandbox do there is another matter."""
    found = []
    for package in (cgpo, judges):
        root = Path(str(package.__file__)).parent
        for path in sorted(root.rglob("*.py")):
            if root.joinpath("sandbox", "inside") in path.parents or path.name == "printing.py":
                continue
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call) and ast.unparse(node.func) in {
                    "print",
                    "sys.stdout.write",
                    "sys.stderr.write",
                    "user_stdout().write",
                    "user_stderr().write",
                }:
                    found.append(f"{path.name}:{node.lineno}")
    assert found == []
