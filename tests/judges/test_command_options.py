"""Options of a command from a dataclass: type, default and help stand once, in its fields."""

from __future__ import annotations

import argparse
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import pytest

from judges.command_options import Form, add_options, field_docstrings, read_options
from judges.number_types import count, open_share


@dataclass(frozen=True, slots=True)
class Base:
    rows: Annotated[int, Form(count, "N")]
    """how many rows,
    at 100 % of them"""
    base_rate: Annotated[float, Form(open_share, "P")] = 0.02
    """mean rate"""
    drift: Annotated[float, Form(float, "D")] = 0.0
    """change of it"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options(Base):
    output: Annotated[Path | None, Form(Path, "DIR")] = None
    """where it goes"""
    users: Annotated[int | None, Form(count, "N", default="one for every row")] = None
    """how many users"""


def _parser(declaration: type) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="try")
    add_options(parser, declaration)
    return parser


def test_fields_are_options_of_their_types() -> None:
    args = _parser(Options).parse_args(["--rows", "3", "--base-rate", "0.5", "--output", "there"])
    assert read_options(args, Options) == Options(rows=3, base_rate=0.5, output=Path("there"), users=None)


def test_defaults_are_those_of_the_class() -> None:
    assert read_options(_parser(Options).parse_args(["--rows", "3"]), Options) == Options(rows=3)


def test_docstrings_are_the_help_and_defaults_stand_beside_it() -> None:
    text = " ".join(_parser(Options).format_help().split())
    for expected in (
        "--rows N how many rows, at 100 % of them --base-rate",
        "--base-rate P mean rate (default: 0.02) --drift",
        "--drift D change of it (default: 0) --output",
        "--output DIR where it goes --users",
        "--users N how many users (default: one for every row)",
    ):
        assert expected in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "the following arguments are required: --rows"),
        (["--rows", "0"], "argument --rows: 0 is not a whole number above 0"),
        (["--rows", "3", "--base-rate", "1"], "argument --base-rate: 1 is not strictly between 0 and 1"),
        (["--rows", "3", "--rowz", "3"], "unrecognized arguments: --rowz"),
    ],
)
def test_errors_say_where_and_what_is_allowed(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        _parser(Options).parse_args(arguments)
    assert stopped.value.code == 2
    assert message in " ".join(capsys.readouterr().err.split())


def test_docstrings_of_base_classes_come_too_in_one_line() -> None:
    helps = field_docstrings(Options)
    assert list(helps) == ["rows", "base_rate", "drift", "output", "users"]
    assert helps["rows"] == "how many rows, at 100 % of them"


@dataclass
class NoForm:
    rows: int = 1
    """how many"""


@dataclass
class NoHelp:
    rows: Annotated[int, Form(count, "N")] = 1


@pytest.mark.parametrize("declaration", [NoForm, NoHelp])
def test_an_option_without_form_or_help_is_a_mistake(declaration: type) -> None:
    with pytest.raises(TypeError, match=f"{declaration.__name__}.rows: an option needs"):
        _parser(declaration)


def test_nothing_but_the_standard_library_is_imported() -> None:
    code = "import sys, judges.command_options; sys.exit('pydantic' in sys.modules or 'cgpo' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
