"""Options of a command from a dataclass: type, default and help stand once, in its fields."""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import pytest

from judges.command_options import Form, Parser, add_options, read_options
from judges.docstrings import field_docstrings
from judges.number_types import (
    count,
    natural,
    not_negative,
    number,
    open_share,
    positive,
    seconds,
    share,
    share_below_one,
    whole,
)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Base:
    rows: Annotated[int, Form(count, "N")]
    """how many rows,
    at 100 % of them"""
    base_rate: Annotated[float, Form(open_share, "P")] = 0.02
    """mean rate"""
    drift: Annotated[float, Form(number, "D")] = 0.0
    """change of it"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options(Base):
    output: Annotated[Path | None, Form(Path, "DIR")] = None
    """where it goes"""
    users: Annotated[int | None, Form(count, "N", default="one for every row")] = None
    """how many users"""


def pair(text: str) -> tuple[str, str]:
    key, _, value = text.partition("=")
    return key, value


def limit(text: str) -> int | None:
    return None if text == "none" else count(text)


@dataclass(frozen=True, slots=True)
class Caps:
    most: Annotated[int | None, Form(limit, "N", name="--max-rows")] = 500
    """rows of a user"""
    keep: Literal["random", "newest"] = "random"
    """which stay"""
    oldest: Annotated[int | None, Form(count, "N", either="end")] = None
    """from there"""
    newest: Annotated[int, Form(count, "N", either="end")] = 7
    """to there"""


@dataclass(frozen=True, kw_only=True)
class Everything:
    sources: Annotated[tuple[Path, ...], Form(Path, "SOURCE", positional=True, collect=tuple)]
    """what is read"""
    caps: Caps = field(default_factory=Caps)
    """the caps"""
    json: bool = False
    """print JSON"""
    many: Annotated[bool, Form(short="-m")] = False
    """all of them"""
    stage: Annotated[Literal["sft", "dpo"] | None, Form(metavar="STAGE", name="--from")] = None
    """where it begins"""
    column: Annotated[dict[str, str], Form(pair, "WHAT=COLUMN", collect=dict)] = field(default_factory=dict)
    """its name"""
    word: Annotated[tuple[str, ...], Form(str, "WORD", collect=tuple)] = ("love",)
    """what counts"""
    now: Annotated[float, Form(number, "TIME", default="the clock")] = field(default_factory=lambda: 12.0)
    """what counts as now"""


@dataclass(frozen=True)
class Places:
    first: Annotated[Path, Form(Path, "A", positional=True)]
    """a file"""
    second: Annotated[Path | None, Form(Path, "B", positional=True, default="itself")] = None
    """another"""
    others: Annotated[tuple[str, ...], Form(str, "key=value", positional=True, collect=tuple)] = ()
    """settings"""


def _parser(declaration: type) -> Parser:
    parser = Parser(prog="try")
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
        "--output DIR where it goes --users",
        "--users N how many users (default: one for every row) --rows",
        "--rows N how many rows, at 100 % of them --base-rate",
        "--base-rate P mean rate (default: 0.02) --drift",
        "--drift D change of it (default: 0)",
    ):
        assert expected in text


def _read(declaration: type[T], *words: str) -> T:
    return read_options(_parser(declaration).parse_args(words), declaration)


def test_groups_flags_choices_repetitions_and_other_names() -> None:
    words = ["a", "b", "--max-rows", "none", "--keep", "newest", "--json", "-m", "--from", "dpo", "--newest", "3"]
    words += ["--column", "reaction=liked", "--column", "time=at", "--word", "heart", "--word", "like", "--now", "5"]
    assert _read(Everything, *words) == Everything(
        sources=(Path("a"), Path("b")),
        caps=Caps(None, "newest", None, 3),
        json=True,
        many=True,
        stage="dpo",
        column={"reaction": "liked", "time": "at"},
        word=("heart", "like"),
        now=5.0,
    )


def test_what_is_not_given_has_the_default_of_the_declaration() -> None:
    assert _read(Everything, "a") == Everything(sources=(Path("a"),))


def test_places_may_be_left_out() -> None:
    assert _read(Places, "a") == Places(Path("a"))
    assert _read(Places, "a", "b") == Places(Path("a"), Path("b"))
    assert _read(Places, "a", "b", "x=1", "y=2") == Places(Path("a"), Path("b"), ("x=1", "y=2"))


def test_help_of_groups_choices_and_places() -> None:
    text = " ".join(_parser(Everything).format_help().split())
    for expected in (
        "[--oldest N | --newest N]",
        "SOURCE what is read options:",
        "-m, --many all of them --from STAGE where it begins --column",
        "--word WORD what counts (default: love)",
        "the caps: --max-rows N rows of a user (default: 500) --keep {random,newest} which stay (default: random)",
        "what counts as now (default: the clock)",
    ):
        assert expected in text
    assert "B another (default: itself) key=value settings" in " ".join(_parser(Places).format_help().split())


@pytest.mark.parametrize(
    ("declaration", "words", "message"),
    [
        (Options, [], "the following arguments are required: --rows"),
        (Options, ["--rows", "0"], "argument --rows: must be a whole number of at least 1, not '0'"),
        (Options, ["--rows", "some"], "argument --rows: must be a whole number of at least 1, not 'some'"),
        (
            Options,
            ["--rows", "3", "--base-rate", "1"],
            "argument --base-rate: must be a number strictly between 0 and 1, not '1'",
        ),
        (Options, ["--rows", "3", "--drift", "nan"], "argument --drift: must be a number, not 'nan'"),
        (
            Options,
            ["--rows", "3", "--output-dir=x"],
            "unrecognized arguments: --output-dir=x. Did you mean '--output'?",
        ),
        (Everything, [], "the following arguments are required: SOURCE"),
        (Everything, ["a", "--keep", "newst"], "argument --keep: invalid choice: 'newst' (choose from"),
        (Everything, ["a", "--keep", "newst"], "Did you mean 'newest'?"),
        (Everything, ["a", "--from", "stf"], "Did you mean 'sft'?"),
        (Everything, ["a", "--oldest", "1", "--newest", "2"], "--newest: not allowed with argument --oldest"),
    ],
)
def test_errors_say_where_and_what_is_allowed(
    declaration: type, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        _parser(declaration).parse_args(words)
    assert stopped.value.code == 2
    assert message in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    ("read", "right", "wrong"),
    [
        (whole, {"-3": -3, "7": 7}, ["1.5", ""]),
        (natural, {"0": 0}, ["-1", "x"]),
        (count, {"1": 1}, ["0", "1e3"]),
        (number, {"-1e-3": -0.001}, ["inf", "nan", "x"]),
        (share, {"0": 0, "1": 1}, ["-0.1", "1.01"]),
        (share_below_one, {"0": 0, "0.99": 0.99}, ["1"]),
        (open_share, {"0.5": 0.5}, ["0", "1", "nan"]),
        (positive, {"1e-9": 1e-9}, ["0", "inf"]),
        (not_negative, {"0": 0}, ["-1", "inf"]),
        (seconds, {"0.5": 0.5}, ["0", "86400"]),
    ],
)
def test_numbers_and_their_bounds(read: Callable[[str], float], right: dict[str, float], wrong: list[str]) -> None:
    assert {text: read(text) for text in right} == right
    for text in wrong:
        with pytest.raises(argparse.ArgumentTypeError, match=rf"must be a .*, not '{text}'"):
            read(text)


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
