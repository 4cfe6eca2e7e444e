"""Stand-ins that tests import: `solution` and the small part of `pytest` that data sets use."""

from __future__ import annotations

import contextlib
import itertools
import re
import sys
import types
from collections.abc import Callable
from typing import Any, NoReturn


def solution(named: Callable[[str], Any], public: list[str]) -> types.ModuleType:
    """A module `solution` whose names are those of the candidate: `public` in `import *`, any by `named`."""
    made = types.ModuleType("solution")
    made.__dict__["__all__"] = public
    made.__dict__["__getattr__"] = named
    return made


class Skipped(BaseException):
    """`pytest.skip`: the test function ends, and has checked nothing more."""


def pytest(count: Callable[[], None], fail: Callable[[str], NoReturn]) -> types.ModuleType:
    """`raises`, `approx`, `mark.parametrize`, `fail` and `skip`.

    Args:
        count: called when an expected exception came.
        fail: ends the tests for good, as an assertion that fails.
    """
    made = types.ModuleType("pytest")
    made.__dict__.update(
        raises=lambda *args, **kwargs: _raises(count, *args, **kwargs),
        approx=Approx,
        mark=types.SimpleNamespace(parametrize=parametrize),
        fail=lambda reason="", pytrace=True: fail(f"the tests call pytest.fail: {reason}"),
        skip=_skip,
        __getattr__=_not_offered,
    )
    return made


def _skip(reason: str = "", **_: Any) -> NoReturn:
    raise Skipped(reason)


def _not_offered(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)
    raise ModuleNotFoundError(f"pytest.{name} is not offered to tests here", name="pytest")


def _raises(count: Callable[[], None], kind: Any, *call: Any, match: str | None = None, **kwargs: Any) -> Any:
    context = Raises(count, kind, match)
    if not call:
        return context
    with context:
        call[0](*call[1:], **kwargs)
    return context


class Raises:
    """`with pytest.raises(kind, match=…)`."""

    def __init__(self, count: Callable[[], None], kind: Any, match: str | None) -> None:
        self.count, self.kind, self.pattern = count, kind, match
        self.value: BaseException | None = None

    def __enter__(self) -> Raises:
        return self

    def __exit__(self, kind: Any, value: BaseException | None, trace: Any) -> bool:
        if value is None:
            raise AssertionError(f"{self.kind} was not raised")
        if not isinstance(value, self.kind):
            return False
        if self.pattern is not None and not re.search(self.pattern, str(value)):
            raise AssertionError(f"{value} does not match {self.pattern}")
        self.value = value
        self.count()
        return True


class Approx:
    """`pytest.approx(expected, rel, abs)` for numbers, and for lists, tuples and dicts of them."""

    def __init__(self, expected: Any, rel: float | None = None, abs: float | None = None) -> None:
        self.expected, self.rel, self.abs = expected, rel, abs

    def __eq__(self, actual: object) -> bool:
        return self._near(self.expected, actual)

    def __hash__(self) -> int:
        raise TypeError("unhashable")

    def _near(self, expected: Any, actual: Any) -> bool:
        if isinstance(expected, dict):
            keys = type(actual) is dict and actual.keys() == expected.keys()
            return keys and all(self._near(expected[key], actual[key]) for key in expected)
        if isinstance(expected, (list, tuple)):
            if type(actual) is not type(expected) or len(actual) != len(expected):
                return False
            return all(self._near(a, b) for a, b in zip(expected, actual, strict=True))
        if type(actual) not in (int, float, complex) or type(expected) not in (int, float, complex):
            return bool(actual == expected)
        least = 1e-12 if self.abs is None else self.abs
        relative = 1e-6 if self.rel is None and self.abs is None else self.rel or 0.0
        return bool(actual == expected or abs(actual - expected) <= max(least, relative * abs(expected)))


def parametrize(names: Any, values: Any, **_: Any) -> Callable[[Any], Any]:
    """Remembers the rows; `run` calls the function with each."""
    split = [name.strip() for name in names.split(",")] if isinstance(names, str) else list(names)
    rows = [dict(zip(split, row if len(split) > 1 else (row,), strict=True)) for row in values]

    def decorate(function: Any) -> Any:
        function.parametrized = [*getattr(function, "parametrized", []), rows]
        return function

    return decorate


def run(function: Any) -> None:
    """Calls a test function, once for every combination of its parameters; one that needs more is left out."""
    code = function.__code__
    bound = int(isinstance(function, types.MethodType))
    required = set(code.co_varnames[bound : code.co_argcount - len(function.__defaults__ or ())])
    for rows in itertools.product(*getattr(function, "parametrized", [])):
        arguments: dict[str, Any] = {}
        for row in rows:
            arguments |= row
        if required <= arguments.keys():
            with contextlib.suppress(Skipped):
                _called(function, arguments)


def _called(function: Any, arguments: dict[str, Any]) -> None:
    result = function(**arguments)
    if isinstance(result, types.CoroutineType):
        import asyncio

        asyncio.run(result)


def is_test_case(kind: type) -> bool:
    unittest = sys.modules.get("unittest")
    return unittest is not None and issubclass(kind, unittest.TestCase) and kind is not unittest.TestCase


def run_test_case(kind: Any, count: Callable[[], None]) -> str:
    """Runs a class of unittest. Returns what failed first, or an empty text."""
    import unittest

    _count_assertions(unittest.TestCase, count)
    result = unittest.TestResult()
    unittest.defaultTestLoader.loadTestsFromTestCase(kind).run(result)
    for test, trace in (*result.failures, *result.errors):
        return f"{test}: {trace.strip().splitlines()[-1]}"
    return ""


def _count_assertions(kind: Any, count: Callable[[], None]) -> None:
    """Every assertion method that returns has held."""

    def counted(method: Any) -> Any:
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            result = method(*args, **kwargs)
            count()
            return result

        wrapper.counted = True  # type: ignore[attr-defined]
        return wrapper

    for name in [name for name in dir(kind) if name.startswith("assert")]:
        method = getattr(kind, name)
        if not hasattr(method, "counted"):
            setattr(kind, name, counted(method))
