"""Checks keyword arguments given as plain data against a function's signature, before the function is called."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from judges.docstrings import field_docstrings
from judges.errors import JudgesError, did_you_mean, unknown_name

if TYPE_CHECKING:
    from pydantic import BaseModel


@dataclass(frozen=True, slots=True)
class GroupOf:
    """Marks a parameter that takes plain data as a group of options: `Annotated[dict[str, Any], GroupOf(Model)]`."""

    model: type[BaseModel]


def bind(function: Callable[..., Any], given: Mapping[str, Any], owner: str, what: str = "option") -> dict[str, Any]:
    """The keyword arguments for `function`, converted to its annotated types.

    The first parameter (`self`, `row`, the text) is not among the options. Types are strict, as in JSON: no text
    for a number, no number for a boolean; a list may become a tuple or a set. Parameters without a usable
    annotation accept anything.

    Args:
        function: whose signature counts.
        given: names and plain-data values.
        owner: for messages, e.g. `judge 'math'`.
        what: what a name is called in messages.

    Raises:
        JudgesError: an unknown name, a missing one, or a value of the wrong type.
    """
    parameters, takes_any = _parameters(function)
    for name in given:
        if name not in parameters and not takes_any:
            raise JudgesError(unknown_name(what, name, parameters, f"of {owner}"))
    missing = [name for name, p in parameters.items() if p.default is p.empty and name not in given]
    if missing:
        raise JudgesError(f"{owner} needs the {what} {', '.join(map(repr, missing))}")
    return {name: _convert(function, name, value, f"{owner}, {what} {name!r}") for name, value in given.items()}


@dataclass(frozen=True, slots=True)
class Option:
    """An option in words.

    Attributes:
        name: its name.
        type: the values it takes.
        default: its default as JSON; `required` where there is none.
        about: what it means; empty where only the docstring of its owner says so.
        group: for a group of options: these.
    """

    name: str
    type: str
    default: str
    about: str = ""
    group: list[Option] = field(default_factory=list)


def described(function: Callable[..., Any]) -> list[Option]:
    """The options that `bind` takes for this function."""
    hints = _hints(function)
    return [
        Option(
            name,
            _type_text(hints.get(name, Any)),
            "required" if parameter.default is parameter.empty else _default_text(parameter.default),
            group=_group(hints.get(name, Any)),
        )
        for name, parameter in _parameters(function)[0].items()
    ]


def _group(hint: Any) -> list[Option]:
    """The fields of the group of options that a parameter takes, if it does."""
    from pydantic import BaseModel

    parts = (hint, *get_args(hint))
    model = next((part.model for part in parts if isinstance(part, GroupOf)), None) or next(
        (part for part in parts if inspect.isclass(part) and issubclass(part, BaseModel)), None
    )
    if model is None:
        return []
    docstrings = field_docstrings(model)
    return [
        Option(
            name,
            _type_text(info.annotation, info.metadata),
            "required" if info.is_required() else _default_text(info.get_default(call_default_factory=True)),
            " ".join((info.description or docstrings.get(name, "")).split()),
        )
        for name, info in model.model_fields.items()
    ]


_TYPE_NAMES: dict[Any, str] = {
    str: "text", int: "whole number", float: "number", bool: "true | false", NoneType: "null", Any: "anything",
}  # fmt: skip
_LIMITS = (("ge", "≥"), ("gt", ">"), ("le", "≤"), ("lt", "<"))


def _type_text(hint: Any, metadata: Sequence[Any] = ()) -> str:
    """A type in the words of JSON."""
    origin, parts = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _type_text(parts[0], parts[1:])
    limits = [f"{sign} {getattr(m, name)}" for m in metadata for name, sign in _LIMITS if _limit(m, name) is not None]
    if origin is Literal:
        text = " | ".join(map(str, parts))
    elif origin in (Union, UnionType):
        return " | ".join(_type_text(part, () if part is NoneType else metadata) for part in parts)
    elif hint in _TYPE_NAMES:
        text = _TYPE_NAMES[hint]
    elif origin in (list, tuple, set, frozenset):
        text = f"list of {_type_text(parts[0])}"
    else:
        text = "mapping" if origin is dict or hint is dict or inspect.isclass(hint) else str(hint)
    return f"{text} {', '.join(limits)}" if limits else text


def _limit(constraint: Any, name: str) -> Any:
    return getattr(constraint, name, None)


def _default_text(value: Any) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, default=list)
    except TypeError:
        return repr(value)


@lru_cache(maxsize=512)
def _parameters(function: Callable[..., Any]) -> tuple[dict[str, inspect.Parameter], bool]:
    """The named parameters after the first, and whether any further keyword is taken."""
    all_parameters = list(inspect.signature(function).parameters.values())[1:]
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    takes_any = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in all_parameters)
    return {p.name: p for p in all_parameters if p.kind in named}, takes_any


@lru_cache(maxsize=512)
def _adapter(function: Callable[..., Any], name: str) -> Any:
    """Pydantic's validator of one parameter, or None when its annotation cannot be used."""
    from pydantic import TypeAdapter
    from pydantic.errors import PydanticUserError

    hints = _hints(function)
    if name not in hints:
        return None
    try:
        return TypeAdapter(hints[name])
    except PydanticUserError:  # a class pydantic knows nothing about
        return None


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    try:
        return get_type_hints(function, include_extras=True)
    except (NameError, TypeError, AttributeError):  # annotations that exist only for a type checker
        return {}


def _convert(function: Callable[..., Any], name: str, value: Any, where: str) -> Any:
    from pydantic import ValidationError

    adapter = _adapter(function, name)
    if adapter is None:
        return value
    try:
        return adapter.validate_json(json.dumps(value), strict=True)
    except ValidationError as error:
        problems = "; ".join(_problem(item) for item in error.errors(include_url=False))
        raise JudgesError(f"{where}: {problems}, got {value!r}") from None


def _problem(item: Mapping[str, Any]) -> str:
    at = ".".join(str(part) for part in item["loc"])
    text = str(item["msg"]).removeprefix("Value error, ")  # pydantic's name for a ValueError of ours
    if item["type"] == "literal_error" and isinstance(item["input"], str):
        text += did_you_mean(item["input"], re.findall(r"'([^']*)'", item["ctx"]["expected"])).replace(" Did", ". Did")
    return f"{text} (at {at})" if at else text
