"""Programs that try to get the verdict, or the machine, without solving the task. Each must be violated.

The task is always the same: `double(x)` gives `2 * x`. Beside the attacks on a limit stands a right program that needs
something like it and must be satisfied.
"""

from __future__ import annotations

import os
import textwrap
import time
from pathlib import Path

import psutil
import pytest

from judges.sandbox import LocalSandbox, SandboxOptions
from judges.verdict import Outcome

TESTS = """
def test_double():
    assert double(2) == 4
    assert double(-3) == -6
    assert double(10**20) == 2 * 10**20
"""

CHEATS = {
    "sys.exit": "import sys\nsys.exit(0)",
    "sys.exit in the call": "import sys\ndef double(x): sys.exit(0)",
    "quit": "def double(x): quit()",
    "exit": "exit(0)",
    "os._exit": "import os\nos._exit(0)",
    "os._exit in the call": "import os\ndef double(x): os._exit(0)",
    "KeyboardInterrupt": "def double(x): raise KeyboardInterrupt",
    "GeneratorExit": "def double(x): raise GeneratorExit",
    "own BaseException": "class E(BaseException): pass\ndef double(x): raise E",
    "AssertionError": "def double(x): raise AssertionError",
    "an AssertionError that compares equal": """
        class AssertionError(Exception):
            def __eq__(self, other): return True
        def double(x): raise AssertionError
    """,
    "equal to everything": """
        class Same:
            def __eq__(self, other): return True
            def __ne__(self, other): return False
            __hash__ = object.__hash__
        def double(x): return Same()
    """,
    "a str that is equal to everything": """
        class Same(str):
            def __eq__(self, other): return True
            __hash__ = str.__hash__
        def double(x): return Same()
    """,
    "an int that is equal to everything": """
        class Same(int):
            def __eq__(self, other): return True
            __hash__ = int.__hash__
        def double(x): return Same(1)
    """,
    "a list that is equal to everything": """
        class Same(list):
            def __eq__(self, other): return True
        def double(x): return Same()
    """,
    "a class with the function's name": """
        class double:
            def __init__(self, x): pass
            def __eq__(self, other): return True
    """,
    "a metaclass that is equal to everything": """
        class Meta(type):
            def __eq__(self, other): return True
            __hash__ = type.__hash__
        class Same(metaclass=Meta): pass
        def double(x): return Same
    """,
    "patched builtins": """
        import builtins
        builtins.AssertionError = builtins.Exception
        builtins.abs = builtins.len = builtins.all = lambda *a: True
        def double(x): return 0
    """,
    "patched test libraries": """
        import unittest, sys
        unittest.TestCase.assertEqual = lambda *a: None
        sys.modules["pytest"] = None
        def double(x): return 0
    """,
    "frames and gc": """
        import gc, sys
        def double(x):
            frame = sys._getframe()
            while frame:
                for value in [*frame.f_locals.values(), *frame.f_globals.values()]:
                    if isinstance(value, dict): value["double"] = lambda x: 2 * x
                frame = frame.f_back
            for item in gc.get_objects():
                if type(item).__name__ == "function" and item.__name__ == "test_double":
                    item.__code__ = (lambda: None).__code__
            return 0
    """,
    "the protocol, rewritten": """
        import sys
        module = sys.modules["judges.sandbox.inside.candidate"]
        codec = sys.modules["judges.sandbox.inside.codec"]
        module.encode = lambda *a: codec.encode(("satisfied", "3 assertions hold", ""), lambda v: None)
        def double(x): return 0
    """,
    "a forged verdict on every descriptor": """
        import os, struct
        marker = b"satisfied 3 assertions hold"
        def double(x):
            for fd in range(64):
                for data in (marker, struct.pack(">I", len(marker)) + marker, b"\\0\\0\\0\\5ready"):
                    try: os.write(fd, data)
                    except OSError: pass
            return 0
    """,
    "answers in advance": """
        import sys
        server = None
        import gc
        for item in gc.get_objects():
            if type(item).__name__ == "Server": server = item
        for value in (4, -6, 2 * 10**20) * 3:
            server.channel.send(server.encode(("ok", value, None)))
        def double(x): return 0
    """,
    "names in advance": """
        import gc
        server = next(item for item in gc.get_objects() if type(item).__name__ == "Server")
        names = {name: len for name in ("__assert_and_count__", "abs", "double", "__builtins__", "test_double")}
        for module in (server.module, None, len):
            server.channel.send(server.encode(("ok", (names, ["double"], module), None)))
        def double(x): return 0
    """,
    "unreadable answers": """
        import os
        def double(x):
            for fd in range(3, 10_000):  # the channel keeps the number that it had outside, which may be large
                try: os.write(fd, b"\\xff" * 1000)
                except OSError: pass
            return 2 * x
    """,
    "answers of the wrong shape": """
        import gc
        server = next(item for item in gc.get_objects() if type(item).__name__ == "Server")
        def double(x):
            server.channel.send(server.encode(("same", 0, ((1, 2, 3), {}))))
            return 2 * x
    """,
    "a forged set whose items collide": """
        import gc, struct
        server = next(item for item in gc.get_objects() if type(item).__name__ == "Server")
        def double(x):
            prime = 2**61 - 1  # all its multiples have the same hash
            numbers = b"".join(
                b"i" + struct.pack(">I", 12) + (n * prime).to_bytes(12, "big", signed=True) for n in range(3500)
            )
            value = b"S" + struct.pack(">I", 3500) + numbers
            server.channel.send(b"t" + struct.pack(">I", 3) + b"s" + struct.pack(">I", 2) + b"ok" + value + b"N")
            return 2 * x
    """,
    "questions about what was not given": """
        import gc
        server = next(item for item in gc.get_objects() if type(item).__name__ == "Server")
        def double(x):
            server.channel.send(server.encode(("ask", "get", ("", "join"))))
            return 2 * x
    """,
    "all descriptors closed": "import os\nos.closerange(0, 1024)\ndef double(x): return 2 * x",
    "swallowed exceptions": """
        def double(x):
            try: return missing(x)
            except BaseException: return None
    """,
    "atexit": "import atexit, os\natexit.register(os._exit, 0)\ndef double(x): return None",
    "a thread that ends the process": """
        import os, threading, time
        def later():
            time.sleep(0.05)
            os._exit(0)
        threading.Thread(target=later, daemon=True).start()
        def double(x):
            time.sleep(0.5)
            return 0
    """,
    "__del__": """
        import os
        class D:
            def __del__(self): os._exit(0)
        def double(x):
            D()
            return 2 * x
    """,
    "settrace": """
        import sys
        def trace(frame, event, arg):
            frame.f_trace_lines = False
            for name in list(frame.f_locals): frame.f_locals[name] = True
            return trace
        sys.settrace(trace)
        def double(x): return True
    """,
    "signal handlers": """
        import os, signal
        for number in range(1, 32):
            try: signal.signal(number, lambda *a: os._exit(0))
            except (OSError, ValueError): pass
        def double(x):
            os.kill(os.getppid(), signal.SIGTERM)
            return 0
    """,
    "kill everything": "import os\ndef double(x):\n    os.kill(-1, 9)\n    return 2 * x",
    "syntax error": "def double(x) return 2 * x",
    "another name": "def twice(x): return 2 * x",
    "too deep an answer": "def double(x):\n    a = []\n    for _ in range(5000): a = [a]\n    return a",
    "an answer that contains itself": "def double(x):\n    a = []\n    a.append(a)\n    return a",
    "a huge int": "def double(x): return 1 << 10**7",
    "a huge text": "def double(x): return 'a' * 10**7",
    "endless items": "import itertools\ndef double(x): return itertools.count()",
    "an object whose repr is huge": "class A:\n    def __repr__(s): return 'a' * 10**8\ndef double(x): return A()",
    "NUL in the source": "def double(x): return 0\0",
    "a lone surrogate in the source": "def double(x): return '\ud800'",
}


@pytest.mark.parametrize("name", CHEATS)
def test_a_cheat_is_violated(sandbox: LocalSandbox, name: str) -> None:
    verdict = sandbox.run_tests(textwrap.dedent(CHEATS[name]), [TESTS])
    assert verdict.outcome is Outcome.VIOLATED, verdict
    assert verdict.reason


# Each pair: the attack, and what may be in the reason.
GREED = {
    "sleep": ("import time\ndef double(x): time.sleep(100)", "time limit"),
    "recursion": ("def double(x): return double(x)", "RecursionError"),
    "recursion without a limit": (
        "import sys\nsys.setrecursionlimit(10**9)\ndef double(x): return max(x, x, key=double)",
        "SIGSEGV",
    ),
    "memory": ("def double(x): return len(bytearray(10**10))", "memory limit 256 MiB (memory_mib): MemoryError"),
    "memory little by little": (
        "def double(x):\n    a = []\n    while True: a.append('a' * 10**6 + str(len(a)))",
        "Memory",
    ),
    "a file that fills the disk": (
        "def double(x):\n    with open('f', 'wb') as f:\n        while True: f.write(b'a' * 10**6)",
        "OSError",
    ),
    "many files that fill the disk": (
        "import itertools\ndef double(x):\n    for n in itertools.count():\n"
        "        with open(str(n), 'wb') as f: f.write(b'a' * 10**6)",
        "OSError",
    ),
    "fork bomb": ("import os\ndef double(x):\n    while True: os.fork()", ""),
    "fork bomb at the top": ("import os\nwhile True:\n    try: os.fork()\n    except OSError: pass", ""),
    "threads": (
        "import threading, time\ndef double(x):\n"
        "    while True: threading.Thread(target=time.sleep, args=(100,), daemon=True).start()",
        "RuntimeError",
    ),
}

ENDLESS = {
    "endless loop": "def double(x):\n    while True: pass",
    "endless loop at the top": "while True: pass",
    "output": "def double(x):\n    while True: print('a' * 10**6)",
}


@pytest.mark.parametrize("name", GREED)
def test_greed_ends_at_a_limit(sandbox: LocalSandbox, name: str) -> None:
    program, reason = GREED[name]
    start = time.monotonic()
    verdict = sandbox.run_tests(program, [TESTS])
    assert verdict.outcome is Outcome.VIOLATED, verdict
    assert reason in verdict.reason
    assert time.monotonic() - start < 30  # a bound on hanging, not a measurement


@pytest.mark.parametrize("name", ENDLESS)
def test_endless_work_ends_at_the_cpu_limit(name: str) -> None:
    """With time enough on the wall: on a busy machine a second of CPU may take several."""
    limits = {"wall_seconds": 25.0, "cpu_seconds": 1, "memory_mib": 256, "output_kib": 64}
    patient = LocalSandbox(SandboxOptions.parse(limits))
    try:
        verdict = patient.run_tests(ENDLESS[name], [TESTS])
    finally:
        patient.close()
    assert verdict.outcome is Outcome.VIOLATED, verdict
    assert "CPU limit" in verdict.reason


# Every one looks at something of the host and must find nothing there: then it answers rightly.
NOTHING_THERE = {
    "files of the host": """
        import os, sys
        def shows(path):  # a folder on the way to the interpreter, such as /home, holds that way alone
            on_the_way = (sys.base_prefix + "/").startswith(path + "/")
            return os.path.exists(path) and not (on_the_way and len(os.listdir(path)) == 1)
        def seen(): return [p for p in ("/etc/passwd", "/root", "/home", "/proc", "/sys", "/var", "/run", "/dev/shm")
                            if shows(p)]
    """,
    "writing outside": """
        import os
        def seen():
            wrote = []
            for folder in ("/", "/usr", "/usr/bin", "/dev", "/lib"):
                try:
                    open(folder + "/x", "w")
                    wrote.append(folder)
                except OSError: pass
            return wrote
    """,
    "symlinks out": """
        import os
        def seen():
            os.symlink("/etc/passwd", "link")
            try: return open("link").read()
            except OSError: return []
    """,
    "environment": """
        import os
        def seen(): return list(os.environ)
    """,
    "network": """
        import socket
        def seen():
            for family in (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX, socket.AF_NETLINK):
                try: return [str(socket.socket(family))]
                except OSError: pass
            return []
    """,
    "privileges": """
        import os
        def seen(): return [os.getuid()] if os.getuid() in (0,) else []
    """,
    "open files": """
        import os
        def seen():
            found = []
            for fd in range(64):
                try: found.append((fd, os.fstat(fd).st_mode))
                except OSError: pass
            return [f for f, mode in found if f > 2][1:]
    """,
    "tracing the parent": """
        import ctypes, os
        def seen():
            libc = ctypes.CDLL(None)
            return [pid for pid in (1, os.getppid()) if libc.ptrace(16, pid, 0, 0) == 0]
    """,
    "memory that no limit counts": """
        import ctypes, os
        def seen():
            found = []
            if ctypes.CDLL(None).shmget(0, 1 << 20, 0o1600) >= 0: found.append("shmget")
            try: found.append(os.memfd_create("x"))
            except OSError: pass
            open("x", "w").close()
            try:
                os.setxattr("x", "user.a", b"a" * 60000)
                found.append("setxattr")
            except OSError as error:
                if error.errno != 1: found.append(error.errno)  # refused, not just not supported
            number = {"x86_64": 206, "aarch64": 0}.get(os.uname().machine)
            if number is not None and ctypes.CDLL(None).syscall(number, 500, ctypes.byref(ctypes.c_ulong(0))) == 0:
                found.append("io_setup")
            return found
    """,
    "new namespaces": """
        import ctypes
        def seen():
            libc = ctypes.CDLL(None)
            return [flag for flag in (0x10000000, 0x00020000, 0x40000000) if libc.unshare(flag) == 0]
    """,
    "other processes": """
        import os
        def seen():
            alive = []
            for pid in range(1, 300):
                try:
                    os.kill(pid, 0)
                    alive.append(pid)
                except ProcessLookupError: pass
                except PermissionError: alive.append(pid)
            return [pid for pid in alive if pid not in (1, os.getpid())]
    """,
    "sources of the tests": """
        import os
        def seen():
            return [os.path.join(folder, name) for folder, _, names in os.walk("/tmp") for name in names]
    """,
}


@pytest.mark.parametrize("name", NOTHING_THERE)
def test_a_box_shows_nothing_of_the_host(sandbox: LocalSandbox, name: str) -> None:
    verdict = sandbox.run_tests(textwrap.dedent(NOTHING_THERE[name]), ["assert seen() == []"])
    assert verdict.outcome is Outcome.SATISFIED, verdict


RIGHT = {
    "plain": "def double(x): return 2 * x",
    "threads": """
        import threading
        def double(x):
            out = []
            t = threading.Thread(target=lambda: out.append(2 * x))
            t.start(); t.join()
            return out[0]
    """,
    "a child process": """
        import os
        def double(x):
            r, w = os.pipe()
            if not os.fork():
                os.write(w, str(2 * x).encode())
                os._exit(0)
            os.wait()
            return int(os.read(r, 100))
    """,
    "a file": "def double(x):\n    open('f', 'w').write(str(x))\n    return 2 * int(open('f').read())",
    "output": "def double(x):\n    print('a' * 10**6)\n    return 2 * x",
    "memory": "def double(x):\n    a = bytearray(10**8)\n    return 2 * x",
    "a caught exit": "import sys\ndef double(x):\n    try: sys.exit()\n    except SystemExit: return 2 * x",
    "recursion": "def double(x, n=500): return 2 * x if n == 0 else double(x, n - 1)",
    "an event loop": "import asyncio\ndef double(x):\n    async def f(): return 2 * x\n    return asyncio.run(f())",
    "names of builtins": "def len(x): return 0\nabs = min = None\ndef double(x): return 2 * x",
}


@pytest.mark.parametrize("name", RIGHT)
def test_a_right_program_may_use_the_machine(sandbox: LocalSandbox, name: str) -> None:
    verdict = sandbox.run_tests(textwrap.dedent(RIGHT[name]), [TESTS])
    assert verdict.outcome is Outcome.SATISFIED, verdict
    assert verdict.reason == "3 assertions hold"


PRINTING_CHEATS = {
    "nothing": "",
    "exit": "raise SystemExit(0)",
    "os._exit": "import os\nos._exit(0)",
    "too much": "print(4)\nprint('a' * 10**5)",
    "flood": "while True: print('a' * 10**6)",
    "failure after the answer": "print(2 * int(input()))\nraise ValueError",
    "on stderr": "import sys\nprint(2 * int(input()), file=sys.stderr)",
    "on every descriptor": """
import os
for fd in range(2, 64):
    try: os.write(fd, b"4\\n")
    except OSError: pass
""",
    "endless": "while True: pass",
    "reads more than there is": "input(); input()",
    "kills what called it": "import os\nos.kill(os.getppid(), 9)",
    "a process that goes on": "import os, time\nif not os.fork():\n    time.sleep(100)\n",
}


@pytest.mark.parametrize("name", PRINTING_CHEATS)
def test_a_script_that_cheats_is_violated(sandbox: LocalSandbox, name: str) -> None:
    from judges.sandbox import Case

    verdict = sandbox.run_cases(PRINTING_CHEATS[name], [Case("2\n", "4\n"), Case("3\n", "6\n")])
    assert verdict.outcome is Outcome.VIOLATED, verdict


@pytest.mark.parametrize("end", ["assert double(1) == 2", "import os\nassert double(1) == 2\nos._exit(0)"])
def test_processes_that_tests_start_end_with_them(end: str) -> None:
    sandbox = LocalSandbox(SandboxOptions.parse({"wall_seconds": 6.0}))
    try:
        sandbox.prepare()
        before = len(psutil.Process().children(recursive=True))
        tests = f"import os, time\nif not os.fork():\n    time.sleep(600)\n{end}"
        sandbox.run_tests("def double(x): return 2 * x", [tests])
        # At the latest when the next tests come.
        sandbox.run_tests("def double(x): return 2 * x", ["assert double(1) == 2"])
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and len(psutil.Process().children(recursive=True)) > before:
            time.sleep(0.05)
        assert len(psutil.Process().children(recursive=True)) <= before
    finally:
        sandbox.close()


def test_nothing_is_left_behind(sandbox: LocalSandbox) -> None:
    """Processes that go on, in sessions of their own, end with the verdict; no file of theirs is on this machine."""
    program = """
import os, time
name = "left-behind-7241"
for _ in range(3):
    if os.fork() == 0:
        os.setsid()
        open("/tmp/" + name, "w").write("x")
        time.sleep(600)
def double(x): return 2 * x
"""
    sandbox.prepare()  # what may remain is the box of the tests: bwrap twice and one interpreter
    mine = psutil.Process()
    before = set(mine.children(recursive=True))
    assert sandbox.run_tests(program, [TESTS]).outcome is Outcome.SATISFIED
    deadline = time.monotonic() + 60
    while set(mine.children(recursive=True)) - before and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not set(mine.children(recursive=True)) - before
    assert not Path("/tmp/left-behind-7241").exists()
    assert os.path.exists("/tmp")
