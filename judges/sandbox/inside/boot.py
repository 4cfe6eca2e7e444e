"""The first thing that runs in every box: takes limits, sets them for good, says that it is ready.

Whoever reads `READY` knows that everything up to here worked; what fails later is due to what runs in the box.
"""

from __future__ import annotations

import _sitebuiltins
import builtins
import os
import resource
import sys
from typing import Any

from judges.sandbox.inside.codec import Channel, CodecError, Reference, decode

READY = b"ready"


def main(connection: Any, role: str) -> None:
    """Runs the program `role` on a connected socket.

    The first frame is `(limits, parent, arguments)`: resource limits by their names (None: for a program of this
    package alone, which keeps its standard error to say why it fails), the process without which this one must not
    live (0: a box sees to that), and what the program's `main` gets besides the channel.
    """
    channel = Channel(connection)
    limits, parent, arguments = decode(channel.receive(), _no_reference)
    _die_with(parent)
    if limits is not None:
        prepare(connection.fileno(), limits)
    channel.send(READY)
    sys.modules[f"judges.sandbox.inside.{role}"].main(channel, *arguments)


def prepare(channel: int, limits: dict[str, int]) -> None:
    """Leaves this process nothing but an open channel, limits that it cannot raise, and the built-ins of a script."""
    _silence(channel)
    _limit(limits)
    _builtins_of_a_script()


def _no_reference(reference: Reference) -> Any:
    raise CodecError("a reference where there is none")


def _die_with(parent: int) -> None:
    """Without a box: ends this process when the one that started it ends."""
    if not parent:
        return
    import ctypes
    import signal

    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    ctypes.CDLL(None).prctl(4, 0)  # PR_SET_DUMPABLE: processes of the same user must not look into this one
    if os.getppid() != parent:
        os._exit(1)


def _silence(channel: int) -> None:
    """Standard input is empty, output goes nowhere; nothing else is open but the channel. No environment."""
    os.environ.clear()
    os.closerange(3, channel)
    os.closerange(channel + 1, 1024)
    null = os.open("/dev/null", os.O_RDWR)
    for descriptor in range(3):
        os.dup2(null, descriptor)
    os.close(null)


def _limit(limits: dict[str, int]) -> None:
    """Sets hard limits: not even the code that sets them can raise them again."""
    for name, value in limits.items():
        which = getattr(resource, name)
        _, hard = resource.getrlimit(which)
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        extra = 1 if name == "RLIMIT_CPU" else 0  # the soft limit's signal says which limit it was; the hard one kills
        resource.setrlimit(
            which, (value, value + extra if hard == resource.RLIM_INFINITY else min(value + extra, hard))
        )


def _builtins_of_a_script() -> None:
    """`exit` and `quit`, which scripts use although they belong to the interactive interpreter."""
    for name in ("exit", "quit"):
        setattr(builtins, name, _sitebuiltins.Quitter(name, "Ctrl-D"))
