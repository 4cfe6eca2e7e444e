"""A nursery: one box in which a process is forked for every program, into namespaces of its own.

Starting a box for every program took most of a verdict's time: an interpreter, its imports, bubblewrap's mounts. What
the program may see and do is the same; docs/judges/code.md says what each part keeps and gives up.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import signal
import socket
from functools import cache

from judges.sandbox import box as boxes
from judges.sandbox import seccomp
from judges.sandbox.box import Runtime, SandboxError
from judges.sandbox.options import SandboxOptions

_STATUS_BYTES = 2
_OTHER_PROCESSES = 4
"""Two of bubblewrap, the nursery and the candidate's first one: a limit on processes counts them."""

_TRIALS = 3
"""A machine that lacks something for a moment must not be taken for one that cannot do it."""

_log = logging.getLogger(__name__)


class Nursery:
    """The box that programs are forked in, one at a time.

    Args:
        options: limits of a program.
        runtime: the interpreter.

    Raises:
        SandboxError: it cannot be started.
    """

    def __init__(self, options: SandboxOptions, runtime: Runtime) -> None:
        limits = options.limits
        limits["RLIMIT_NPROC"] += _OTHER_PROCESSES
        settings = {
            "limits": limits,
            "filter": seccomp.program(),
            "files": options.file_mib * 2**20,
        }
        self._box = boxes.start(options, runtime, "nursery", None, (settings,))
        try:
            self._box.wait_until_ready()
        except SandboxError:
            self._box.close()
            raise

    @property
    def alive(self) -> bool:
        return self._box.process.poll() is None

    def start(self) -> Program:
        """Starts a program; returns before it is ready. Ends the one before. Raises SandboxError."""
        return Program(self)

    def order(self, word: bytes, *descriptors: int) -> None:
        """Sends an order. Raises OSError when the nursery is gone."""
        socket.send_fds(self._box.connection, [word], list(descriptors))

    def last_words(self) -> str:
        """Ends the nursery: what it said."""
        return self._box.last_words()

    def close(self) -> None:
        """Ends the box with the program in it."""
        self._box.close()


@cache
def works(runtime: Runtime) -> bool:
    """Whether programs can be forked into namespaces of their own on this machine; found out once.

    Raises:
        SandboxError: no box can be started at all at the moment, which says nothing about that.
    """
    if seccomp.program() is None:  # sockets would be there, and one network namespace for all programs
        return False
    options = SandboxOptions()
    for _ in range(_TRIALS):
        try:
            with (
                contextlib.closing(Nursery(options, runtime)) as nursery,
                contextlib.closing(nursery.start()) as program,
            ):
                program.wait_until_ready()
            return True
        except SandboxError as error:
            reason = error
    with contextlib.closing(boxes.start(options, runtime, "candidate", options.limits)) as box:
        box.wait_until_ready()
    _log.warning("a box is started for every program, which takes several times as long: %s", reason)
    return False


class Program:
    """A started program, as `judges.sandbox.box.Box` is one. `connection` is this side's end of its channel."""

    def __init__(self, nursery: Nursery) -> None:
        self._nursery = nursery
        self.connection, theirs = socket.socketpair()
        self._status, reports = os.pipe()
        try:
            nursery.order(b"j", theirs.fileno(), reports)
        except OSError as error:
            self._close_ends()
            raise SandboxError(f"the nursery is gone: {nursery.last_words()}") from error
        finally:
            theirs.close()
            os.close(reports)

    def wait_until_ready(self) -> None:
        """Waits for the sign that the program's process has started. Raises SandboxError when it does not come."""
        if not boxes.is_ready(self.connection):
            raise SandboxError(f"a program's process could not be started: {self._nursery.last_words()}")

    def exit_status(self, seconds: float) -> int | None:
        """The program's exit status; 128 + n when signal n ended it; None when it still runs after `seconds`."""
        poll = select.poll()
        poll.register(self._status, select.POLLIN)
        if not poll.poll(seconds * 1000):
            return None
        status = os.read(self._status, _STATUS_BYTES)
        return int.from_bytes(status, "big") if status else 128 + signal.SIGKILL

    def kill(self) -> None:
        """Ends the program and all that it started."""
        with contextlib.suppress(OSError):  # a nursery that is gone has taken them along
            self._nursery.order(b"k")

    def close(self) -> None:
        """Ends the program and frees what belongs to it here."""
        self.kill()
        self._close_ends()

    def _close_ends(self) -> None:
        self.connection.close()
        os.close(self._status)
