"""Worker processes for rule judges: a judge that hangs, crashes or exits costs one `unknown` verdict, nothing else.

Each worker is a fresh interpreter with a connection of its own to the thread that manages it:
- never a fork, because the training process holds the threads of torch and vLLM;
- never `multiprocessing`'s start methods, because they import the caller's main module again in every worker
  (seconds and hundreds of megabytes where that module imports torch), and pools built on them share a queue whose
  lock dies with a killed worker;
- one thread a worker, so that a time limit counts from the moment the judge starts on the row: neither waiting in
  the queue nor making the judge counts, and killing one worker touches no other.
"""

from __future__ import annotations

import itertools
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import Future
from dataclasses import replace
from queue import SimpleQueue
from typing import IO, Any, Self

from judges import registry
from judges.errors import JudgesError
from judges.judge import Row
from judges.running.boundary import readable
from judges.running.messages import MAX_ANSWER_BYTES, NoMessageError, packed, received
from judges.running.worker import Answer, Ready, Task
from judges.spec import JudgeSpec
from judges.verdict import Cost, Verdict

CREATION_SECONDS = 120.0
"""Time a worker has to start and to make a judge (imports from a cold disk) before that counts as a failure."""
_CHECK_SECONDS = 0.5
_LOG_BYTES = 65536
_CLOSED = "not judged: the worker processes were closed"
_PROGRAM = "import sys; sys.path[:] = {path!r}; from judges.running.worker import main; main({fd}, {parent}, {memory})"


class JudgeWorkers:
    """A pool of worker processes. Use it as a context manager; leaving it ends all processes.

    Args:
        processes: number of workers; default: one less than the processors this process may use, 1 to 8. They
            start when they are first needed.
        memory_gib: address space of one worker in GiB, against judges that hostile text sends into huge
            allocations; None: no limit (plugins that load models).
    """

    def __init__(self, processes: int | None = None, *, memory_gib: float | None = 4.0) -> None:
        if processes is None:
            processes = max(1, min(8, _processors() - 1))
        if processes < 1:
            raise JudgesError(f"the number of worker processes must be at least 1, not {processes}")
        if memory_gib is not None and not memory_gib > 0:
            raise JudgesError(f"memory_gib must be above 0, not {memory_gib}")
        self.processes = processes
        self._memory_bytes = None if memory_gib is None else int(memory_gib * 2**30)
        self._tasks: SimpleQueue[tuple[Task, float, Future[Verdict]] | None] = SimpleQueue()
        self._numbers = itertools.count()
        self._timeouts: dict[JudgeSpec, float] = {}
        self._lock = threading.Lock()
        self._workers: list[_Worker] = []
        self._threads: list[threading.Thread] = []
        self._unfinished = 0
        self._closed = False

    def submit(self, spec: JudgeSpec, row: Row) -> Future[Verdict]:
        """Judges one row. The future never holds an exception: every failure is an `unknown` verdict.

        Raises:
            RuntimeError: the pool is closed.
        """
        future: Future[Verdict] = Future()
        try:
            timeout = self._timeout(spec)
        except JudgesError as error:
            future.set_result(Verdict.unknown(readable(str(error))))
            return future
        with self._lock:
            if self._closed:
                raise RuntimeError("these judge workers are closed")
            self._unfinished += 1
            self._tasks.put((Task(next(self._numbers), spec, row), timeout, future))
            if self._unfinished > len(self._threads) < self.processes:
                self._start_thread()
        return future

    def close(self) -> None:
        """Ends all workers now. Rows not judged yet get `unknown`."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            threads, workers = list(self._threads), list(self._workers)
        for worker in workers:
            worker.kill()
        for _ in threads:
            self._tasks.put(None)
        current = threading.current_thread()
        for thread in threads:
            if thread is not current:  # a future's callback may close the pool
                thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _timeout(self, spec: JudgeSpec) -> float:
        if spec not in self._timeouts:
            self._timeouts[spec] = registry.timeout(spec)
        return self._timeouts[spec]

    def _start_thread(self) -> None:
        worker = _Worker(self._memory_bytes)
        thread = threading.Thread(target=self._serve, args=(worker,), name="judge-worker", daemon=True)
        self._workers.append(worker)
        self._threads.append(thread)
        thread.start()

    def _serve(self, worker: _Worker) -> None:
        """A worker's thread: takes tasks one by one until the pool is closed."""
        while (item := self._tasks.get()) is not None:
            task, timeout, future = item
            wanted = future.set_running_or_notify_cancel()
            verdict = Verdict.unknown(_CLOSED)
            if wanted and not self._closed:
                verdict = worker.judge(task, timeout)
            with self._lock:
                self._unfinished -= 1
            if wanted:
                future.set_result(verdict)
        worker.kill()


class _Worker:
    """One worker process, replaced when it had to be killed or died. Used by one thread; `kill` by any."""

    def __init__(self, memory_bytes: int | None) -> None:
        self._memory_bytes = memory_bytes
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._log: IO[bytes] | None = None
        self._closed = False

    def judge(self, task: Task, timeout: float) -> Verdict:
        """The process's verdict on one row. After a failure the process is ended; the next row starts another."""
        try:
            return self._ask(task, timeout)
        except _TooLateError as error:
            verdict = replace(Verdict.unknown(str(error)), cost=Cost(timeout))
        except Exception as error:  # noqa: BLE001 - whatever befell the process, its thread must go on
            verdict = Verdict.unknown(self._obituary(error))
        self._end_process()
        return verdict

    def kill(self) -> None:
        """Ends the process and lets no new one start."""
        with self._lock:
            self._closed = True
            if self._process is not None:
                self._process.kill()
                self._process.wait()

    def _ask(self, task: Task, timeout: float) -> Verdict:
        try:
            message = packed(task)
        except Exception as error:  # noqa: BLE001 - metadata may hold any object; this row's is no data
            return Verdict.unknown(readable(f"the row cannot be sent to a worker process: {error}"))
        if self._process is None:
            self._start()
        self._send(message)
        ready = self._receive(CREATION_SECONDS, f"worker or judge not ready after {CREATION_SECONDS:g} s")
        started = time.monotonic()
        answer = self._receive(timeout, f"timed out after {timeout:g} s")
        self._trim_log()
        if ready != Ready(task.number) or not isinstance(answer, Answer) or answer.number != task.number:
            raise NoMessageError("the worker's answer is not that to the row it was given")
        return replace(answer.verdict, cost=Cost(time.monotonic() - started))

    def _send(self, message: bytes) -> None:
        """Sends within the time that a worker has to be ready."""
        self._connection.settimeout(CREATION_SECONDS)
        try:
            self._connection.sendall(message)
        except TimeoutError:
            raise _TooLateError(f"worker not ready after {CREATION_SECONDS:g} s") from None

    def _receive(self, seconds: float, too_late: str) -> Any:
        """A whole message, in time."""
        deadline = time.monotonic() + seconds
        return received(lambda count: self._part(count, deadline, too_late), MAX_ANSWER_BYTES)

    def _part(self, count: int, deadline: float, too_late: str) -> bytes:
        """Some bytes. Looks at the process too: another child of ours may hold its end of the connection open."""
        gone = False
        while True:
            left = deadline - time.monotonic()
            if left < -_CHECK_SECONDS:  # it drips
                raise _TooLateError(too_late)
            self._connection.settimeout(max(0.001, min(_CHECK_SECONDS, left)))
            try:
                return self._connection.recv(count)
            except TimeoutError:
                if gone or self._process is None:
                    raise EOFError from None
                gone = self._process.poll() is not None  # what it sent before is still read, once more round
            if left <= 0:
                raise _TooLateError(too_late)

    def _start(self) -> None:
        ours, theirs = socket.socketpair()
        self._log = tempfile.TemporaryFile(mode="a+b")  # noqa: SIM115 - lives as long as the process
        program = _PROGRAM.format(path=sys.path, fd=theirs.fileno(), parent=os.getpid(), memory=self._memory_bytes)
        with self._lock, theirs:
            if self._closed:
                raise EOFError
            self._process = subprocess.Popen(
                [sys.executable, "-c", program],
                stdin=subprocess.DEVNULL,
                stdout=self._log,
                stderr=self._log,
                pass_fds=[theirs.fileno()],
                env={**os.environ, "PYTHONHASHSEED": "0"},  # the same order of sets in every worker
            )
        self._connection = ours

    def _end_process(self) -> None:
        with self._lock:
            process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            self._connection.close()
        if self._log is not None:
            self._log.close()

    def _obituary(self, error: Exception) -> str:
        """Why the process is gone, with the last line it wrote."""
        if self._closed:
            return _CLOSED
        if self._process is None:
            return f"cannot start a worker process: {type(error).__name__}: {error}"
        try:
            status = self._process.wait(_CHECK_SECONDS)
        except subprocess.TimeoutExpired:
            return f"lost the connection to the worker: {type(error).__name__}: {error}"
        how = f"signal {-status}" if status < 0 else f"exit status {status}"
        return readable(f"the worker process died ({how}){self._last_words()}")

    def _last_words(self) -> str:
        if self._log is None:
            return ""
        self._log.seek(0)
        lines = self._log.read().decode(errors="replace").strip().splitlines()
        return f": {lines[-1]}" if lines else ""

    def _trim_log(self) -> None:
        """What judges print is kept only for `_obituary`."""
        if self._log is not None and os.fstat(self._log.fileno()).st_size > _LOG_BYTES:
            os.ftruncate(self._log.fileno(), 0)


class _TooLateError(Exception):
    """A message did not come in time."""


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
