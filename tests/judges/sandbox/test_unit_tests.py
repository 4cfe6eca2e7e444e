"""What tests may do with the code under test, seen from the person who writes them."""

from __future__ import annotations

import pytest
from programs import run

from judges.sandbox import LocalSandbox
from judges.verdict import Outcome

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
