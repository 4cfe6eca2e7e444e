"""What tests may do with the code under test, seen from the person who writes them."""

from __future__ import annotations

import textwrap

import pytest

from judges.sandbox import LocalSandbox
from judges.verdict import Outcome, Verdict


def run(sandbox: LocalSandbox, program: str, *tests: str, entry_point: str = "") -> Verdict:
    return sandbox.run_tests(textwrap.dedent(program), [textwrap.dedent(text) for text in tests], entry_point)


# program, tests: all hold
GOOD = {
    "data of every kind comes back as it is": (
        """
        import collections, datetime, decimal, fractions
        P = collections.namedtuple("P", "x y")
        def values():
            return [None, True, 1, -2**70, 1.5, float("inf"), 2j, "ä\\ud800", b"b", bytearray(b"c"), [1], (2,),
                    {3: "x"}, {4}, frozenset({5}), range(3), collections.Counter("aab"), collections.OrderedDict(a=1),
                    collections.defaultdict(int, a=1), collections.deque([1], 3), P(1, 2), decimal.Decimal("1.10"),
                    fractions.Fraction(1, 3), datetime.date(2020, 2, 29), datetime.timedelta(days=1), int, ValueError]
        """,
        """
        import collections, datetime, decimal, fractions
        got = values()
        assert got[:9] == [None, True, 1, -2**70, 1.5, float("inf"), 2j, "ä\\ud800", b"b"]
        assert [type(v) for v in got[1:4]] == [bool, int, int]
        assert got[9:16] == [bytearray(b"c"), [1], (2,), {3: "x"}, {4}, frozenset({5}), range(3)]
        assert got[16]["a"] == 2 and got[16].most_common(1) == [("a", 2)]
        assert got[18]["missing"] == 0 and list(got[17]) == ["a"]
        assert got[19].maxlen == 3 and got[20].y == 2 and got[20] == (1, 2)
        assert str(got[21]) == "1.10" and got[22] * 3 == 1
        assert got[23].year == 2020 and got[24] == datetime.timedelta(1)
        assert got[25] is int and got[26] is ValueError
        """,
    ),
    "nan and minus zero": (
        "def f(): return [float('nan'), -0.0]",
        "import math\nassert math.isnan(f()[0])\nassert math.copysign(1, f()[1]) == -1",
    ),
    "arguments changed in place": (
        """
        def sort(a): a.sort()
        def rotate(m): m[:] = [list(r) for r in zip(*m[::-1])]
        def fill(d): d["k"] = [1]
        def drop(s): s.discard(1)
        def fail(a):
            a.append(1)
            raise ValueError
        """,
        """
        a = [3, 1, 2]
        sort(a)
        assert a == [1, 2, 3]
        row = [1, 2]
        m = [row, [3, 4]]
        rotate(m)
        assert m == [[3, 1], [4, 2]] and row is m[0]
        d = {}
        fill(d)
        assert d == {"k": [1]}
        s = {1, 2}
        drop(s)
        assert s == {2}
        b = []
        try: fail(b)
        except ValueError: pass
        assert b == [1]
        """,
    ),
    "the argument itself as the result": ("def f(a): return a", "a = [1]\nassert f(a) is a\nassert f([1]) is not a"),
    "exceptions by their type": (
        """
        def f(x):
            if x < 0: raise ValueError("negative")
            return {}[x]
        def g(): b"\\xff".decode()
        def h(): raise OSError(2, "gone")
        """,
        """
        try:
            f(-1)
            assert False
        except ValueError as error:
            assert str(error) == "negative" and error.args == ("negative",)
        try: f(1)
        except KeyError as error: assert error.args == (1,)
        try: g()
        except UnicodeDecodeError as error: assert error.start == 0
        try: h()
        except FileNotFoundError as error: assert error.errno == 2
        """,
    ),
    "own exceptions by name": (
        """
        class Empty(LookupError):
            def __init__(self, what):
                super().__init__(what)
            def __str__(self): return "nothing in " + self.args[0]
        def f(): raise Empty("it")
        """,
        """
        try:
            f()
            assert False
        except Empty as error:
            assert str(error) == "nothing in it"
        try: f()
        except LookupError: assert issubclass(Empty, LookupError)
        """,
    ),
    "pytest's helpers": (
        "def f(x):\n    if x == 0: raise ZeroDivisionError('no zero')\n    return 1 / x",
        """
        import pytest
        from solution import f
        def test_zero():
            with pytest.raises(ZeroDivisionError, match="zero"):
                f(0)
        @pytest.mark.parametrize("x, expected", [(2, 0.5), (3, 0.3333333333)])
        def test_value(x, expected):
            assert f(x) == pytest.approx(expected)
        class TestMore:
            def test_four(self): assert f(4) == 0.25
        """,
    ),
    "unittest": (
        "def f(x): return x + 1",
        """
        import unittest
        class T(unittest.TestCase):
            def setUp(self): self.x = 1
            def test_f(self): self.assertEqual(f(self.x), 2)
            def test_error(self):
                with self.assertRaises(TypeError): f("a")
        """,
    ),
    "classes": (
        """
        class Stack:
            "A stack."
            def __init__(self, items=()): self.items = list(items)
            def push(self, x): self.items.append(x); return self
            def pop(self):
                if not self.items: raise IndexError("empty")
                return self.items.pop()
            def __len__(self): return len(self.items)
            def __iter__(self): return iter(self.items)
            def __contains__(self, x): return x in self.items
            def __getitem__(self, n): return self.items[n]
            def __eq__(self, other): return self.items == other.items
            def __add__(self, other): return Stack(self.items + list(other))
            def __str__(self): return f"Stack{self.items}"
            @property
            def top(self): return self.items[-1]
            @classmethod
            def of(cls, *items): return cls(items)
        """,
        """
        s = Stack([1])
        s.push(2).push(3)
        assert len(s) == 3 and s and s.top == 3 and s[0] == 1
        assert list(s) == [1, 2, 3] and 2 in s and 7 not in s
        assert s.pop() == 3 and s.items == [1, 2]
        assert s == Stack.of(1, 2) and s != Stack() and not s == [1, 2]
        assert str(s + [5]) == "Stack[1, 2, 5]"
        assert isinstance(s, Stack) and not isinstance(3, Stack) and not isinstance(s, list)
        assert hasattr(s, "push") and not hasattr(s, "peek")
        s.items = []
        try:
            s.pop()
            assert False
        except IndexError as error: assert str(error) == "empty"
        """,
    ),
    "a class made by a capital name may see what it is compared with": (
        """
        class Trie:
            def __init__(self): self.words = []
            def insert(self, w): self.words.append(w)
            def startswith(self, p): return any(w.startswith(p) for w in self.words)
        class Vector:
            def __init__(self, x): self.x = x
            def __mul__(self, k): return Vector(self.x * k)
            __rmul__ = __mul__
        """,
        """
        t = Trie()
        t.insert("abc")
        assert t.startswith("ab") and not t.startswith("x")
        assert (Vector(2) * 3).x == 6 and (3 * Vector(2) * 2).x == 12
        """,
    ),
    "functions passed by a test": (
        """
        def apply(f, xs): return [f(x) for x in xs]
        def order(xs, key): return sorted(xs, key=key)
        def compose(f, g): return lambda x: f(g(x))
        def total(it): return sum(it)
        """,
        """
        assert apply(lambda x: x * 2, [1, 2]) == [2, 4]
        assert apply(str, [1]) == ["1"]
        assert order(["bb", "a"], key=len) == ["a", "bb"]
        assert order([3, -4], key=lambda x: -x) == [3, -4]
        assert compose(lambda x: x + 1, lambda x: x * 10)(3) == 31
        assert total(x for x in range(4)) == 6
        calls = []
        apply(calls.append, [1, 2])
        assert calls == [1, 2]
        """,
    ),
    "an exception from a function passed by a test": (
        "def safe(f):\n    try: return f()\n    except ZeroDivisionError: return 'caught'",
        "assert safe(lambda: 1 / 0) == 'caught'",
    ),
    "objects of the tests": (
        """
        def total(node):
            return 0 if node is None else node.value + total(node.next)
        def grow(node): node.value = 10
        """,
        """
        class Node:
            def __init__(self, value, next=None): self.value, self.next = value, next
        assert total(Node(1, Node(2))) == 3
        n = Node(1)
        grow(n)
        assert n.value == 10
        """,
    ),
    "generators": (
        """
        def count(n):
            for k in range(n):
                got = yield k
                if got: yield got
            return "end"
        def endless():
            n = 0
            while True:
                yield n
                n += 1
        """,
        """
        import inspect, itertools
        assert list(count(3)) == [0, 1, 2]
        assert inspect.isgenerator(count(1))
        g = count(2)
        assert next(g) == 0 and g.send("x") == "x"
        assert list(itertools.islice(endless(), 3)) == [0, 1, 2]
        assert 5 in endless()
        """,
    ),
    "lazy iterators and views": (
        "def f(): return map(str, [1, 2])\ndef g(): return {'a': 1}.keys()\ndef h(): return zip([1], [2])",
        "assert list(f()) == ['1', '2']\nassert g() == {'a'}\nassert list(h()) == [(1, 2)]",
    ),
    "coroutines": (
        "async def f(x): return x + 1",
        "import asyncio\nassert asyncio.run(f(1)) == 2\nasync def test_f(): assert await f(2) == 3",
    ),
    "a context manager": (
        "class Door:\n    open = False\n    def __enter__(s):\n        s.open = True\n        return s\n"
        "    def __exit__(s, *e): s.open = False",
        "with Door() as d:\n    assert d.open\nassert not d.open",
    ),
    "methods named like those of plain data, of objects that the tests made": (
        """
        class Text:
            def __init__(self, t): self.t = t
            def count(self, part): return self.t.count(part)
            def replace(self, a, b): return Text(self.t.replace(a, b))
            @staticmethod
            def index(t, part): return t.index(part)
        """,
        """
        t = Text("aab")
        assert t.count("a") == 2 and t.replace("a", "c").t == "ccb"
        assert Text.index("abc", "c") == 2
        import solution
        assert solution.Text("xx").count("x") == 2
        """,
    ),
    "containers from a function, filled and asked by key": (
        """
        class Box:
            def __init__(self): self.items = {}
            def update(self, other): self.items.update(other)
            def get(self, key): return self.items.get(key)
            def union(self, other): return {*self.items, *other.items}
            def count(self): return len(self.items)
        def make(): return Box()
        """,
        """
        b = make()
        b.update({"a": 1})
        assert b.get("a") == 1 and b.get("b") is None and b.count() == 1
        assert b.union(make()) == {"a"}
        """,
    ),
    "a function from a function": ("def adder(n): return lambda x: x + n", "assert adder(2)(3) == 5"),
    "coroutines handed back": (
        "async def f(x): return x + 1\nasync def g(c): return await c + 10",
        "import asyncio\nassert asyncio.run(g(f(1))) == 12",
    ),
    "pytest.fail and skip": (
        "def f(x):\n    if x < 0: raise ValueError\n    return x",
        """
        import pytest
        def test_skipped():
            pytest.skip("not here")
            assert False
        def test_f():
            try:
                f(-1)
                pytest.fail("no error")
            except ValueError: pass
            assert f(1) == 1
        """,
    ),
    "__file__": ("import os\ndef f(): return os.path.basename(__file__)", "assert f() == 'solution.py'"),
    "modules that the tests forget to import": (
        "import math\ndef area(r): return math.pi * r * r",
        "assert math.isclose(area(1), 3.14159265, rel_tol=1e-6)",
    ),
    "a function called like a module": ("def bisect(a, x): return a.index(x)", "assert bisect([1, 2], 2) == 1"),
    "constants": ("LIMIT = 7\nNAMES = ['a']", "assert LIMIT == 7\nassert NAMES == ['a']"),
    "a name like a built-in, when nothing else is tested": ("def sum(a, b): return a + b", "assert sum(2, 3) == 5"),
    "the main guard": (
        "def f(): return 1\nif __name__ == '__main__':\n    raise SystemExit(input())",
        "assert f() == 1\nif __name__ == '__main__':\n    raise SystemExit",
    ),
    "dataclasses": (
        "from dataclasses import dataclass\n@dataclass\nclass P:\n    x: int\n    y: int = 0\ndef f(): return P(1)",
        "assert f() == P(1, 0)\nassert f().x == 1\nassert repr(f()) == 'P(x=1, y=0)'",
    ),
    "import of the whole module": ("def f(): return 1", "import solution\nassert solution.f() == 1"),
    "import of all names": ("def f(): return 1\nX = 2", "from solution import *\nassert f() + X == 3"),
}


@pytest.mark.parametrize("name", GOOD)
def test_tests_work_as_in_one_process(sandbox: LocalSandbox, name: str) -> None:
    verdict = run(sandbox, *GOOD[name])
    assert verdict.outcome is Outcome.SATISFIED, verdict


def test_several_texts_share_a_namespace(sandbox: LocalSandbox) -> None:
    assert run(sandbox, "def f(x): return x", "y = 3", "assert f(y) == 3").outcome is Outcome.SATISFIED


@pytest.mark.parametrize(
    ("program", "entry_point"),
    [
        ("def f(x): return x + 1", "f"),
        ("class Solution:\n    def f(self, x): return x + 1", "Solution().f"),
        ("class Solution:\n    @staticmethod\n    def f(x): return x + 1", "Solution.f"),
    ],
)
def test_check_is_called_with_the_entry_point(sandbox: LocalSandbox, program: str, entry_point: str) -> None:
    tests = "def check(candidate):\n    assert candidate(1) == {}"
    assert run(sandbox, program, tests.format(2), entry_point=entry_point).outcome is Outcome.SATISFIED
    assert run(sandbox, program, tests.format(3), entry_point=entry_point).outcome is Outcome.VIOLATED


def test_a_method_like_one_of_plain_data_as_entry_point(sandbox: LocalSandbox) -> None:
    program = "class Solution:\n    def count(self, s, part): return s.count(part)"
    tests = "def check(candidate):\n    assert candidate('aab', 'a') == 2"
    assert run(sandbox, program, tests, entry_point="Solution().count").outcome is Outcome.SATISFIED
    assert run(sandbox, program, tests.replace("2", "3"), entry_point="Solution().count").outcome is Outcome.VIOLATED


def test_a_name_like_a_builtin_as_entry_point(sandbox: LocalSandbox) -> None:
    tests = "def check(candidate):\n    assert candidate([1, 2]) == 2\n    assert len([1]) == 1"
    verdict = run(sandbox, "def len(x): return 2", tests, entry_point="len")
    assert verdict.outcome is Outcome.SATISFIED, verdict


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
