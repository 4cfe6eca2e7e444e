"""Runs programs in boxes on this machine and says whether they pass.

For every verdict the program gets a process in namespaces of its own, forked in a nursery that is kept for many
verdicts (where that is not possible: a box of its own). With unit tests another box, kept for many verdicts too, runs
the tests in a forked process; the two talk over a socket that leads from one box to the other, and the verdict comes
from the tests' side over a pipe that the program never had. A program that reads standard input is fed here, and
what it prints is compared here.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from judges.sandbox import box as boxes
from judges.sandbox import nursery
from judges.sandbox.box import Box, Runtime, SandboxError
from judges.sandbox.inside.codec import Channel, CodecError, EndOfChannelError, Reference, decode, encode
from judges.sandbox.nursery import Nursery, Program
from judges.sandbox.options import SandboxOptions
from judges.verdict import Verdict

_GRACE_SECONDS = 2.0
"""Time the tests' process has to report once the program's box is gone."""
_RETRY_SECONDS = 0.1
_NO_MEMORY = "MemoryError"
_REPORT_BYTES = 65536
_OTHER_PROCESSES = 2
"""Processes of bubblewrap itself that a limit on processes counts."""
_TESTS_MEMORY_MIB = 1024
_TESTS_PROCESSES = 64


@dataclass(frozen=True, slots=True)
class Case:
    """What a program reads and should print."""

    stdin: str
    stdout: str


class LocalSandbox:
    """Boxes on this machine. Used by one thread at a time; `close` ends all of them.

    Args:
        options: limits and the way of isolation.

    Raises:
        SandboxError: nothing on this machine isolates.
    """

    def __init__(self, options: SandboxOptions) -> None:
        self.options = options
        self._runtime: Runtime = boxes.runtime(options)
        self._tests: Box | None = None
        self._nursery: Nursery | None = None

    def prepare(self) -> None:
        """Starts the boxes that are kept, so that the first verdict does not wait for them."""
        self._tests_box()
        if self._nests():
            self._running_nursery()

    def close(self) -> None:
        """Ends all boxes."""
        self._drop_tests_box()
        if self._nursery is not None:
            self._nursery.close()
            self._nursery = None

    def run_tests(self, program: str, tests: Sequence[str], entry_point: str = "") -> Verdict:
        """Does `program` pass all `tests` (Python source)? `unknown` when tests or sandbox fail."""
        job = {
            "source": program,
            "tests": list(tests),
            "entry_point": entry_point,
            "budget": self.options.output_kib * 1024,
            "cpu": int(self.options.wall_seconds) + 10,
        }
        return self._attempt(lambda box: self._run_tests(box, encode(job, _no_reference)))

    def run_cases(self, program: str, cases: Sequence[Case], by_token: bool = False) -> Verdict:
        """Does `program` print what it should in every case?

        Args:
            program: the source of a script.
            cases: what it reads and should print; each is a run of its own.
            by_token: compare words and ignore how they are spread over lines.
        """
        return self._attempt(lambda box: self._run_cases(box, program, cases, by_token))

    def _attempt(self, run: Callable[[Box | Program], Verdict]) -> Verdict:
        """Runs in fresh namespaces, again when the sandbox failed."""
        for attempt in range(self.options.retries + 1):
            try:
                with contextlib.closing(self._start()) as box:
                    box.wait_until_ready()
                    return run(box)
            except SandboxError as error:
                failure = error
                time.sleep(_RETRY_SECONDS * 2**attempt)
        return Verdict.unknown(f"the sandbox failed {self.options.retries + 1} times: {failure}")

    # -- boxes -----------------------------------------------------------------------------------------------------

    def _nests(self) -> bool:
        return not self.options.unsafe_subprocess and nursery.works(self._runtime)

    def _start(self) -> Box | Program:
        if self._nests():
            return self._running_nursery().start()
        limits = dict(self.options.limits)
        limits["RLIMIT_NPROC"] += _OTHER_PROCESSES
        return boxes.start(self.options, self._runtime, "candidate", self._enforceable(limits))

    def _running_nursery(self) -> Nursery:
        if self._nursery is not None and not self._nursery.alive:
            self._nursery.close()
            self._nursery = None
        if self._nursery is None:
            self._nursery = Nursery(self.options, self._runtime)
        return self._nursery

    def _tests_box(self) -> Box:
        if self._tests is not None and self._tests.process.poll() is not None:
            self._drop_tests_box()
        if self._tests is None:
            limits = {
                **self.options.limits,
                "RLIMIT_AS": max(self.options.memory_mib, _TESTS_MEMORY_MIB) * 2**20,
                "RLIMIT_NPROC": _TESTS_PROCESSES,
            }
            del limits["RLIMIT_CPU"]  # the server lives long; each job sets its own
            self._tests = boxes.start(self.options, self._runtime, "tests", self._enforceable(limits))
            self._tests.wait_until_ready()
        return self._tests

    def _enforceable(self, limits: dict[str, int]) -> dict[str, int]:
        """Without namespaces a limit on processes counts all of the user's."""
        if not self.options.unsafe_subprocess:
            return limits
        return {name: value for name, value in limits.items() if name != "RLIMIT_NPROC" or os.geteuid() == 0}

    # -- unit tests ------------------------------------------------------------------------------------------------

    def _run_tests(self, box: Box | Program, job: bytes) -> Verdict:
        reading, writing = os.pipe()
        try:
            try:
                self._submit(job, box.connection.fileno(), writing)
            finally:
                os.close(writing)
            box.connection.close()  # only the tests' process holds it now: it ends when that does
            return self._verdict(box, reading)
        finally:
            os.close(reading)

    def _submit(self, job: bytes, channel: int, report: int) -> None:
        tests = self._tests_box()
        try:
            socket.send_fds(tests.connection, [b"j"], [channel, report])
            Channel(tests.connection).send(job)
        except (OSError, EndOfChannelError) as error:
            self._drop_tests_box()
            raise SandboxError(f"the tests' process is gone: {error}") from error

    def _verdict(self, box: Box | Program, reading: int) -> Verdict:
        report = _read_report(reading, self.options.wall_seconds)
        late = report is None
        if late:
            box.kill()
            report = _read_report(reading, _GRACE_SECONDS)
        if report is None:
            return self._stuck_tests()
        outcome, reason, cause = _parsed(report)
        if cause == "gone":
            reason = self._too_slow() if late else _obituary(box.exit_status(_GRACE_SECONDS), self.options)
        if outcome == "violated":
            return Verdict.violated(self._with_limit(reason))
        return Verdict.satisfied(reason) if outcome == "satisfied" else Verdict.unknown(reason)

    def _stuck_tests(self) -> Verdict:
        """The tests' process does not end although the program's is gone: ends it, and asks whose fault it was."""
        tests = self._tests_box()
        try:
            tests.connection.settimeout(_GRACE_SECONDS)
            socket.send_fds(tests.connection, [b"s"], [])
            state = Channel(tests.connection, budget=64).receive()
            tests.connection.settimeout(None)
        except (OSError, EndOfChannelError, CodecError) as error:
            self._drop_tests_box()
            raise SandboxError(f"the tests' process is gone: {error}") from error
        if state == b"\1":
            return Verdict.violated(self._too_slow())
        if state == b"\2":  # a program must not make tests hang to get away undecided
            return Verdict.violated(f"{self._too_slow()}: the tests do not end with the code's answers")
        return Verdict.unknown(f"the tests themselves did not end within {self.options.wall_seconds:g} s")

    def _drop_tests_box(self) -> None:
        if self._tests is not None:
            self._tests.close()
            self._tests = None

    def _with_limit(self, reason: str) -> str:
        """The reason, with the limit behind it where it is a lack of memory."""
        return f"memory limit {self.options.memory_mib} MiB (memory_mib): {reason}" if _NO_MEMORY in reason else reason

    def _too_slow(self) -> str:
        return f"time limit: not done after {self.options.wall_seconds:g} s (wall_seconds)"

    # -- programs that read and print ------------------------------------------------------------------------------

    def _run_cases(self, box: Box | Program, program: str, cases: Sequence[Case], by_token: bool) -> Verdict:
        deadline = time.monotonic() + self.options.wall_seconds
        limit = self.options.output_kib * 1024
        channel = Channel(_Timed(box.connection, deadline))
        for number, case in enumerate(cases, 1):
            if len(case.stdin) > self.options.file_mib * 2**20 // 4:  # a character takes up to four bytes
                return Verdict.unknown(
                    f"case {number}: the input may not fit into {self.options.file_mib} MiB (file_mib)"
                )
            channel.budget = limit + 10_000
            try:
                channel.send(encode(("program", program, case.stdin, limit), _no_reference))
                status, printed, error = _ran(decode(channel.receive(), _no_object))
            except TimeoutError:
                return Verdict.violated(f"case {number}: {self._too_slow()}")
            except EndOfChannelError:
                return Verdict.violated(f"case {number}: {_obituary(box.exit_status(_GRACE_SECONDS), self.options)}")
            except CodecError:
                return Verdict.violated(f"case {number}: the answer cannot be read")
            problem = self._problem(status, printed, error, case, by_token)
            if problem:
                return Verdict.violated(f"case {number}: {problem}")
        return Verdict.satisfied("1 case right" if len(cases) == 1 else f"{len(cases)} cases right")

    def _problem(self, status: int, printed: bytes, error: str, case: Case, by_token: bool) -> str:
        """Why one run is wrong; empty when it is right."""
        if status:
            ended = _obituary(128 - status if status < 0 else status, self.options)
            return self._with_limit(error or ended)
        if len(printed) > self.options.output_kib * 1024:
            return f"output limit: more than {self.options.output_kib} KiB printed (output_kib)"
        got, expected = (_comparable(text, by_token) for text in (printed.decode(errors="replace"), case.stdout))
        if got == expected:
            return ""
        line = next((n for n, pair in enumerate(zip(got, expected, strict=False)) if pair[0] != pair[1]), None)
        if line is None:
            return f"{len(got)} {'words' if by_token else 'lines'} printed instead of {len(expected)}"
        return f"printed {_short(got[line])} instead of {_short(expected[line])}"


class _Timed:
    """A socket whose every operation ends at one deadline. Raises TimeoutError."""

    def __init__(self, connection: socket.socket, deadline: float) -> None:
        self._connection, self._deadline = connection, deadline

    def _limit(self) -> socket.socket:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._connection.settimeout(left)
        return self._connection

    def recv(self, count: int) -> bytes:
        return self._limit().recv(count)

    def sendall(self, data: bytes) -> None:
        self._limit().sendall(data)


def _read_report(reading: int, seconds: float) -> bytes | None:
    """The report, empty when the tests' process died without one; None when neither happened in time."""
    deadline = time.monotonic() + seconds
    data = b""
    poll = select.poll()
    poll.register(reading, select.POLLIN)
    while len(data) < _REPORT_BYTES:
        if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
            return None
        part = os.read(reading, _REPORT_BYTES)
        if not part:
            break
        data += part
    return data


def _parsed(report: bytes) -> tuple[str, str, str]:
    if not report:
        return "unknown", "the tests' process died", ""
    try:
        content = decode(report, _no_object)
    except CodecError as error:
        raise SandboxError(f"the tests' report cannot be read: {error}") from error
    if type(content) is not tuple or len(content) != 3 or not all(type(part) is str for part in content):
        raise SandboxError("the tests' report cannot be read")
    return content


def _ran(answer: Any) -> tuple[int, bytes, str]:
    if type(answer) is tuple and len(answer) == 4 and answer[0] == "ran":
        _, status, printed, error = answer
        if type(status) is int and type(printed) is bytes and type(error) is str:
            return status, printed, error
    raise CodecError("no answer")


def _obituary(status: int | None, options: SandboxOptions) -> str:
    """What a program died of, from its exit status."""
    if status is None:
        return "the program closed its channel"
    if status == 128 + signal.SIGXCPU:
        return f"CPU limit: more than {options.cpu_seconds} s (cpu_seconds)"
    if status > 128 and status - 128 in list(signal.Signals):
        return f"the program was ended by {signal.Signals(status - 128).name}"
    return f"the program ended itself with exit status {status}"


def _comparable(text: str, by_token: bool) -> list[str]:
    """What counts: words; or lines without blanks at their ends and without empty lines at the end."""
    if by_token:
        return text.split()
    return [line.rstrip() for line in text.rstrip().split("\n")]


def _short(text: str) -> str:
    return repr(text if len(text) <= 80 else text[:79] + "…")


def _no_reference(value: Any) -> Reference:
    raise CodecError(f"{type(value).__name__} is no plain data")


def _no_object(reference: Reference) -> Any:
    raise CodecError("a reference where there is none")
