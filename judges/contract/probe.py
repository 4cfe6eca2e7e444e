"""The program of one probe process: calls a judge directly and reports what a worker process would hide.

Started by judges/contract/observer.py with its standard output in a file of its own.
"""

from __future__ import annotations

import copy
import ctypes
import os
import resource
import signal
import sys
import threading
import time
from dataclasses import dataclass
from enum import StrEnum
from multiprocessing.connection import Connection
from pathlib import Path

from judges.judge import Judge, Row
from judges.registry import create
from judges.running.boundary import normalised, readable
from judges.spec import JudgeSpec
from judges.verdict import Outcome, Verdict

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
_STDOUT = 1
_SHOWN_BYTES = 80
_GRACE_SECONDS = 1.0


class Problem(StrEnum):
    """How a judge can fail on a row."""

    RAISED = "raised"
    EXITED = "tried to end the process"
    RETURNED = "returned what is no verdict"
    TOO_SLOW = "took too long"
    DIED = "ended the process"


@dataclass(frozen=True, slots=True)
class Observation:
    """What a judge did with one row.

    Attributes:
        verdict: its verdict, if it gave one that can be used.
        problem: what it did instead, or None.
        detail: the problem in words.
        changed_row: the row's metadata or messages were altered.
        printed: the beginning of what it wrote to standard output.
        seconds: wall time.
    """

    verdict: Verdict | None
    problem: Problem | None = None
    detail: str = ""
    changed_row: bool = False
    printed: str = ""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Ready:
    """The judge was made and prepared; `problem` says why not."""

    problem: str = ""


@dataclass(frozen=True, slots=True)
class Leftovers:
    """Threads and processes that were not there when the judge was ready, by name."""

    threads: tuple[str, ...]
    processes: tuple[str, ...]


Answer = Ready | Observation | Leftovers


def main(descriptor: int, spec: JudgeSpec, memory_bytes: int) -> None:
    """Observes the judge on every row received; None instead of a row asks for what is left behind and is the end."""
    libc = ctypes.CDLL(None)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    libc.prctl(_PR_SET_CHILD_SUBREAPER, 1)  # processes whose parent has ended become children of this one
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, hard))
    connection: Connection[Answer, Row | None] = Connection(descriptor)
    try:
        judge = create(spec)
        judge.prepare()
    except BaseException as error:  # noqa: BLE001 - foreign code; what it does is what is reported
        connection.send(Ready(readable(f"{type(error).__name__}: {error}")))
        return
    threads, processes = set(threading.enumerate()), _children()
    connection.send(Ready())
    while (row := connection.recv()) is not None:
        connection.send(_observe(judge, row))
    connection.send(_leftovers(threads, processes))
    os._exit(0)  # threads that go on must not hold this process


def _observe(judge: Judge, row: Row) -> Observation:
    before, written = copy.deepcopy(row), _written()
    started = time.monotonic()
    verdict, problem, detail = _answer(judge, row)
    seconds = time.monotonic() - started
    return Observation(verdict, problem, detail, row != before, _printed_since(written), seconds)


def _answer(judge: Judge, row: Row) -> tuple[Verdict | None, Problem | None, str]:
    try:
        answer = judge.verdict(row)
    except Exception as error:  # noqa: BLE001 - foreign code; what it does is what is reported
        return None, Problem.RAISED, readable(f"{type(error).__name__}: {error}")
    except BaseException as error:  # noqa: BLE001 - SystemExit, KeyboardInterrupt
        return None, Problem.EXITED, readable(f"{type(error).__name__}: {error}")
    verdict = normalised(answer)
    refused = verdict.outcome is Outcome.UNKNOWN and not (
        isinstance(answer, Verdict) and answer.outcome is Outcome.UNKNOWN
    )
    return (None, Problem.RETURNED, verdict.reason) if refused else (verdict, None, "")


def _written() -> int:
    sys.stdout.flush()
    return os.fstat(_STDOUT).st_size


def _printed_since(before: int) -> str:
    if _written() == before:
        return ""
    return os.pread(_STDOUT, _SHOWN_BYTES, before).decode(errors="replace")


def _leftovers(threads: set[threading.Thread], processes: set[int]) -> Leftovers:
    """Waits a little for what is about to end; ends the processes that stay."""
    deadline = time.monotonic() + _GRACE_SECONDS
    while True:
        new_threads = [thread for thread in threading.enumerate() if thread not in threads]
        new_processes = _children() - processes
        if not (new_threads or new_processes) or time.monotonic() >= deadline:
            break
        time.sleep(0.02)
    names = tuple(sorted(_command(pid) for pid in new_processes))
    for pid in new_processes:
        os.kill(pid, signal.SIGKILL)
    return Leftovers(tuple(sorted(thread.name for thread in new_threads)), names)


def _children() -> set[int]:
    """Living processes whose parent is this one; those that have ended and wait to be collected do not count."""
    children = set()
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                state, parent = (folder / "stat").read_text().rpartition(")")[2].split()[:2]
            except OSError:  # it has just ended
                continue
            if int(parent) == os.getpid() and state != "Z":
                children.add(int(folder.name))
    return children


def _command(pid: int) -> str:
    try:
        words = (Path("/proc") / str(pid) / "cmdline").read_bytes().split(b"\0")
    except OSError:
        return str(pid)
    return b" ".join(words).decode(errors="replace").strip()[:_SHOWN_BYTES] or str(pid)
