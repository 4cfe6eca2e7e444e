"""Runs a judge in a process of its own and sees everything it does there."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import IO, Self

from judges.contract.probe import Answer, Leftovers, Observation, Problem, Ready
from judges.errors import JudgesError
from judges.judge import Row
from judges.spec import JudgeSpec

CREATION_SECONDS = 120.0
"""Time for starting, importing and preparing the judge."""
_MEMORY_BYTES = 4 * 2**30  # as a worker process has
_POLL_SECONDS = 0.2
_ENDING_SECONDS = 5.0
_PATIENCE = {Problem.TOO_SLOW: 3, Problem.DIED: 6}
"""After so many such rows a process tries no more of them: each costs the judge's time limit, or a new process."""
_PROGRAM = (
    "import pickle, sys; path, arguments = pickle.loads(sys.stdin.buffer.read()); sys.path[:] = path; "
    "from judges.contract.probe import main; main(*pickle.loads(arguments))"
)


class Observer:
    """A judge under observation. Use it as a context manager; leaving it ends the process.

    Args:
        spec: the judge.
        seconds: wall time it may take for a row.
        hash_seed: PYTHONHASHSEED of the process, which decides the order of sets.
    """

    def __init__(self, spec: JudgeSpec, seconds: float, hash_seed: int = 0) -> None:
        self._spec = spec
        self._seconds = seconds
        self._hash_seed = hash_seed
        self._process: subprocess.Popen[bytes] | None = None
        self._log: IO[bytes] | None = None
        self._failures: Counter[Problem] = Counter()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._end()

    def observe(self, row: Row) -> Observation:
        """What the judge does with a row. After a judge has ended its process the next row gets a new one.

        Raises:
            JudgesError: the judge cannot be made or prepared.
        """
        for problem, patience in _PATIENCE.items():
            if self._failures[problem] >= patience:
                return Observation(None, problem, f"not tried after {patience} such rows")
        answer = self._observe(row)
        if answer.problem is not None:
            self._failures[answer.problem] += 1
        return answer

    def _observe(self, row: Row) -> Observation:
        if self._process is None:
            self._start()
        started = time.monotonic()
        try:
            self._connection.send(row)
            answer = self._receive(self._seconds)
        except TimeoutError:  # an OSError, so before those
            self._end()
            detail = f"more than its limit of {self._seconds:g} s"
            return Observation(None, Problem.TOO_SLOW, detail, seconds=self._seconds)
        except (EOFError, OSError):
            return Observation(None, Problem.DIED, self._obituary(), seconds=time.monotonic() - started)
        assert isinstance(answer, Observation)
        return answer

    def observe_all(self, rows: Iterable[Row]) -> list[Observation]:
        """`observe` for one row after the other, in one process as long as it lives."""
        return [self.observe(row) for row in rows]

    def leftovers(self) -> Leftovers:
        """What the judge has left running in its process, which ends with this."""
        if self._process is None:
            return Leftovers((), ())
        try:
            self._connection.send(None)
            answer = self._receive(CREATION_SECONDS)
        except (EOFError, OSError, TimeoutError):
            answer = Leftovers((), ())
        self._end()
        assert isinstance(answer, Leftovers)
        return answer

    def _start(self) -> None:
        ours, theirs = Pipe()
        self._log = tempfile.TemporaryFile(mode="a+b")  # noqa: SIM115 - lives as long as the process
        arguments = pickle.dumps((theirs.fileno(), self._spec, _MEMORY_BYTES))
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _PROGRAM],
                stdin=subprocess.PIPE,
                stdout=self._log,
                stderr=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                env={**os.environ, "PYTHONHASHSEED": str(self._hash_seed)},
            )
        self._connection: Connection[Row | None, Answer] = ours
        assert self._process.stdin is not None
        with self._process.stdin as pipe:
            pipe.write(pickle.dumps((sys.path, arguments)))  # the path first: it is needed to read the rest
        try:
            ready = self._receive(CREATION_SECONDS)
        except TimeoutError:
            self._end()
            raise JudgesError(f"judge {self._spec.name!r} is not ready after {CREATION_SECONDS:g} s") from None
        except (EOFError, OSError):
            raise JudgesError(f"judge {self._spec.name!r} cannot be prepared: it {self._obituary()}") from None
        assert isinstance(ready, Ready)
        if ready.problem:
            self._end()
            raise JudgesError(f"judge {self._spec.name!r} cannot be prepared: {ready.problem}")

    def _receive(self, seconds: float) -> Answer:
        """Raises TimeoutError when nothing comes in time, EOFError when the process has ended."""
        deadline = time.monotonic() + seconds
        while not self._connection.poll(max(0.0, min(_POLL_SECONDS, deadline - time.monotonic()))):
            # A process that the judge has left behind may hold the other end of the pipe open.
            if self._process is None or (self._process.poll() is not None and not self._connection.poll()):
                raise EOFError
            if time.monotonic() >= deadline:
                raise TimeoutError
        answer: Answer = self._connection.recv()
        return answer

    def _obituary(self) -> str:
        assert self._process is not None
        try:
            status = self._process.wait(_ENDING_SECONDS)
        except subprocess.TimeoutExpired:
            self._end()
            return "closed the connection to its process"
        self._end()
        return f"ended its process ({f'signal {-status}' if status < 0 else f'exit status {status}'})"

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            self._connection.close()
        if self._log is not None:
            self._log.close()
