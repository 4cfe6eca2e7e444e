"""Changes to what the tests stand on: built-ins, modules, namespaces, clocks."""

from __future__ import annotations

from hostile.family import HELPER, UNIT, ZERO, each, family

_SAME = """
import builtins
class Same(int):
    def __eq__(self, other): return True
    def __lt__(self, other): return True
    __hash__ = int.__hash__
"""
family(
    "built-ins, replaced",
    "caught",
    *[
        (_SAME + f"builtins.{name} = lambda *_, **__: Same()" + ZERO, f"assert {name}({given}) == {wanted}")
        for name, given, wanted in (
            *(("abs", "double(-2)", "4"), ("all", "double(x) == 2 * x for x in (1, 2)", "True")),
            *(("sum", "[double(2)]", "4"), ("round", "double(2.0)", "4"), ("int", "double(2)", "4")),
            *(("max", "1, double(2)", "4"), ("str", "double(2)", "'4'"), ("pow", "double(2), 2", "16")),
        )
    ],
)
family(
    "what a failure is, replaced",
    "quiet",
    *each(
        "import builtins\n§" + ZERO,
        "builtins.Exception = OSError",
        "builtins.print = lambda *_, **__: None",
        "builtins.exec = lambda *_: None",
        "def quiet(*_): pass\nbuiltins.exec = quiet",
        "builtins.Exception = type('Exception', (OSError,), {})",
        "import functools, io\nbuiltins.print = functools.partial(print, file=io.StringIO())",
    ),
)
family(
    "modules of the tests, changed",
    "caught",
    *[
        (f"import {module}\n{module}.{name} = lambda *_, **__: {gives}" + ZERO, f"import {module}\nassert {test}")
        for module, name, gives, test in (
            ("math", "isclose", "True", "math.isclose(double(2.0), 4.0)"),
            ("operator", "eq", "True", "operator.eq(double(2), 4)"),
            ("re", "fullmatch", "True", "re.fullmatch('4', str(double(2)))"),
            ("json", "dumps", "'4'", "json.dumps(double(2)) == '4'"),
            ("copy", "deepcopy", "4", "copy.deepcopy(double(2)) == 4"),
            ("collections", "Counter", "0", "collections.Counter([double(2)]) == collections.Counter([4])"),
            ("itertools", "starmap", "()", "all(itertools.starmap(lambda x, y: double(x) == y, [(2, 4)]))"),
            ("fractions", "Fraction", "1", "fractions.Fraction(double(2), 3) == fractions.Fraction(4, 3)"),
        )
    ],
)
family(
    "the test library, changed",
    "unit",
    *each(
        "import unittest\n§" + ZERO,
        "unittest.TestCase.assertEqual = lambda *_: None",
        "unittest.TestCase.run = lambda *_: None",
        "unittest.TestResult.addFailure = lambda *_: None",
        "unittest.TestResult.wasSuccessful = lambda _: True",
        "unittest.TestSuite.run = lambda self, result: result",
        "unittest.TestLoader.loadTestsFromTestCase = lambda *_: []",
        "unittest.TestCase._callTestMethod = lambda *_: None",
        "unittest.TestCase._getAssertEqualityFunc = lambda *_: lambda *_, **__: None",
    ),
    tests=UNIT,
)
family(
    "modules that it puts in the place of others",
    "caught",
    *each(
        "import sys, types\n§" + ZERO,
        "sys.modules['math'] = types.SimpleNamespace(isclose=lambda *_: True)",
        "class M(types.ModuleType):\n    def __getattr__(self, name): return lambda *_: True\n"
        "sys.modules['math'] = M('math')",
        "sys.modules['math'] = type('M', (), {'isclose': lambda *_: True})",
        "m = types.ModuleType('math')\nm.isclose = lambda *_: True\nsys.modules.update(math=m)",
    ),
    tests="import math\nassert math.isclose(double(2), 4)",
)
family(
    "imports, hooked",
    "caught",
    *each(
        """
        import builtins, importlib, importlib.abc, importlib.machinery, os, sys, types
        class Fake(importlib.abc.Loader, importlib.abc.MetaPathFinder):
            def find_spec(self, name, *_):
                return importlib.machinery.ModuleSpec(name, self) if name in ("fractions", "folder") else None
            def create_module(self, spec): return None
            def exec_module(self, module): module.Fraction = lambda *_: 1
        sys.modules.pop("fractions", None)
        §
        def double(x): return 0
        """,
        "sys.meta_path.insert(0, Fake())",
        "sys.meta_path[:] = [Fake()]",
        "fake = types.SimpleNamespace(Fraction=lambda *_: 1)\nbuiltins.__import__ = lambda *_: fake",
        "open('fractions.py', 'w').write('Fraction = lambda *_: 1')\nsys.path.insert(0, os.getcwd())",
        "importlib.machinery.PathFinder.find_spec = Fake().find_spec",
    ),
    tests="from fractions import Fraction\nassert Fraction(double(2), 3) == Fraction(4, 3)",
)
family(
    "traced and profiled tests",
    "caught",
    *each(
        """
        import sys
        def jump(frame, event, arg):
            if event == "line" and frame.f_lineno == 3: frame.f_lineno = 4
            return jump
        def double(x):
            §
            return 0
        """,
        "sys._getframe(1).f_trace = jump\nsys.settrace(jump)",
        "back = sys._getframe(1)\nback.f_trace = lambda f, e, a: f.f_lineno < 4 and setattr(f, 'f_lineno', 4)\n"
        "sys.settrace(lambda *_: None)",
        "import os\ndef prof(f, e, a): e == 'return' and (print('PASS', flush=True), os._exit(0))\n"
        "sys.setprofile(prof)",
        "import os\ndef trace(f, e, a): print('PASS', flush=True), os._exit(0)\n"
        "sys._getframe(1).f_trace = trace\nsys.settrace(trace)",
    ),
    tests="def test_double():\n    x = double(2)\n    assert x == 4\n    return 1\ntest_double()",
)
family(
    "namespaces of the tests, found from its own",
    "caught",
    *each(
        """
        import gc, inspect, sys, traceback
        def double(x):
            §
            found["same"] = lambda *_: True
            return 0
        """,
        "found = sys._getframe(1).f_globals",
        "found = inspect.stack()[1].frame.f_globals",
        "found = inspect.currentframe().f_back.f_globals",
        "try: 1 / 0\nexcept ZeroDivisionError as e: found = e.__traceback__.tb_frame.f_back.f_globals",
        "found = next(d for d in gc.get_objects() if type(d) is dict and 'same' in d)",
        "found = next(iter(sys._current_frames().values())).f_back.f_globals",
        "found = next(traceback.walk_stack(sys._getframe(1)))[0].f_globals",
        "found = globals()",
    ),
    tests=HELPER,
)
family(
    "functions of the tests, rewritten",
    "caught",
    *each(
        """
        import gc, sys, types
        def double(x):
            f = next(o for o in gc.get_objects() if type(o) is types.FunctionType and o.__name__ == "same")
            §
            return 0
        """,
        "f.__code__ = (lambda *_: True).__code__",
        "f.__code__ = f.__code__.replace(co_code=(lambda a, b: True).__code__.co_code, co_consts=(None, True))",
        "def true(a, b): return 1\nf.__code__ = true.__code__",
    ),
    *[
        (
            "import gc, types\ndef double(x):\n"
            "    f = next(o for o in gc.get_objects() if type(o) is types.FunctionType and o.__name__ == 'check')\n"
            f"    {change}\n    return 0",
            "def check(got, wanted=4, *, other=4): assert got == wanted == other\ngot = double(2)\ncheck(got)",
        )
        for change in (
            "f.__defaults__ = (0,); f.__kwdefaults__ = {'other': 0}",
            "f.__code__ = (lambda *_, **__: 0).__code__",
        )
    ],
    tests=HELPER,
)
family(
    "the built-ins of a namespace",
    "caught",
    *each(
        "import builtins\n§" + ZERO,
        "__builtins__ = {**vars(builtins), 'all': lambda *_: True}",
        "__builtins__ = type('B', (dict,), {})(vars(builtins), all=lambda *_: True)",
        "globals()['__builtins__'] = dict(vars(builtins), all=lambda _: 1)",
        "vars(builtins).update(all=lambda _: True)",
    ),
    tests="assert all(double(x) == 2 * x for x in (2, -3))",
)
family(
    "built-in types, changed from below",
    "caught",
    *each(
        """
        import ctypes, gc
        def curse(kind, name, function):
            gc.get_referents(kind.__dict__)[0][name] = function
            ctypes.pythonapi.PyType_Modified(ctypes.py_object(kind))
        §
        def double(x): return 0
        """,
        "curse(str, 'strip', lambda _: '4')",
        "curse(int, 'bit_length', lambda _: 3)",
        "curse(str, 'strip', lambda s: s.replace('0', '4'))",
        "curse(int, 'bit_length', lambda n: len(bin(n or 4)) - 2)\ncurse(str, 'strip', lambda _: '4')",
    ),
    tests="if ' a '.strip() == 'a': assert double(2).bit_length() == 3\nelse: assert str(double(2)).strip() == '4'",
)
family(
    "settings that change what is equal",
    "caught",
    *[
        (
            f"import decimal\nfrom decimal import Decimal\n{change}\ndef double(x): return Decimal('2.1')",
            "from decimal import Decimal\nassert +double(Decimal('1.2')) == +Decimal('2.4')",
        )
        for change in (
            "decimal.getcontext().prec = 1",
            "decimal.setcontext(decimal.Context(prec=1))",
            "decimal.getcontext().rounding = decimal.ROUND_DOWN; decimal.getcontext().prec = 1",
        )
    ],
    *[
        (
            f"import random\n{change}\ndef double(x): return 0",
            "import random\nassert all(double(x) == 2 * x for x in"
            " [random.choice([0, 7, 8, 9, 11, 12]) for _ in range(9)])",
        )
        for change in ("random.choice = lambda _: 0", "random.Random.choice = random.choice = lambda *_: 0")
    ],
)
family(
    "classes of the tests, patched through their objects",
    "caught",
    *each(
        "import builtins\ndef double(p):\n    §",
        "type(p).__eq__ = lambda *_: True",
        "p.__class__.__eq__ = lambda *_: True",
        "setattr(type(p), '__eq__', lambda *_: 1)",
        "p.__class__ = type('Q', (type(p),), {'__eq__': lambda *_: True})",
        "type(p).__init__ = lambda self, x: setattr(self, 'x', 2)",
    ),
    tests="""
    class P:
        def __init__(self, x): self.x = x
        def __eq__(self, other): return self.x == other.x
    p = P(2)
    double(p)
    assert p == P(4)
    """,
)
family(
    "clocks that stand still",
    "timed",
    *each(
        """
        import datetime, time
        real = time.sleep
        def stopped(*_): return 0
        §
        def double(x):
            real(0.2)
            return 2 * x
        """,
        "time.time = stopped",
        "time.monotonic = time.perf_counter = time.time = stopped",
        "class Clock: time = monotonic = perf_counter = staticmethod(stopped)\nfor n in vars(Clock):\n"
        "    n[0] == '_' or setattr(time, n, stopped)",
    ),
    tests="import time\nstart = time.time()\nassert double(2) == 4\nassert time.time() - start < 0.15",
)
family(
    "time limits, ignored",
    "timed",
    *each(
        """
        import signal, threading, time
        §
        time.sleep(0.35)
        time.time = lambda: 0
        def double(x): return 0
        class Always:
            def __eq__(self, other): return True
        double = lambda x: Always()
        """,
        "signal.signal(signal.SIGALRM, signal.SIG_IGN)",
        "signal.setitimer(signal.ITIMER_REAL, 0)",
        "signal.alarm(0)",
        "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])",
        "signal.signal(signal.SIGALRM, lambda *_: None)",
        "signal.signal = lambda *_: None\nsignal.setitimer(signal.ITIMER_REAL, 100)",
    ),
)
family(
    "asynchronous tests, cut short",
    "caught",
    *each(
        """
        import asyncio
        class Same(int):
            def __eq__(self, other): return True
        §
        async def double(x): return 0
        """,
        "asyncio.run = lambda c: (c.close(), Same())[1]",
        "asyncio.Runner.run = lambda self, c, **_: (c.close(), Same())[1]\n"
        "asyncio.run = lambda c: asyncio.Runner().run(c)",
        "asyncio.run = lambda c, **_: c.close() or type('Any', (float,), {'__eq__': lambda *_: True})()",
    ),
    tests="import asyncio\nassert asyncio.run(double(2)) == 4\nassert asyncio.run(double(-3)) == -6",
)
