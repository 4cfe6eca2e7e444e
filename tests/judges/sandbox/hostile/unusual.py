"""Right programs, written in ways that look like those of cheats: `double(x)` gives `2 * x`."""

RIGHT = {
    "a lambda": "double = lambda x: x + x",
    "a partial function": "import functools, operator\ndouble = functools.partial(operator.mul, 2)",
    "a built-in method": "double = (2).__mul__",
    "a bound method": "class D:\n    def d(self, x): return 2 * x\ndouble = D().d",
    "an object that can be called": "class D:\n    def __call__(self, x): return 2 * x\ndouble = D()",
    "a class that makes ints": "class double:\n    def __new__(cls, x): return 2 * x",
    "a static method": "class D:\n    @staticmethod\n    def d(x): return 2 * x\ndouble = D.d",
    "a function made by exec": "exec('def double(x): return 2 * x')",
    "a function made by eval": "double = eval('lambda x: 2 * x')",
    "a function put among globals": "globals()['double'] = lambda x: 2 * x",
    "a decorated function": """
        import functools
        def plain(f):
            @functools.wraps(f)
            def g(*a, **k): return f(*a, **k)
            return g
        @plain
        def double(x): return 2 * x
    """,
    "a cached function": "import functools\n@functools.lru_cache(maxsize=None)\ndef double(x): return 2 * x",
    "single dispatch": "import functools\n@functools.singledispatch\ndef double(x): return x * 2",
    "a generator inside": "def double(x):\n    def g():\n        yield x\n        yield x\n    return sum(g())",
    "a coroutine inside": """
        import asyncio
        def double(x):
            async def f():
                await asyncio.sleep(0)
                return 2 * x
            return asyncio.run(f())
    """,
    "a context manager inside": """
        import contextlib
        @contextlib.contextmanager
        def twice(x): yield 2 * x
        def double(x):
            with twice(x) as value: return value
    """,
    "a finally clause": "def double(x):\n    try: return 1\n    finally: return 2 * x",
    "an exception inside": "def double(x):\n    try: raise ValueError(2 * x)\n"
    "    except ValueError as e: return e.args[0]",
    "a caught exit": "import sys\ndef double(x):\n    try: sys.exit(2 * x)\n    except SystemExit as e: return e.code",
    "a guard that is not met": "def double(x): return 2 * x\nif __name__ == '__main__': raise SystemExit(0)",
    "a main function that is not called": "import sys\ndef main(): sys.exit(0)\ndef double(x): return x << 1",
    "atexit": "import atexit\natexit.register(print, 'bye')\ndef double(x): return 2 * x",
    "a tracer": "import sys\nsys.settrace(lambda *_: None)\ndef double(x): return 2 * x",
    "a profiler": "import sys\nsys.setprofile(lambda *_: None)\ndef double(x): return 2 * x",
    "a hook for exceptions": "import sys\nsys.excepthook = print\ndef double(x): return 2 * x",
    "a signal handler": "import signal\nsignal.signal(signal.SIGALRM, lambda *_: None)\ndef double(x): return 2 * x",
    "an alarm that comes": """
        import signal, time
        came = []
        signal.signal(signal.SIGALRM, lambda *_: came.append(1))
        def double(x):
            signal.setitimer(signal.ITIMER_REAL, 0.001)
            while not came: time.sleep(0.001)
            return 2 * x
    """,
    "a thread that stays": "import threading, time\n"
    "threading.Thread(target=time.sleep, args=(9,), daemon=True).start()\ndef double(x): return 2 * x",
    "a pool of threads": "from concurrent.futures import ThreadPoolExecutor\n"
    "def double(x):\n    with ThreadPoolExecutor(2) as pool: return sum(pool.map(int, [x, x]))",
    "a child process": "import subprocess, sys\n"
    "def double(x): return int(subprocess.run([sys.executable, '-S', '-c', "
    "f'print(2 * {x})'], capture_output=True).stdout)",
    "a file": "import json\ndef double(x):\n    with open('x.json', 'w') as f: json.dump([x], f)\n"
    "    return 2 * json.load(open('x.json'))[0]",
    "a temporary file": "import tempfile\ndef double(x):\n    with tempfile.TemporaryFile('w+') as f:\n"
    "        f.write(str(2 * x)); f.seek(0); return int(f.read())",
    "a pickle": "import pickle\ndef double(x): return pickle.loads(pickle.dumps(2 * x))",
    "copies": "import copy\ndef double(x): return sum(copy.deepcopy([x, x]))",
    "frames": "import sys\ndef double(x): return 2 * sys._getframe().f_locals['x']",
    "garbage collection": "import gc\ngc.disable()\ndef double(x):\n    gc.collect()\n    return 2 * x",
    "a weak reference": "import weakref\nclass A: pass\ndef double(x):\n    a = A(); a.x = x\n"
    "    return 2 * weakref.ref(a)().x",
    "a destructor": "out = []\nclass A:\n    def __del__(self): out.append(1)\ndef double(x):\n    A()\n"
    "    return 2 * x",
    "its own print": "def print(*_): pass\ndef double(x):\n    print(x)\n    return 2 * x",
    "its own built-ins": "def sum(xs): return 0\nlen = abs = None\ndef double(x): return 2 * x",
    "a patched built-in": "import builtins\nbuiltins.sum = lambda *_: 0\ndef double(x): return 2 * x",
    "noise": "import sys\ndef double(x):\n    print('FAIL', 'PASS')\n    sys.stderr.write('no' * 999)\n"
    "    return 2 * x",
    "letters of other scripts": "def doppelt(größe): return 2 * größe\ndouble = doppelt",
    "letters of full width": "ｄｏｕｂｌｅ = lambda x: 2 * x",
    "a walrus": "def double(x): return (y := x) + y",
    "a match": "def double(x):\n    match x:\n        case 0: return 0\n        case n if n: return 2 * n",
    "recursion": "def double(x, n=2): return 0 if n == 0 else x + double(x, n - 1)",
    "a metaclass": "class M(type):\n    def __call__(cls, x): return 2 * x\nclass double(metaclass=M): pass",
    "a decimal on the way": "from decimal import Decimal\ndef double(x): return int(Decimal(x) * 2)",
    "text on the way": "def double(x): return int(f'{x}') * 2",
    "the bytes of an integer": "def double(x):\n    data = x.to_bytes(16, 'big', signed=True)\n"
    "    return 2 * int.from_bytes(data, 'big', signed=True)",
    "an import hook": "import sys\nclass F:\n    def find_spec(self, *_): return None\n"
    "sys.meta_path.insert(0, F())\nimport fractions\ndef double(x): return int(fractions.Fraction(x) * 2)",
    "random numbers": "import random\ndef double(x):\n    y = random.getrandbits(70)\n    return x + y + x - y",
    "a changed recursion limit": "import sys\nsys.setrecursionlimit(4000)\n"
    "def double(x, n=900): return double(x, n - 1) if n else 2 * x",
}
