"""Checks keyword arguments given as plain data against a function's signature, before the function is called."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, get_type_hints

from judges.errors import JudgesError, unknown_name


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

    try:
        hints = get_type_hints(function, include_extras=True)
    except (NameError, TypeError, AttributeError):  # annotations that exist only for a type checker
        return None
    if name not in hints:
        return None
    try:
        return TypeAdapter(hints[name])
    except PydanticUserError:  # a class pydantic knows nothing about
        return None


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
    text = str(item["msg"])
    return f"{text} (at {at})" if at else text
