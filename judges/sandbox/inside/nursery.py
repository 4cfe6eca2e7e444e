"""The program of the nursery's box: forks a process for every candidate, into namespaces of its own.

An interpreter takes fifteen milliseconds to start and a box around it ten; a fork of one that has started takes two.
What runs here is this package's code alone. A candidate's code runs in a fork that can no longer do what the nursery
can: it has other namespaces, no capability, the system call filter, the limits, and one descriptor.

A namespace of processes ends with its first process, and signals of its own members do not end that one. Here the first
does nothing but sleep: it shares the nursery's memory, so that making it costs next to nothing.

Orders: `j` with a channel and a pipe for the exit status starts a candidate; `k` ends it. There is one at a time.
"""

from __future__ import annotations

import _socket
import contextlib
import ctypes
import gc
import importlib
import mmap
import os
import select
import signal
import struct
from typing import Any, NoReturn

from judges.sandbox.inside import boot, candidate
from judges.sandbox.inside.codec import Channel
from judges.sandbox.inside.control import order

STATUS = struct.Struct(">H")
"""How a candidate ended, as it is written to the pipe: an exit status, or 128 + the number of a signal."""

_OFTEN_IMPORTED = (
    *("bisect", "collections", "copy", "dataclasses", "datetime", "decimal", "fractions", "functools", "heapq"),
    *("io", "itertools", "json", "math", "operator", "random", "re", "string", "typing"),
)
"""Modules that programs import most, loaded once for all of them. None of them brings submodules that `import` of a
parent alone would not: a program that forgets to import must still fail."""

_NEW_MOUNTS, _NEW_PROCESSES, _SHARED_MEMORY = 0x00020000, 0x20000000, 0x00000100  # CLONE_NEWNS, NEWPID, CLONE_VM
_NEW_IPC, _NEW_HOST_NAME = 0x08000000, 0x04000000  # CLONE_NEWIPC, CLONE_NEWUTS
_CAPABILITY_VERSION = 0x20080522
_SET_ADMIN = 1 << 21  # CAP_SYS_ADMIN
_SET_DUMPABLE, _SET_SECCOMP, _DROP_FROM_BOUNDS, _NO_NEW_PRIVILEGES, _AMBIENT = 4, 22, 24, 38, 47  # PR_…
_CLEAR_AMBIENT, _SECCOMP_FILTER = 4, 2
_PRIVATE = 0x4000 | 0x40000  # MS_REC | MS_PRIVATE
_NO_SUID_NO_DEVICES = 2 | 4  # MS_NOSUID | MS_NODEV
_STACK_BYTES = 65536
_BYTES_PER_FILE = 4096
"""A candidate may have as many files as its `/tmp` has pages: an empty one takes kernel memory, too."""


class _Kernel:
    """System calls that the module `os` lacks. Each raises OSError."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL(None, use_errno=True)
        self._stack = mmap.mmap(-1, _STACK_BYTES)
        self._stack_end = ctypes.addressof(ctypes.c_char.from_buffer(self._stack)) + _STACK_BYTES

    def _call(self, name: str, *arguments: Any) -> int:
        words = [ctypes.c_ulong(item) if isinstance(item, int) else item for item in arguments]
        result = int(self._library[name](*words))
        if result < 0:
            number = ctypes.get_errno()
            raise OSError(number, f"{name}: {os.strerror(number)}")
        return result

    def sleeper(self) -> int:
        """Makes a process that does nothing, the first in a new namespace of processes; its id."""
        pause = ctypes.cast(self._library.pause, ctypes.c_void_p)
        flags = _SHARED_MEMORY | _NEW_PROCESSES | signal.SIGCHLD
        return self._call("clone", pause, ctypes.c_void_p(self._stack_end), flags, None)

    def fork_within(self, descriptor: int, own: int) -> int:
        """As `os.fork`, into the namespace of processes of the process that the first descriptor stands for.

        Args:
            descriptor: pidfd of a process in that namespace.
            own: pidfd of this process.
        """
        self.prctl(_SET_DUMPABLE, 1)  # nobody else is there yet; for others' namespaces the kernel asks for that
        self._call("setns", descriptor, _NEW_PROCESSES)
        self.prctl(_SET_DUMPABLE, 0)
        child = os.fork()
        if child:
            self._call("setns", own, _NEW_PROCESSES)
        return child

    def unshare(self, flags: int) -> None:
        self._call("unshare", flags)

    def mount(self, kind: bytes | None, target: bytes, flags: int, options: bytes | None) -> None:
        self._call("mount", kind, target, kind, flags, options)

    def prctl(self, operation: int, *arguments: Any) -> None:
        self._call("prctl", operation, *[*arguments, 0, 0, 0, 0][:4])

    def keep_capabilities(self, kept: int) -> None:
        """Permitted and effective become `kept` (of the first 32), inheritable and ambient none."""
        self.prctl(_AMBIENT, _CLEAR_AMBIENT)
        header = struct.pack("=Ii", _CAPABILITY_VERSION, 0)
        self._call("capset", header, struct.pack("=6I", kept, kept, 0, 0, 0, 0))

    def empty_bounding_set(self) -> None:
        """No capability can be had again, whatever is executed."""
        for number in range(64):
            try:
                self.prctl(_DROP_FROM_BOUNDS, number)
            except OSError:  # there are no more
                return

    def install_filter(self, program: bytes) -> None:
        held = ctypes.create_string_buffer(program, len(program))
        described = struct.pack("@HP", len(program) // 8, ctypes.addressof(held))  # struct sock_fprog
        self.prctl(_SET_SECCOMP, _SECCOMP_FILTER, described)


class Nursery:
    """Starts candidates.

    Args:
        control: the socket that orders come from.
        settings: `limits` of a candidate, the `filter` of system calls, and `files`, the bytes that its `/tmp` may
            take.
    """

    def __init__(self, control: Any, settings: dict[str, Any]) -> None:
        self.control, self.settings = control, settings
        self.kernel = _Kernel()
        self.kernel.prctl(_SET_DUMPABLE, 0)
        self.kernel.prctl(_NO_NEW_PRIVILEGES, 1)
        self.kernel.empty_bounding_set()
        self.kernel.keep_capabilities(_SET_ADMIN)
        self.own = os.pidfd_open(os.getpid())
        self.running: Running | None = None

    def serve(self) -> NoReturn:
        while True:
            if self.running is not None and not self.running.until(self.control):
                self.end()
                continue
            command, descriptors = order(self.control)
            self.end()
            if command == b"j":
                self.start(*descriptors)

    def start(self, channel: int, report: int) -> None:
        """Starts a candidate in a new namespace of processes."""
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # so the sleeper has nobody to bury
        sleeper = self.kernel.sleeper()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        place = os.pidfd_open(sleeper)
        child = self.kernel.fork_within(place, self.own)
        if not child:
            self.become_candidate(channel)
        os.close(place)
        os.close(channel)
        self.running = Running(sleeper, child, report)

    def end(self) -> None:
        """Ends the candidate, if there is one, with everything that it started."""
        if self.running is not None:
            self.running.end()
            self.running = None

    def become_candidate(self, channel: int) -> NoReturn:
        """In the fork: makes the place, gives up all rights, and serves."""
        status = 1
        try:
            self.make_place()
            self.kernel.keep_capabilities(0)
            self.kernel.install_filter(self.settings["filter"])
            signal.signal(signal.SIGINT, signal.default_int_handler)
            boot.prepare(channel, self.settings["limits"])
            connection = Channel(_socket.socket(fileno=channel))
            connection.send(boot.READY)
            candidate.main(connection)
            status = 0
        except OSError as error:  # before `prepare`: afterwards there is no standard error
            os.write(2, f"{error}\n".encode())
        finally:
            os._exit(status)

    def make_place(self) -> None:
        """Namespaces of its own, an empty `/tmp`, and a session out of reach of signals to groups of processes."""
        os.setsid()
        self.kernel.unshare(_NEW_MOUNTS | _NEW_IPC | _NEW_HOST_NAME)
        self.kernel.mount(None, b"/", _PRIVATE, None)
        size = self.settings["files"]
        options = b"mode=0755,size=%d,nr_inodes=%d" % (size, size // _BYTES_PER_FILE)
        self.kernel.mount(b"tmpfs", b"/tmp", _NO_SUID_NO_DEVICES, options)
        os.chdir("/tmp")


class Running:
    """A candidate that was started.

    Args:
        sleeper: the first process of its namespace.
        child: its own process.
        report: the pipe for the exit status.
    """

    def __init__(self, sleeper: int, child: int, report: int) -> None:
        self.sleeper, self.child, self.report = sleeper, child, report
        self.ended = os.pidfd_open(child)

    def until(self, control: Any) -> bool:
        """Waits for an order (True) or the candidate's end (False)."""
        events = select.poll()  # the control socket keeps the number that it had outside, which may be large
        events.register(control, select.POLLIN)
        events.register(self.ended, select.POLLIN)
        return all(descriptor != self.ended for descriptor, _ in events.poll())

    def end(self) -> None:
        """Ends all of its namespace, and reports how the candidate ended. The kernel ends them with the first."""
        os.kill(self.sleeper, signal.SIGKILL)
        _, status = os.waitpid(self.child, 0)
        code = os.waitstatus_to_exitcode(status)
        with contextlib.suppress(BrokenPipeError):  # nobody waits for it
            os.write(self.report, STATUS.pack(code if code >= 0 else 128 - code))
        os.waitpid(self.sleeper, 0)
        os.close(self.report)
        os.close(self.ended)


def main(channel: Channel, settings: dict[str, Any]) -> NoReturn:
    """Serves until the other side is gone."""
    for name in _OFTEN_IMPORTED:
        importlib.import_module(name)
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # or the sleepers would have Python's handler
    nursery = Nursery(channel.connection, settings)
    gc.collect()
    gc.freeze()  # what a fork does not look through, it does not copy
    nursery.serve()
