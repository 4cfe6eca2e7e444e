"""One box: a fresh interpreter in namespaces of its own, which knows one socket and nothing else of this machine."""

from __future__ import annotations

import contextlib
import marshal
import os
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from judges.sandbox import seccomp
from judges.sandbox.inside.boot import READY
from judges.sandbox.inside.codec import Channel, CodecError, EndOfChannelError, Reference, encode
from judges.sandbox.isolation import (
    ENVIRONMENT,
    HOW_TO_GET_IT,
    Interpreter,
    box_command,
    bubblewrap,
    bubblewrap_library,
    hidden,
    interpreters,
    python_command,
    unprivileged_id,
)
from judges.sandbox.options import SandboxOptions

START_SECONDS = 30.0
"""Time an interpreter in a box has to start (from a cold disk, on a busy machine)."""

_LIBRARY = ("codec", "boot", "control")
_ROLES = {
    "candidate": ("candidate",),
    "nursery": ("candidate", "nursery"),
    "tests": ("names", "shims", "session", "tests"),
}
_PACKAGE = "judges.sandbox.inside"

# Reads modules (name, code) from the socket, makes them, and calls the last one's `main`.
_BOOT = f"""
import sys
sys.path[:] = [folder for folder in sys.path if folder]
import marshal, _socket
c = _socket.socket(fileno=int(sys.argv[1]))
def r(n):
    d = b""
    while len(d) < n:
        p = c.recv(n - len(d))
        if not p: raise SystemExit(1)
        d += p
    return d
package = sys.modules["{_PACKAGE}"] = type(sys)("{_PACKAGE}")
for name, code in marshal.loads(r(int.from_bytes(r(4), "big"))):
    m = sys.modules[name] = type(sys)(name)
    exec(code, m.__dict__)
    setattr(package, name.rpartition(".")[2], m)
package.boot.main(c, sys.argv[2])
"""
# Compiles the modules of every role for the interpreter in the box; run once, so that no box has to.
_COMPILE = """
import marshal, sys, _socket
c = _socket.socket(fileno=int(sys.argv[1]))
d = b""
while p := c.recv(65536): d += p
sources, roles = marshal.loads(d)
codes = {n: compile(s, n, "exec", dont_inherit=True) for n, s in sources}
for names in roles:
    d = marshal.dumps([(n, codes[n]) for n in names])
    c.sendall(len(d).to_bytes(4, "big") + d)
"""


class SandboxError(Exception):
    """The sandbox failed, not the program in it."""


@dataclass(frozen=True, slots=True, eq=False)
class Runtime:
    """What every box of one interpreter shares.

    Attributes:
        interpreter: the interpreter.
        modules: compiled programs by role, for that interpreter only; never read outside a box.
    """

    interpreter: Interpreter
    modules: dict[str, bytes]


class Box:
    """A started box. `connection` is this side's end of its socket.

    Args:
        options: limits and the way of isolation.
        interpreter: what runs in it.
        code: the program for `python -c`.
        role: the program's argument.
    """

    def __init__(self, options: SandboxOptions, interpreter: Interpreter, code: str, role: str) -> None:
        self._isolated = not options.unsafe_subprocess
        self._folder: str | None = None
        self.connection, theirs = socket.socketpair()
        with theirs:
            command = python_command(interpreter, code, str(theirs.fileno()), role)
            try:
                start = self._start_isolated if self._isolated else self._start_plain
                self.process = start(options, interpreter, command, theirs.fileno())
            except OSError as error:
                self.connection.close()
                self._remove_folder()
                raise SandboxError(f"cannot start a process: {error}") from error

    def _start_isolated(
        self, options: SandboxOptions, interpreter: Interpreter, command: list[str], channel: int
    ) -> subprocess.Popen[bytes]:
        program = bubblewrap()
        if program is None:
            raise SandboxError(f"there is no bubblewrap on this machine: {HOW_TO_GET_IT}")
        nests = command[-1] == "nursery"  # it gives the filter to those who run what is not trusted
        with contextlib.ExitStack() as opened:
            descriptors = [channel]
            filter_end = None if nests else _filter_pipe(opened)
            descriptors += [] if filter_end is None else [filter_end]
            executable, environment, held = _reachable(program, opened)
            return subprocess.Popen(
                ["bwrap", *box_command(interpreter, options, filter_end, nests), *command],
                executable=executable,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                pass_fds=[*descriptors, *held],
                env=environment,
                cwd="/",
                **_other_user(),
            )

    def _start_plain(
        self, options: SandboxOptions, interpreter: Interpreter, command: list[str], channel: int
    ) -> subprocess.Popen[bytes]:
        if command[-1] == "candidate":  # the others write nothing
            self._folder = tempfile.mkdtemp(prefix="unsafe-program-")
            os.chmod(self._folder, 0o777)  # as root the program runs as another user
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            pass_fds=[channel],
            env=ENVIRONMENT,
            cwd=self._folder or "/",
            start_new_session=True,
            **_other_user(),
        )

    def send(self, data: bytes) -> None:
        """Sends raw bytes. A box that is gone is found out at the next reading."""
        with contextlib.suppress(OSError):
            self.connection.sendall(data)

    def wait_until_ready(self) -> None:
        """Waits for the sign that the program in the box has started. Raises SandboxError when it does not come."""
        if not is_ready(self.connection):
            raise SandboxError(f"a box could not be started: {self.last_words()}")

    def last_words(self) -> str:
        """What bwrap or the interpreter said before it ended."""
        self.kill()
        assert self.process.stderr is not None
        try:
            words = self.process.stderr.read(4096).decode(errors="replace").strip()
        except ValueError:  # closed: it was read before
            words = ""
        return words.splitlines()[-1] if words else f"exit status {self.process.returncode}"

    def exit_status(self, seconds: float) -> int | None:
        """The program's exit status; 128 + n when signal n ended it; None when it still runs after `seconds`."""
        try:
            status = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None
        return status if status >= 0 else 128 - status

    def kill(self) -> None:
        """Ends everything in the box. bwrap dies, with it the box's first process, with that all others."""
        if self._isolated or self.process.poll() is not None:
            self.process.kill()
        if not self._isolated:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def close(self) -> None:
        """Ends the box and frees what belongs to it here."""
        self.kill()
        self.connection.close()
        assert self.process.stderr is not None
        self.process.stderr.close()
        self._remove_folder()

    def _remove_folder(self) -> None:
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)


def is_ready(connection: socket.socket) -> bool:
    """Waits for the sign that a program has started and rules all that it may."""
    connection.settimeout(START_SECONDS)
    try:
        ready = Channel(connection, budget=64).receive() == READY
    except (EndOfChannelError, CodecError, OSError):
        return False
    connection.settimeout(None)
    return ready


def start(
    options: SandboxOptions, runtime: Runtime, role: str, limits: dict[str, int] | None, arguments: tuple[Any, ...] = ()
) -> Box:
    """Starts a box with the program `role`, which gets `arguments`; returns before it is ready."""
    box = Box(options, runtime.interpreter, _BOOT, role)
    modules = runtime.modules[role]
    # Without namespaces nobody else ends what is left behind.
    parent = os.getpid() if options.unsafe_subprocess else 0
    settings = encode((limits, parent, arguments), _no_reference)
    box.send(b"".join(len(part).to_bytes(4, "big") + part for part in (modules, settings)))
    return box


def runtime(options: SandboxOptions) -> Runtime:
    """The interpreter of the boxes, tried out. Raises SandboxError with the reason why none works."""
    relevant = {"python": options.python, "unsafe_subprocess": options.unsafe_subprocess}
    return _runtime(SandboxOptions.parse({name: value for name, value in relevant.items() if value}))


@cache
def _runtime(options: SandboxOptions) -> Runtime:
    reasons = []
    for interpreter in interpreters(options):
        problem = None if options.unsafe_subprocess else hidden(interpreter)
        if problem is not None:
            reasons.append(f"{interpreter.path}: {problem}")
            continue
        try:
            return Runtime(interpreter, _compiled(options, interpreter))
        except SandboxError as error:
            reasons.append(f"{interpreter.path}: {error}")
    problems = "; ".join(reasons) or "no interpreter that a box can reach (set sandbox.python)"
    raise SandboxError(f"no isolation on this machine: {problems}. What helps: {HOW_TO_GET_IT}")


def _compiled(options: SandboxOptions, interpreter: Interpreter) -> dict[str, bytes]:
    """The programs of all roles, compiled in a box; also the proof that boxes work here."""
    files = resources.files(_PACKAGE)
    roles = [[f"{_PACKAGE}.{name}" for name in (*_LIBRARY, *names)] for names in _ROLES.values()]
    names = sorted({name for role in roles for name in role})
    sources = [(name, (files / f"{name.rpartition('.')[2]}.py").read_text(encoding="utf-8")) for name in names]
    box = Box(options, interpreter, _COMPILE, "")
    try:
        box.send(marshal.dumps((sources, roles), 2))
        with contextlib.suppress(OSError):
            box.connection.shutdown(socket.SHUT_WR)
        compiled = _frames(_read_all(box.connection, time.monotonic() + START_SECONDS))
        if len(compiled) != len(roles):
            raise SandboxError(box.last_words())
        return dict(zip(_ROLES, compiled, strict=True))
    finally:
        box.close()


def _frames(data: bytes) -> list[bytes]:
    """The parts that four bytes of length precede."""
    frames = []
    while data:
        end = 4 + int.from_bytes(data[:4], "big")
        frames.append(data[4:end])
        data = data[end:]
    return frames


def _read_all(connection: socket.socket, deadline: float) -> bytes:
    parts: list[bytes] = []
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    while poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
        try:
            part = connection.recv(65536)
        except ConnectionError:
            return b""
        if not part:
            return b"".join(parts)
        parts.append(part)
    return b""


def _no_reference(value: Any) -> Reference:
    raise CodecError(f"{type(value).__name__} is no plain data")


def _filter_pipe(opened: contextlib.ExitStack) -> int | None:
    """The reading end of a pipe that holds the seccomp filter (it fits into the pipe's buffer)."""
    program = seccomp.program()
    if program is None:
        return None
    reading, writing = os.pipe()
    opened.callback(os.close, reading)
    with open(writing, "wb") as file:
        file.write(program)
    return reading


def _reachable(program: str, opened: contextlib.ExitStack) -> tuple[str, dict[str, str], list[int]]:
    """How a user who cannot pass the folders above `program` starts it: by an open descriptor.

    Returns the path to execute, the environment, and descriptors to hand on. Only root starts as another user; its
    virtual environment may well lie in a home that is closed to others.
    """
    if os.geteuid() != 0:
        return program, {}, []
    held = []
    paths = []
    for path in (program, bubblewrap_library(program)):
        if path is not None:
            held.append(os.open(path, os.O_RDONLY))
            opened.callback(os.close, held[-1])
            paths.append(f"/proc/self/fd/{held[-1]}")
    return paths[0], {"LD_PRELOAD": paths[1]} if len(paths) > 1 else {}, held


def _other_user() -> dict[str, Any]:
    user = unprivileged_id()
    return {} if user is None else {"user": user, "group": user, "extra_groups": []}
