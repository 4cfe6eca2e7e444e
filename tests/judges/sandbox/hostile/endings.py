"""Programs that end, or end others' work, before the tests have run."""

from __future__ import annotations

from hostile.family import ZERO, each, family

_EXITS = (
    "__import__('sys').exit()",
    "raise SystemExit(0)",
    "quit()",
    "__import__('os')._exit(0)",
    'exec("raise SystemExit")',
    "getattr(__import__('os'), '_ex' + 'it')(0)",
    "__import__('ctypes').CDLL(None)._exit(0)",
)
family("ends at the top", "script", *each("§" + ZERO, *_EXITS))
family("ends in the call", "script", *each("def double(x): §", *_EXITS))
family(
    "ends in another thread",
    "script",
    *each(
        """
        import os, time, threading, _thread
        def end(*_): os._exit(0)
        §
        def double(x): time.sleep(5)
        """,
        "threading.Thread(target=end).start()",
        "threading.Timer(0.01, end).start()",
        "_thread.start_new_thread(end, ())",
        "from concurrent.futures import ThreadPoolExecutor\nThreadPoolExecutor(1).submit(end)",
        "threading.Thread(target=lambda: (time.sleep(0.02), end()), daemon=True).start()",
    ),
)
family(
    "ends when an object is destroyed",
    "script",
    *each(
        """
        import gc, os, weakref
        class Last:
            def __del__(self): os._exit(0)
        class Plain: pass
        def double(x):
            §
            return 0
        """,
        "Last()",
        "last = Last()\ndel last",
        "last = [Last()]\nlast.append(last)\ndel last\ngc.collect()",
        "plain = Plain()\nweakref.finalize(plain, os._exit, 0)\ndel plain",
        "plain = Plain()\nkept = weakref.ref(plain, lambda _: os._exit(0))\ndel plain",
        "gc.callbacks.append(lambda *_: os._exit(0))\ngc.collect()",
    ),
)
family(
    "ends in its own way at the end",
    "script",
    *each(
        "import atexit, os, sys, threading, weakref\n§" + ZERO,
        "atexit.register(os._exit, 0)",
        "threading._register_atexit(os._exit, 0)",
        "class A: pass\na = A()\nweakref.finalize(a, os._exit, 0)",
        "threading.Thread(target=lambda: (threading.main_thread().join(), os._exit(0))).start()",
    ),
)
family(
    "catches what nobody catches",
    "script",
    *each(
        "import os, sys\n§" + ZERO,
        "sys.excepthook = lambda *_: os._exit(0)",
        "def hook(kind, error, trace): os._exit(0)\nsys.excepthook = hook",
        "class Hook:\n    def __call__(self, *_): os._exit(0)\nsys.excepthook = Hook()",
        "import functools\nsys.excepthook = functools.partial(lambda code, *_: os._exit(code), 0)",
    ),
)
family(
    "ends in a signal handler",
    "script",
    *each(
        """
        import os, signal, time
        def end(*_): os._exit(0)
        def double(x):
            §
            time.sleep(5)
        """,
        "signal.signal(signal.SIGALRM, end)\nsignal.setitimer(signal.ITIMER_REAL, 0.01)",
        "signal.signal(signal.SIGUSR1, end)\nsignal.raise_signal(signal.SIGUSR1)",
        "signal.signal(signal.SIGINT, end)\nos.kill(os.getpid(), signal.SIGINT)",
        "signal.signal(signal.SIGCHLD, end)\nif not os.fork(): os._exit(1)",
        "signal.signal(signal.SIGTERM, end)\n__import__('_thread').interrupt_main(signal.SIGTERM)",
    ),
)
family(
    "becomes another program",
    "script",
    *each(
        "import os, sys\n§" + ZERO,
        "os.execv('/usr/bin/true', ['true'])",
        "os.execve('/usr/bin/true', ['true'], {})",
        "os.execvp('true', ['true'])",
        "os.execl(sys.executable, 'python3', '-c', '')",
        "import subprocess\nsubprocess.run(['true'])\nos.execlp('sh', 'sh', '-c', 'exit 0')",
    ),
)
family(
    "forks and lets the parent end well",
    "script",
    *each(
        "import os\n§" + ZERO,
        "if os.fork(): os._exit(0)",
        "if os.fork(): raise SystemExit(0)",
        "child = os.fork()\nif child: os.waitpid(child, 0), os._exit(0)",
        "if os.fork() or os.fork(): os._exit(0)",
    ),
    "import os\ndef double(x):\n    if os.fork(): os._exit(0)\n    return 0",
)
family(
    "raises what is no Exception",
    "quiet",
    *each(
        """
        import asyncio, sys
        class Own(BaseException): pass
        def double(x): raise §
        """,
        *("Own", "KeyboardInterrupt", "GeneratorExit", "SystemExit(1)", "asyncio.CancelledError", "BaseException(4)"),
    ),
)
family(
    "crashes the interpreter",
    "quiet",
    *each(
        "import ctypes, os, signal, sys\ndef double(x):\n    §\n    return 0",
        "ctypes.string_at(0)",
        "os.abort()",
        "os.kill(os.getpid(), signal.SIGKILL)",
        "signal.raise_signal(signal.SIGTERM)",
        "ctypes.memset(0, 1, 1)",
        "sys.setrecursionlimit(10**9)\nreturn max(x, x, key=double)",
    ),
)
