"""The program of one worker process, started by `judges.running.workers`: receives specs and rows, answers verdicts.

It must not outlive its parent, however that ends: it stops at the end of its connection, and because a judge may be
busy at that moment, also on the kernel's signal (Linux) or when a thread sees that the parent has changed.
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import sys
import threading
import time
from dataclasses import dataclass
from functools import cache

from judges.errors import JudgesError
from judges.judge import Judge, Row
from judges.registry import create
from judges.running.boundary import readable, safe_verdict
from judges.running.messages import packed, received
from judges.spec import JudgeSpec
from judges.verdict import Verdict

_PR_SET_PDEATHSIG = 1
_PARENT_POLL_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Task:
    """One row for one judge. Answers bear its number: a late one must not be taken for the next row's."""

    number: int
    spec: JudgeSpec
    row: Row


@dataclass(frozen=True, slots=True)
class Ready:
    """Sent when the judge exists and the clock of its verdict starts."""

    number: int


@dataclass(frozen=True, slots=True)
class Answer:
    """The verdict on a task's row."""

    number: int
    verdict: Verdict


def main(descriptor: int, parent: int, memory_bytes: int | None) -> None:
    """Serves tasks until the connection ends.

    Args:
        descriptor: file descriptor of this end of the connection.
        parent: process id of the parent.
        memory_bytes: limit of the address space; a judge that needs more gets a MemoryError. None: no limit.
    """
    # Signals to the whole group (Ctrl-C, a scheduler's SIGTERM) are for the parent, which then closes its workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    _die_with(parent)
    if memory_bytes is not None:
        _limit_memory(memory_bytes)
    connection, own = socket.socket(fileno=descriptor), os.getpid()
    try:
        while True:
            _serve(connection, received(connection.recv), own)
    except (EOFError, ConnectionError):
        return


def _serve(connection: socket.socket, task: Task, own: int) -> None:
    judge = _created(task.spec)
    connection.sendall(packed(Ready(task.number)))
    verdict = safe_verdict(judge, task.row) if isinstance(judge, Judge) else judge
    if os.getpid() != own:  # a process that the judge forked and that came back here: there is one answer, not two
        os._exit(1)
    connection.sendall(packed(Answer(task.number, verdict)))


@cache
def _created(spec: JudgeSpec) -> Judge | Verdict:
    """The judge, made once a process; or the verdict that says why it cannot be made."""
    try:
        judge = create(spec)
        judge.prepare()
    except JudgesError as error:
        return Verdict.unknown(readable(str(error)))
    except (Exception, SystemExit) as error:  # noqa: BLE001 - foreign code; every row it should judge is `unknown`
        return Verdict.unknown(readable(f"judge {spec.name!r} cannot be prepared: {type(error).__name__}: {error}"))
    return judge


def _die_with(parent: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before the line above took effect
        os._exit(1)
    threading.Thread(target=_watch, args=(parent,), daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_PARENT_POLL_SECONDS)
    os._exit(1)


def _limit_memory(limit: int) -> None:
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    soft = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
    resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
