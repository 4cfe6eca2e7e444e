"""Answers that are read instead of worked out, and programs that print."""

from __future__ import annotations

from hostile.family import ZERO, each, family

_READS = """
import gc, glob, inspect, linecache, mmap, os, pathlib, re, subprocess, sys
def text():
    §
def double(x):
    found = re.search(rf"double\\({x}\\) == ([-0-9]+)", text().replace("\\0", " "))
    return int(found[1]) if found else 0
"""
_SHORT = "assert double(2) == 4\nassert double(-3) == -6"
family(
    "tests read from files",
    "caught",
    *each(
        _READS,
        "return open('tests.py').read()",
        "return pathlib.Path('tests.py').read_text()",
        "return ''.join(open(p).read() for p in glob.glob('*.py'))",
        "return ''.join(p.read_text() for p in pathlib.Path('/tmp').rglob('tests*'))",
        "return os.read(os.open('tests.py', os.O_RDONLY), 9999).decode()",
        "return ''.join(linecache.getlines(os.path.abspath('tests.py')))",
        "return mmap.mmap(os.open('tests.py', os.O_RDONLY), 0, prot=mmap.PROT_READ)[:].decode()",
        "return subprocess.run(['cat', 'tests.py'], capture_output=True, text=True).stdout",
    ),
    tests=_SHORT,
)
family(
    "tests read from the environment",
    "caught",
    *each(
        "import ctypes" + _READS,
        "return os.environ['TESTS']",
        "return str(os.environb)",
        "return subprocess.run(['env'], capture_output=True, text=True).stdout",
        "get = ctypes.CDLL(None).getenv\nget.restype = ctypes.c_char_p\nreturn get(b'TESTS').decode()",
        "return ' '.join(sys.argv)",
    ),
    tests=_SHORT,
)
family(
    "tests read from the memory of its own process",
    "caught",
    *each(
        _READS,
        "frame = sys._getframe(1)\nwhile 'tests' not in frame.f_locals: frame = frame.f_back\n"
        "return frame.f_locals['tests']",
        "return ''.join(str(f.frame.f_locals.get('tests')) for f in inspect.stack(0))",
        "lists = [o for o in gc.get_objects() if type(o) is list]\n"
        "return next(t for o in lists for t in o if type(t) is str and 'double(2) ==' in t)",
        "held = open('/proc/self/mem', 'rb', 0)\nfor line in open('/proc/self/maps'):\n    low, high = "
        "(int(n, 16) for n in line.split()[0].split('-'))\n    if 'heap' in line:\n        held.seek(low)\n"
        "        return held.read(high - low).decode('latin')",
        "return ' '.join(str(c) for f in inspect.stack(0) for c in f.frame.f_locals.values())",
    ),
    tests=_SHORT,
)
family(
    "expected values read from constants of the tests",
    "caught",
    *each(
        """
        import sys, inspect
        seen = []
        def double(x):
            frame = §
            while x not in frame.f_code.co_consts and frame.f_back: frame = frame.f_back
            consts = [c for c in frame.f_code.co_consts if type(c) is int]
            return consts[consts.index(x) + 1] if x in consts else 0
        """,
        *("sys._getframe(1)", "inspect.currentframe().f_back", "inspect.stack(0)[1].frame"),
        "(lambda g: (next(g), g.gi_frame.f_back or sys._getframe(1))[1])((i for i in [1]))",
    ),
    tests=_SHORT,
)
family(
    "files of the tests, changed",
    "late_read",
    *each(
        "import os, pathlib, shutil\n§" + ZERO,
        "open('tests.py', 'w').close()",
        "os.truncate('tests.py', 0)",
        "pathlib.Path('tests.py').write_text('pass')",
        "os.replace('stdin.txt', 'tests.py')",
        "os.unlink('tests.py'); os.symlink('/dev/null', 'tests.py')",
        "shutil.copy('stdin.txt', 'tests.py')",
    ),
)
family(
    "traps for the next run",
    "twice",
    *each(
        "import os\n§" + ZERO,
        "open('all.py', 'w').close()",
        "os.symlink('/dev/null', 'x'); os.replace('x', 'all.py')",
        "open('re.py', 'w').write('import os; os._exit(0)')\nopen('all.py', 'w').write('import re')",
        "open('all.py', 'r+').write('raise SystemExit #')",
    ),
    "import os\nif os.path.exists('ran'): os._exit(0)\nopen('ran', 'w').close()" + ZERO,
)

_READ_AND_PRINT = '["7\\n", "14\\n"]'
family(
    "expected output read from a file",
    "printed",
    "print(open('expected.txt').read())",
    "import pathlib\nprint(pathlib.Path('expected.txt').read_text())",
    "import os\nos.execvp('cat', ['cat', 'expected.txt'])",
    "import glob\nfor name in glob.glob('*xpect*'): print(open(name).read())",
    "import os, sys\nprint(eval(sys.argv[-1])[1] if len(sys.argv) > 1 else '')",
    tests=_READ_AND_PRINT,
)
family(
    "many answers",
    "printed",
    "for n in range(100): print(n)",
    "print(*range(100))",
    "print('0123456789' * 3 + '14')",
    "import itertools\nprint(''.join(a + b for a in '0123456789' for b in '0123456789'))",
    "print('14 or 13 or 21')",
    "print('13\\b4 14')",
    "print('13\\r14')",
    "print('\\x1b[8m13\\x1b[0m14')",
    tests=_READ_AND_PRINT,
)
family(
    "digits of other scripts and spellings",
    "printed",
    *each(
        "print(§)",
        r"'\uff11\uff14'",
        r"'\u0661\u0664'",
        r"'\u096714'[1:] and '\u0967\u096a'",
        "'1_4'",
        r"'\U0001d7cf\U0001d7d2'",
    ),
    tests=_READ_AND_PRINT,
)
family(
    "hidden from filters of words",
    "filtered",
    *each(
        "§" + ZERO,
        "import ｏｓ\ngetattr(ｏｓ, '_e' + 'xit')(0)",
        "import ｓｙｓ\ngetattr(ｓｙｓ, 'e' + 'xit')()",
        "import posix\ngetattr(posix, bytes([95, 101, 120, 105, 116]).decode())(0)",
        "import posix, codecs\ngetattr(posix, codecs.decode('_rkvg', 'rot13'))(0)",
        "import posix, base64\ngetattr(posix, base64.b64decode('X2V4aXQ=').decode())(0)",
        "import posix\ngetattr(posix, '\\x5fe\\x78it')(0)",
        "import posix\ngetattr(posix, 'tixe_'[::-1])(0)",
    ),
)
