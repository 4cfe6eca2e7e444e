"""Finds judges: built-in and installed ones are Python entry points of the group `cgpo.judges`.

An entry point names a subclass of `judges.Judge` or a plain function `def f(row: Row) -> Verdict | bool`. Nothing
here imports a judge's module before that judge is asked for.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import Distribution, EntryPoint, distributions
from typing import Any

from judges.errors import JudgesError, unknown_name
from judges.function import FunctionJudge, judge_class
from judges.installed import points_of
from judges.judge import Judge
from judges.options import bind
from judges.spec import JudgeSpec

__all__ = [
    "GROUP",
    "JudgeInfo",
    "JudgeSpec",
    "check",
    "create",
    "describe",
    "load",
    "names",
    "origin",
    "shadowed",
    "signature",
    "timeout",
]

GROUP = "cgpo.judges"
OWN_DISTRIBUTION = "cgpo"
TIMEOUT_OPTION = "timeout_seconds"
"""An option every judge has: wall time of one verdict in seconds. The constructor never sees it."""
ENTRY_OPTIONS = frozenset({TIMEOUT_OPTION, "as", "threshold", "abstain_within"})
"""What every entry of a mixture takes beside its judge's own options (judges/constraint.py)."""


@dataclass(frozen=True, slots=True)
class JudgeInfo:
    """What `judge list` shows of one judge.

    Attributes:
        name: its name in the registry.
        kind: `rule` or `llm`; empty when it cannot be loaded.
        requires: metadata keys it needs.
        applies_only_with: metadata keys without which it does not apply.
        distribution: the installed package it comes from, with version.
        summary: first line of its docstring.
        error: why it cannot be loaded, or None.
    """

    name: str
    kind: str
    requires: tuple[str, ...]
    applies_only_with: tuple[str, ...]
    distribution: str
    summary: str
    error: str | None = None


def names() -> list[str]:
    """Names of all judges, sorted. Raises JudgesError when two packages claim the same name."""
    return sorted(_table())


def load(name: str) -> type[Judge]:
    """The judge class of that name; a plain function comes wrapped in one.

    Raises:
        JudgesError: no such name, a name clash, or what the package offers cannot be imported or is no judge.
    """
    table = _table()
    if name not in table:
        hint = "" if table else " No judge is registered at all: is the package installed (pip install)?"
        raise JudgesError(unknown_name("judge", name, table) + hint)
    return _resolve(table[name])


def create(spec: JudgeSpec | str, options: Mapping[str, Any] | None = None) -> Judge:
    """A new judge from a spec, or from a name and its options.

    Raises:
        JudgesError: as `load`; an unknown or missing option, one of the wrong type, or refused by the judge.
    """
    spec = spec if isinstance(spec, JudgeSpec) else JudgeSpec(spec, dict(options or {}))
    _timeout_option(spec)
    judge = load(spec.name)
    given = {key: value for key, value in spec.options.items() if key != TIMEOUT_OPTION}
    checked = bind(_signature_source(judge), given, f"judge {spec.name!r}")
    try:
        return judge(**checked)
    except ValueError as error:  # how a judge refuses its options; the text is for the user
        text, owner = str(error), f"judge {spec.name!r}"
        raise JudgesError(text if text.startswith(owner) else f"{owner} cannot be created: {text}") from error
    except Exception as error:  # a judge's own constructor may raise anything; the user needs to know whose it was
        raise JudgesError(f"judge {spec.name!r} cannot be created: {type(error).__name__}: {error}") from error


def signature(name: str) -> Callable[..., Any]:
    """The function whose parameters, after the first, are the options of the judge of that name. Raises as `load`."""
    return _signature_source(load(name))


def check(spec: JudgeSpec) -> None:
    """Raises JudgesError when `create(spec)` would."""
    create(spec)


def timeout(spec: JudgeSpec) -> float:
    """Seconds of wall time one verdict of this judge may take."""
    given = _timeout_option(spec)
    return create(spec).timeout_seconds if given is None else given


def describe() -> list[JudgeInfo]:
    """All judges for `judge list`; one that cannot be loaded is listed with the reason."""
    return [_info(point) for _, point in sorted(_table().items())]


def shadowed() -> str | None:
    """Names another installed package that also provides a top-level package `judges`, or None.

    Two such packages overwrite or hide each other's files, so one of them does not work.
    """
    for distribution in distributions():
        name = distribution.metadata["Name"] or ""
        if name != OWN_DISTRIBUTION and _provides_judges(distribution):
            return f"{name} {distribution.version}"
    return None


def origin(name: str) -> str:
    """The installed package, with version, that a judge comes from. Raises JudgesError as `load`."""
    load(name)
    return _origin(_table()[name])


def _table() -> dict[str, EntryPoint]:
    table: dict[str, EntryPoint] = {}
    for point in points_of(GROUP):
        other = table.setdefault(point.name, point)
        if other is not point and other != point:
            raise JudgesError(
                f"the judge name {point.name!r} is claimed by two packages: {_origin(other)} ({other.value}) and "
                f"{_origin(point)} ({point.value}). Uninstall one of them or rename its judge"
            )
    return table


def _origin(point: EntryPoint) -> str:
    return f"{point.dist.metadata['Name']} {point.dist.version}" if point.dist else "an unknown package"


def _where(point: EntryPoint) -> str:
    return f"judge {point.name!r} of {_origin(point)}"


def _resolve(point: EntryPoint) -> type[Judge]:
    try:
        target = point.load()
    except JudgesError as error:
        raise JudgesError(f"{_where(point)} cannot be used: {error}") from error
    except Exception as error:  # importing a plugin runs foreign code; the user needs to know whose
        raise JudgesError(f"{_where(point)} cannot be imported: {type(error).__name__}: {error}") from error
    if inspect.isclass(target) and issubclass(target, Judge):
        judge = target
    elif callable(target) and not inspect.isclass(target):
        judge = judge_class(target)
    else:
        raise JudgesError(f"{_where(point)} ({point.value}) is neither a subclass of judges.Judge nor a function")
    try:
        parameters = inspect.signature(_signature_source(judge)).parameters
    except ValueError as error:  # some functions written in C say nothing about their parameters
        raise JudgesError(f"{_where(point)}: {error}") from error
    clashing = sorted(ENTRY_OPTIONS & parameters.keys())
    if clashing:
        # It would never see them: a mixture takes them for its own.
        names = ", ".join(clashing)
        raise JudgesError(f"{_where(point)} has options named as those of every entry of a mixture: {names}")
    return judge


def _signature_source(judge: type[Judge]) -> Callable[..., Any]:
    """The function whose parameters, after the first, are the judge's options."""
    if issubclass(judge, FunctionJudge):
        return judge.function
    return _no_options if judge.__init__ is object.__init__ else judge.__init__


def _no_options(self: Judge) -> None:
    """The signature of a judge without a constructor; that of `object` would accept anything."""


def _timeout_option(spec: JudgeSpec) -> float | None:
    value = spec.options.get(TIMEOUT_OPTION)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < math.inf:
        raise JudgesError(f"judge {spec.name!r}, option {TIMEOUT_OPTION!r}: must be a number above 0, got {value!r}")
    return float(value)


def _info(point: EntryPoint) -> JudgeInfo:
    try:
        judge = _resolve(point)
    except JudgesError as error:
        return JudgeInfo(point.name, "", (), (), _origin(point), "", str(error))
    summary = (inspect.getdoc(judge) or "").partition("\n")[0]
    any_of = (" or ".join(sorted(judge.requires_any)),) if judge.requires_any else ()
    requires, applies = (*sorted(judge.requires), *any_of), tuple(sorted(judge.applies_only_with))
    return JudgeInfo(point.name, judge.kind, requires, applies, _origin(point), summary)


def _provides_judges(distribution: Distribution) -> bool:
    top_level = distribution.read_text("top_level.txt")
    if top_level is not None:
        return "judges" in top_level.split()
    return "\njudges/" in "\n" + (distribution.read_text("RECORD") or "")
