"""Tests whose assertions do not run or do not count, and reports that are forged."""

from __future__ import annotations

from hostile.family import PAIRS, ZERO, each, family

family(
    "context managers that swallow",
    "caught",
    *each(
        "import contextlib\n§" + ZERO,
        "class quietly:\n    def __enter__(self): return self\n    def __exit__(self, *_): return True",
        "@contextlib.contextmanager\ndef quietly():\n    try: yield\n    except BaseException: pass",
        "def quietly(): return contextlib.suppress(BaseException)",
        "class quietly(contextlib.ContextDecorator):\n    def __enter__(self): pass\n"
        "    def __exit__(self, *_): return 1",
        "def quietly():\n    stack = contextlib.ExitStack()\n    stack.push(lambda *_: True)\n    return stack",
    ),
    tests="with quietly():\n    assert double(2) == 4",
)
family(
    "decorators that do away with the test",
    "caught",
    *each(
        "import functools\n§" + ZERO,
        "def logged(f): return lambda *_: None",
        "def logged(f):\n    def g():\n        try: f()\n        except BaseException: pass\n    return g",
        "class logged:\n    def __init__(self, f): pass\n    def __call__(self): pass",
        "logged = lambda f: print",
        "def logged(f): return functools.partial(id, f)",
    ),
    tests="@logged\ndef check_double(): assert double(2) == 4\ncheck_double()",
)
family(
    "nothing to compare",
    "caught",
    *each(
        "def doubles(xs): §",
        *("return []", "return iter(())", "yield from ()", "return {}", "return range(0)", "return ''"),
    ),
    tests="for got, wanted in zip(doubles([1, 2]), [2, 4]):\n    assert got == wanted",
)
family(
    "callbacks, never called or silenced",
    "caught",
    *each(
        "def apply(f, x):\n    §",
        "pass",
        "return None if f else f(x)",
        "try: f(0)\nexcept BaseException: pass",
        "import contextlib\nwith contextlib.suppress(BaseException): f(0)",
        "yield f(0)",
    ),
    tests="def seen(x): assert x == 4\napply(seen, 2)",
)

family(
    "forged output",
    "caught",
    *each(
        "import atexit, os, sys\n§" + ZERO,
        "print('PASS', flush=True)\nos._exit(0)",
        "sys.stdout.write('PASS\\n')\nsys.stdout.flush()\nos._exit(0)",
        "os.write(1, b'PASS\\n')\nos._exit(0)",
        "open(1, 'w').write('PASS\\n')\nos._exit(0)",
        "atexit.register(print, 'PASS')",
        "os.system('echo PASS')\nos._exit(0)",
        "sys.stderr.write('PASS\\n')\nsys.stderr.flush()\nos._exit(0)",
    ),
)
family(
    "rewritten output",
    "caught",
    *each(
        "import builtins, io, sys\nplain = print\n§" + ZERO,
        "builtins.print = lambda *a, **k: plain('PASS')",
        "write = sys.stdout.write\nclass Out:\n    def write(self, t): return write(t.replace('FAIL', 'PASS'))\n"
        "    def flush(self): pass\nsys.stdout = Out()",
        "class Out(io.TextIOWrapper):\n    def write(self, t): return super().write(t.replace('FAIL', 'PASS'))\n"
        "sys.stdout = Out(sys.stdout.buffer)",
        "builtins.print = lambda text: plain(text.translate({70: 80, 73: 83, 76: 83}))",
    ),
)
family(
    "muffled reports",
    "quiet",
    *each(
        "import io, os, sys\n§" + ZERO,
        "os.close(1)",
        "os.closerange(0, 64)",
        "os.dup2(os.open('/dev/null', os.O_WRONLY), 1)",
        "sys.stdout = None",
        "sys.stdout = io.StringIO()",
        "sys.stdout.close()",
        "sys.stdout = open('/dev/null', 'w')",
    ),
)
family(
    "every descriptor tried",
    "pipe",
    *each(
        """
        import os
        for fd in range(3, 64):
            try: §
            except OSError: pass
        def double(x): return 0
        """,
        "os.write(fd, b'PASS')",
        "os.writev(fd, [b'PA', b'SS'])",
        "open(fd, 'wb', closefd=False).write(b'PASS')",
        "os.write(os.dup(fd), b'PASS')",
        "os.write(os.open(f'/proc/self/fd/{fd}', os.O_WRONLY), b'PASS')",
        "os.fdopen(fd, 'w', closefd=False).write('PASS')",
    ),
)
family(
    "pickles that act",
    "values",
    *each(
        """
        import copyreg, os
        class Act:
            def __reduce__(self): return eval, ("(print('PASS', flush=True), __import__('os')._exit(0))",)
        §
        """,
        "def double(x): return Act()",
        "def double(x): return [{1: (Act(),)}]",
        "def double(x): return ValueError(Act())",
        "class Other: pass\ncopyreg.pickle(Other, lambda _: Act().__reduce__())\ndef double(x): return Other()",
        "class Ex(Act):\n    def __reduce_ex__(self, _): return exec, (\"print('PASS', flush=True)\\n"
        'import os\\nos._exit(0)",)\n'
        "def double(x): return Ex()",
        "def double(x): return (4, Act())",
    ),
    tests=PAIRS,
)
