"""Arguments that several subcommands share."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from typing import Any

from judges.errors import JudgesError
from judges.spec import JudgeSpec


def add_option_argument(parser: argparse.ArgumentParser) -> None:
    """`--option NAME.KEY=VALUE`."""
    parser.add_argument(
        "--option",
        action="append",
        default=[],
        metavar="NAME.KEY=VALUE",
        help="option of a judge, as JSON or plain text, e.g. safety.llm.model=NAME; may be repeated; every judge has "
        "timeout_seconds, threshold and abstain_within",
    )


def rate(text: str) -> float:
    """A number from 0 to 1."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"must be a number from 0 to 1, not {text!r}")
    return value


def positive(text: str) -> int:
    """A whole number of at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 1, not {text!r}")
    return int(text)


def natural(text: str) -> int:
    """A whole number of at least 0."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 0, not {text!r}")
    return int(text)


def judge_names(given: Iterable[str]) -> list[str]:
    """The names of `--judge NAME[,NAME…]`, which may be repeated.

    Raises:
        JudgesError: an empty name, or one that is named twice.
    """
    names: list[str] = []
    for text in given:
        for name in (part.strip() for part in text.split(",")):
            if not name:
                raise JudgesError(f"--judge: an empty name in {text!r}")
            if name in names:
                raise JudgesError(f"--judge: {name!r} is named twice")
            names.append(name)
    return names


def judge_specs(names: Iterable[str], options: Iterable[str]) -> list[JudgeSpec]:
    """The judges with the options of `--option`.

    Raises:
        JudgesError: an option that is not written as it should be, or that is for another judge.
    """
    chosen: dict[str, dict[str, Any]] = {name: {} for name in names}
    for option in options:
        path, equals, value = option.partition("=")
        name, dot, key = path.partition(".")
        if not (equals and dot and name and key):
            raise JudgesError(f"--option {option!r}: write it as NAME.KEY=VALUE, e.g. math.format=boxed")
        if name not in chosen:
            raise JudgesError(f"--option {option!r}: the judge {name!r} is not among {', '.join(chosen)}")
        _set(chosen[name], key.split("."), _value(value), option)
    return [JudgeSpec(name, given) for name, given in chosen.items()]


def _set(options: dict[str, Any], path: list[str], value: Any, given: str) -> None:
    """`llm.model` is `model` in the group `llm`."""
    for group in path[:-1]:
        options = options.setdefault(group, {})
        if not isinstance(options, dict):
            raise JudgesError(f"--option {given!r}: {group!r} was already given as a value, not as a group")
    options[path[-1]] = value


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
