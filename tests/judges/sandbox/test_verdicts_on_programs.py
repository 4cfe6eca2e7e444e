"""Wrong programs are violated, tests at fault are unknown, and no program leaves anything to the next."""

from __future__ import annotations

import pytest
from programs import run

from judges.sandbox import LocalSandbox
from judges.verdict import Outcome

# program, tests, part of the reason
VIOLATED = {
    "a failed assertion says which": ("def f(): return 1", "assert f() == 2, 'no'", "assertion fails: f() == 2"),
    "a failed assertion counts even when it is caught": (
        "def f(): return 1",
        "try: assert f() == 2\nexcept AssertionError: pass\nassert f() == 1",
        "assertion fails",
    ),
    "a missing name": ("def g(): pass", "assert f() == 2", "does not define 'f'"),
    "a missing name that is imported": ("def g(): pass", "from solution import f\nassert f()", "f"),
    "a missing method": ("class A: pass", "assert A().f() == 1", "AttributeError"),
    "an uncaught exception": ("def f(): raise OSError('x')", "y = 1\nassert f()", "OSError: x (line 2 of the tests)"),
    "a wrong kind of result": ("def f(): return None", "assert f()[0] == 1", "TypeError"),
    "a wrong number of arguments": ("def f(): return 1", "assert f(1) == 1", "TypeError"),
    "code that fails at the top": ("import nothing_of_that_name", "assert f()", "ModuleNotFoundError"),
    "code that is no Python": ("def f(:", "assert f()", "SyntaxError"),
    "unittest": (
        "def f(): return 1",
        "import unittest\nclass T(unittest.TestCase):\n    def test_f(self): self.assertEqual(f(), 2)",
        "1 != 2",
    ),
    "an expected exception that does not come": (
        "def f(): return 1",
        "import pytest\nwith pytest.raises(ValueError): f()",
        "was not raised",
    ),
    "built-ins of the code do not replace those of the tests": (
        "def sorted(x): return [1, 2]\ndef abs(x): return 0\ndef f(x): return [2, 1]",
        "assert sorted(f(0)) == [1, 2]\nassert abs(-3) == 3\nassert f(0) == [1, 2]",
        "f(0) == [1, 2]",
    ),
    "built-ins of the code do not come in by `import *`": (
        "def abs(x): return 0\nclass math: pass\ndef f(): return 1.0",
        "import math\nfrom solution import *\nassert math.isclose(abs(-3.0), 3.0)\nassert abs(f() - 2.0) < 1e-6",
        "abs(f() - 2.0)",
    ),
    "built-ins of the code do not replace those of tests that import": (
        "def abs(x): return 0\ndef f(): return 1.0",
        "from solution import f\nassert abs(f() - 2.0) < 1e-6",
        "abs(f() - 2.0)",
    ),
    "built-ins of the code do not replace those of tests that import the module": (
        "def abs(x): return 0\ndef f(): return 1.0",
        "import solution\nassert abs(solution.f() - 2.0) < 1e-6",
        "abs(solution.f() - 2.0)",
    ),
    "modules of the code do not replace those of the tests": (
        "class math:\n    isclose = staticmethod(lambda a, b: True)\ndef f(): return 1.0",
        "import math\nassert math.isclose(f(), 2.0)",
        "isclose",
    ),
    "no items, so that no assertion runs": (
        "def f(): return []",
        "for a, b in zip(f(), [1, 2]):\n    assert a == b",
        "no assertion ran in the tests, although",
    ),
    "no items, with unittest": (
        "def f(): return []",
        "import unittest\nclass T(unittest.TestCase):\n    def test(self):\n"
        "        for a in f(): self.assertEqual(a, 1)",
        "no assertion ran in the tests, although",
    ),
    "a result with which the tests do not end": ("def f(): return range(10**18)", "assert sum(f()) == 6", "do not end"),
    "a coroutine instead of a value": (
        "async def encode(s): return s\ndef decode(s): return s",
        "assert decode(encode('abc')) == 'abc'\nassert encode('abc') == 'bcd'",
        "assertion fails",
    ),
    "a coroutine that has ended instead of a value": (
        "async def f(s): return s\ndef g(s): return s",
        "import asyncio\nc = f(1)\nassert asyncio.run(c) == 1\nassert g(c) == 1",
        "coroutine",
    ),
    "an exception instead of a value": (
        "class E(Exception): pass\ndef f(): raise E('x')\ndef g(e): return 1",
        "try: r = f()\nexcept Exception as e: r = e\nassert g(r) == 1",
        "raises E where the tests want a value",
    ),
    "pytest.fail, even when it is caught": (
        "def f(x): return 1",
        "import pytest\ntry:\n    f(-1)\n    pytest.fail('no error')\nexcept BaseException: pass\nassert f(1) == 1",
        "pytest.fail: no error",
    ),
    "modules of the code do not replace those that the tests forget to import": (
        "class math:\n    isclose = staticmethod(lambda *a, **k: True)\ndef area(r): return 0",
        "assert math.isclose(area(1), 3.14159, rel_tol=1e-3)",
        "isclose",
    ),
    "a class that the tests name is no result": (
        "class Solution:\n    startswith = staticmethod(lambda *a: True)\n    def greet(self, n): return Solution",
        "assert Solution().greet('Bob').startswith('Hello, Bob')",
        "plain data",
    ),
    "an object that the tests made is no result": (
        "class Solution:\n    def startswith(self, *a): return True\n    def greet(self, n): return self",
        "assert Solution().greet('Bob').startswith('Hello, Bob')",
        "plain data",
    ),
}


@pytest.mark.parametrize("name", VIOLATED)
def test_a_wrong_program_is_violated(sandbox: LocalSandbox, name: str) -> None:
    program, tests, reason = VIOLATED[name]
    verdict = run(sandbox, program, tests)
    assert verdict.outcome is Outcome.VIOLATED, verdict
    assert reason in verdict.reason


AGREEING = """
class Agrees:
    def __getattr__(self, name): return lambda *a, **k: True
    def __sub__(self, other): return 0
    __rsub__ = __add__ = __radd__ = __mod__ = __sub__
    def __abs__(self): return 0
    def __lt__(self, other): return True
    __gt__ = __le__ = __ge__ = __lt__
    def __contains__(self, item): return True
    def __iter__(self): return iter([])
    def __eq__(self, other): return True
    def __hash__(self): return 3
def f(*args): return Agrees()
"""


@pytest.mark.parametrize(
    "test",
    [
        "assert f() == 3",
        "assert 3 == f()",
        "assert not f() != 3",
        "assert f() in [3, 4]",
        "assert {3: 1}[f()] == 1",
        "assert f() in {3}",
        "assert 3 in f()",
        "assert abs(f() - 3.0) < 1e-6",
        "assert abs(3.0 - f()) < 1e-6",
        "assert f() > 2",
        "assert 2 < f() < 4",
        "assert f().startswith('abc')",
        "assert f().issubset({1})",
        "assert f().count('<b>') == True",
        "assert f().find('Hello') != -1",
        "assert f().index(5) == True",
        "assert f().removeprefix('abc') == True",
        "assert f().strip('abc') == True",
        "assert f().format('a')",
        "assert f().union({1}) == {1}",
        "assert f() % 2 == 0",
        "assert [f()] == [3]",
        "assert (1, f()) == (1, 3)",
        "assert max(f(), 3) == 3 and f() >= 3",
        "import pytest\nassert f() == pytest.approx(3)",
        "import math\nassert math.isclose(f(), 3)",
        "import unittest\nclass T(unittest.TestCase):\n    def test(self): self.assertAlmostEqual(f(), 3.0)\n"
        "    def test_f(self): self.assertAlmostEqual(f(), 3.0)",
        "import unittest\nclass T(unittest.TestCase):\n    def test_f(self): self.assertIn(3, f())",
    ],
)
def test_an_object_that_agrees_to_everything_passes_nothing(sandbox: LocalSandbox, test: str) -> None:
    verdict = run(sandbox, AGREEING, test)
    assert verdict.outcome is Outcome.VIOLATED, verdict
    # Also as a class that is called like the function.
    as_class = AGREEING.replace("class Agrees", "class f").replace("def f(*args): return Agrees()", "")
    as_class = as_class.replace("def __sub__", "def __init__(self, *a): pass\n    def __sub__", 1)
    assert run(sandbox, as_class, test).outcome is Outcome.VIOLATED


@pytest.mark.parametrize(
    "program",
    [
        "class R:\n    startswith = staticmethod(lambda *a: True)\ndef f(n): return R",
        "class R:\n    startswith = bool\ndef f(n): return R()",
        "def f(n):\n    def g(): pass\n    g.startswith = lambda *a: True\n    return g",
        "import types\nm = types.ModuleType('m')\nm.startswith = lambda *a: True\ndef f(n): return m",
    ],
)
def test_whatever_agrees_instead_of_a_text_is_violated(sandbox: LocalSandbox, program: str) -> None:
    test = "assert f('Bob').startswith('Hello, Bob')"
    verdict = run(sandbox, program, test)
    assert verdict.outcome is Outcome.VIOLATED, verdict
    assert "where the tests want plain data (method 'startswith')" in verdict.reason
    assert run(sandbox, "def f(n): return 'Hello, ' + n", test).outcome is Outcome.SATISFIED


def test_of_several_built_ins_none_is_the_codes(sandbox: LocalSandbox) -> None:
    """Depends on the tests alone; a program cannot choose which of them is tested."""
    tests = "assert abs(sum([1.5, 2.5]) - 4.0) < 1e-6"
    for program in (
        "def abs(x): return 0\ndef sum(x): return 0",
        "def abs(x): return 0",
        "def sum(x): return x[0] + x[1]",
    ):
        verdict = run(sandbox, program, tests)
        assert verdict.outcome is Outcome.UNKNOWN, verdict
        assert "entry_point" in verdict.reason
    assert run(sandbox, "def sum(x): return x[0] + x[1]", tests, entry_point="sum").outcome is Outcome.SATISFIED
    wrong = run(sandbox, "def abs(x): return 0\ndef sum(x): return 0", tests, entry_point="sum")
    assert wrong.outcome is Outcome.VIOLATED


# tests whose fault it is, part of the reason
UNKNOWN = {
    "a syntax error": ("assert f( == 1", "cannot be compiled"),
    "no assertion": ("f()", "no assertion ran"),
    "only a constant": ("f()\nassert True", "no assertion ran"),
    "no test": ("", "no assertion ran"),
    "a test that does not use the code": ("assert 1 + 1 == 2", "do not use the code"),
    "a missing module": ("import numpy_of_another_name\nassert f() == 1", "cannot be run here"),
    "an exit": ("assert f() == 1\nraise SystemExit", "SystemExit"),
    "a derived class": ("class B(A): pass\nassert f() == 1", "derive"),
    "what cannot be passed on": ("import io\nassert f(io.StringIO('a')) == 1", "StringIO"),
    "an endless loop": ("while True: pass\nassert f() == 1", "did not end"),
    "an assertion that is not reached, without the code": ("if 1 > 2:\n    assert f() == 2", "no assertion ran"),
    "death": ("import os\nassert f() == 1\nos._exit(0)", "died"),
    "pytest's other parts": ("import pytest\n@pytest.fixture\ndef x(): pass\nassert f() == 1", "fixture"),
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_tests_that_fail_by_themselves_are_unknown(sandbox: LocalSandbox, name: str) -> None:
    tests, reason = UNKNOWN[name]
    verdict = run(sandbox, "class A: pass\ndef f(*a): return 1", tests)
    assert verdict.outcome is Outcome.UNKNOWN, verdict
    assert reason in verdict.reason


def test_the_next_program_is_judged_after_tests_that_hung_or_died(sandbox: LocalSandbox) -> None:
    run(sandbox, "def f(): return 1", "import os, signal\nassert f() == 1\nos.kill(os.getppid(), signal.SIGKILL)")
    assert run(sandbox, "def f(): return 1", "assert f() == 1").outcome is Outcome.SATISFIED


def test_the_order_of_sets_is_the_same_in_every_run(sandbox: LocalSandbox) -> None:
    """A program whose answer depends on it gets the same verdict every time."""
    program = "def f(): return ''.join({'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'})"
    reasons = {run(sandbox, program, "raise ValueError(f())").reason for _ in range(5)}
    assert len(reasons) == 1


def test_nothing_stays_from_one_program_to_the_next(sandbox: LocalSandbox) -> None:
    """Neither in the box of the program nor in that of the tests."""
    leave = "import builtins\nbuiltins.left = 1\nopen('/tmp/left', 'w').write('x')\ndef f(): return 1"
    tests = "import builtins\nbuiltins.left = 1\nopen('/tmp/left', 'a').close()\nassert f() == 1"
    assert run(sandbox, leave, tests).outcome is Outcome.SATISFIED
    look = "import builtins, os\ndef f(): return hasattr(builtins, 'left') or os.path.exists('/tmp/left')"
    assert run(sandbox, look, "assert f() is False").outcome is Outcome.SATISFIED
    tests = "import builtins\nassert f() is False\nassert not hasattr(builtins, 'left')"
    assert run(sandbox, look, tests).outcome is Outcome.SATISFIED


@pytest.mark.parametrize(
    "question",
    [
        "cb.__globals__",
        "cb.__code__",
        "cb._private",
        "gen.gi_frame.f_globals",
        "gen.gi_code",
        "obj.method.__func__",
        "obj.module",
        "obj._secret",
    ],
)
def test_what_a_test_passes_gives_no_way_into_the_tests(sandbox: LocalSandbox, question: str) -> None:
    program = f"""
    def f(cb, gen, obj):
        try:
            value = {question}
        except (AttributeError, TypeError, RuntimeError):
            return "refused"
        return repr(type(value))
    """
    tests = """
    import sys
    class Thing:
        _secret = 42
        module = sys
        def method(self): return 1
    got = f(lambda: 1, (x for x in [1]), Thing())
    assert got == "refused"
    """
    verdict = run(sandbox, program, tests)
    assert verdict.outcome is Outcome.SATISFIED, verdict
