"""Judges and their options, as the commands that ask judges are given them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Any

from judges.command_options import Form
from judges.errors import JudgesError, did_you_mean
from judges.spec import JudgeSpec

_LABELLED = re.compile(r"(?P<label>[^=:/\\]+)=(?P<name>.*)")


@dataclass(frozen=True, kw_only=True)
class JudgeOptions:
    """The options of judges, for the commands that ask some."""

    option: Annotated[tuple[str, ...], Form(str, "NAME.KEY=VALUE", collect=tuple)] = ()
    """option of a judge, as JSON or plain text, e.g. safety.llm.model=NAME; may be repeated; every judge has as,
    timeout_seconds, threshold and abstain_within; `judge list NAME` shows the others"""


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


def judge_entries(given: Iterable[str]) -> list[tuple[str, str]]:
    """Label and judge of each entry of `--judge [LABEL=]NAME[,…]`; without a label it is empty.

    Raises:
        JudgesError: an empty name, or a label or a judge without one that is named twice.
    """
    entries: list[tuple[str, str]] = []
    for text in given:
        for entry in (part.strip() for part in text.split(",")):
            match = _LABELLED.fullmatch(entry)
            label, name = (match["label"], match["name"]) if match else ("", entry)
            if not name:
                raise JudgesError(f"--judge: an empty name in {text!r}")
            shown = label or name
            if shown in (other_label or other for other_label, other in entries):
                raise JudgesError(
                    f"--judge: {shown!r} is named twice. Give one of them a name of its own: "
                    f"--judge {shown},NEW={name} --option NEW.KEY=VALUE"
                )
            entries.append((label, name))
    return entries


def labelled_specs(labels: Iterable[str], names: Iterable[str], options: Iterable[str]) -> list[JudgeSpec]:
    """The judges with the options of `--option`; a label that is not empty is the name of the verdicts.

    Raises:
        JudgesError: as `judge_specs`; or a label is that of another judge.
    """
    pairs = [(label or name, name, {"as": label} if label else {}) for label, name in zip(labels, names, strict=True)]
    given = judge_specs([shown for shown, *_ in pairs], options)
    if len(given) < len(pairs):
        raise JudgesError(f"--judge: two of these have the same name: {', '.join(shown for shown, *_ in pairs)}")
    return [
        JudgeSpec(name, {**labelled, **spec.options}) for (_, name, labelled), spec in zip(pairs, given, strict=True)
    ]


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
            near = did_you_mean(name, chosen)
            raise JudgesError(f"--option {option!r}: the judge {name!r} is not among {', '.join(chosen)}.{near}")
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
