"""A sandbox server: `python -m judges.sandbox.serve --host 127.0.0.1 --port 8765`.

It runs programs for judges with `sandbox: {backend: http, url: …}`. Connections are taken by threads; a few workers,
each with boxes of its own, run one program at a time, and what finds too many waiting is told to come again (503).
With the environment variable JUDGES_SANDBOX_TOKEN set, requests need `Authorization: Bearer …`. There is no
encryption: beyond one machine, put it behind a proxy that has TLS.
"""

from __future__ import annotations

import argparse
import hmac
import io
import json
import os
import resource
import socket
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Empty, Full, Queue
from typing import Annotated, Any

from judges.command_options import Form, Parser, add_options, read_options
from judges.errors import JudgesError
from judges.number_types import count, natural
from judges.printing import say
from judges.sandbox.box import SandboxError
from judges.sandbox.local import Case, LocalSandbox
from judges.sandbox.options import SandboxOptions
from judges.sandbox.remote import TOKEN_VARIABLE
from judges.verdict import Verdict

MAX_REQUEST_BYTES = 64 * 2**20
_LIMITS = ("wall_seconds", "cpu_seconds", "memory_mib", "processes", "file_mib", "output_kib")
_HEAD_SECONDS = 10.0
"""For a request's line and headers, all together: until then nobody knows whether it may be made."""
_READ_SECONDS = 60.0
"""For all of a request."""
_SPARE_DESCRIPTORS, _DESCRIPTORS_PER_PROGRAM = 64, 16


@dataclass(frozen=True, slots=True)
class Job:
    """One request."""

    program: str
    limits: dict[str, Any]
    tests: list[str]
    entry_point: str
    cases: list[Case]
    by_token: bool

    @classmethod
    def parse(cls, data: bytes) -> Job:
        """Raises ValueError for what is no request."""
        content = json.loads(data)
        if not isinstance(content, dict):
            raise ValueError("a request is a JSON object")
        known = {"program", "limits", "tests", "entry_point", "cases", "by_token"}
        if content.keys() - known:
            raise ValueError(f"unknown keys: {sorted(content.keys() - known)}")
        job = cls(
            content.get("program", ""),
            content.get("limits", {}),
            content.get("tests", []),
            content.get("entry_point", ""),
            [_case(pair) for pair in content.get("cases", [])],
            content.get("by_token", False),
        )
        texts = [job.program, job.entry_point, *job.tests]
        lists = isinstance(job.tests, list) and isinstance(job.limits, dict)
        if not all(isinstance(text, str) for text in texts) or not lists:
            raise ValueError("program, entry_point and tests must be text, limits an object")
        if bool(job.tests) == bool(job.cases):
            raise ValueError("either tests or cases are needed")
        return job


def _case(pair: Any) -> Case:
    if not isinstance(pair, list) or len(pair) != 2 or not all(isinstance(text, str) for text in pair):
        raise ValueError("a case is a list of two texts")
    return Case(*pair)


class Workers:
    """Threads that run programs, each with its boxes.

    Args:
        ceiling: limits that no request exceeds.
        count: programs that run at the same time.
        waiting: requests that may wait for their turn.
    """

    def __init__(self, ceiling: SandboxOptions, count: int, waiting: int) -> None:
        self.ceiling = ceiling
        self._jobs: Queue[tuple[Job, Future[Verdict]]] = Queue(waiting)
        self._stop = threading.Event()
        # The threads live as long as the server: the kernel ends a box with the thread that started it.
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(count)]
        for thread in self._threads:
            thread.start()

    def submit(self, job: Job) -> Future[Verdict]:
        """Queues a job. Raises queue.Full when too many wait."""
        future: Future[Verdict] = Future()
        self._jobs.put_nowait((job, future))
        return future

    def close(self) -> None:
        """Ends threads and boxes after the programs that run now."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        sandboxes: dict[SandboxOptions, LocalSandbox] = {}
        try:
            while not self._stop.is_set():
                try:
                    job, future = self._jobs.get(timeout=0.2)
                except Empty:
                    continue
                future.set_result(self._run(job, sandboxes))
        finally:
            for sandbox in sandboxes.values():
                sandbox.close()

    def _run(self, job: Job, sandboxes: dict[SandboxOptions, LocalSandbox]) -> Verdict:
        try:
            sandbox = self._sandbox(job.limits, sandboxes)
            if job.tests:
                return sandbox.run_tests(job.program, job.tests, job.entry_point)
            return sandbox.run_cases(job.program, job.cases, job.by_token)
        except (JudgesError, SandboxError) as error:
            return Verdict.unknown(str(error))
        except Exception as error:  # noqa: BLE001 - the boundary of a worker: it must go on
            return Verdict.unknown(f"{type(error).__name__}: {error}")

    def _sandbox(self, limits: dict[str, Any], sandboxes: dict[SandboxOptions, LocalSandbox]) -> LocalSandbox:
        """The worker's sandbox for these limits; only the last one is kept."""
        requested = SandboxOptions.parse({name: limits[name] for name in limits if name in _LIMITS}, "the request")
        least = {name: min(getattr(requested, name), getattr(self.ceiling, name)) for name in _LIMITS}
        options = self.ceiling.model_copy(update=least)
        if options not in sandboxes:
            for other in sandboxes.values():
                other.close()
            sandboxes.clear()
            sandboxes[options] = LocalSandbox(options)
        return sandboxes[options]


class Server(ThreadingHTTPServer):
    """The HTTP side.

    Args:
        address: host and port; port 0 takes a free one.
        workers: what runs the programs.
        token: what requests must bear; None: nothing.
        connections: taken at a time; more are closed at once.
    """

    daemon_threads = True

    def __init__(self, address: tuple[str, int], workers: Workers, token: str | None, connections: int = 1000) -> None:
        self.workers, self.token = workers, token
        self._free = threading.BoundedSemaphore(connections)
        super().__init__(address, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Takes a connection, or closes it when there are too many."""
        if not self._free.acquire(blocking=False):
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except RuntimeError:  # no thread can be started
            self._free.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serves one connection, in a thread of its own."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Says in a line what went wrong; a client that is gone is nothing to tell."""
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            say(f"{type(error).__name__}: {error}", file=sys.stderr)


class _Incoming(io.RawIOBase):
    """What a client sends, until a moment. Raises TimeoutError after it, however small the drops are."""

    def __init__(self, connection: socket.socket, seconds: float) -> None:
        self._connection, self.start, self.seconds = connection, time.monotonic(), seconds

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        left = self.start + self.seconds - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._connection.settimeout(left)
        return self._connection.recv_into(buffer)


class _Handler(BaseHTTPRequestHandler):
    server: Server
    timeout = _READ_SECONDS
    protocol_version = "HTTP/1.1"

    def setup(self) -> None:
        super().setup()
        self.rfile.close()
        self._incoming = _Incoming(self.connection, _HEAD_SECONDS)
        self.rfile = io.BufferedReader(self._incoming)

    def do_GET(self) -> None:
        self._answer(200 if self.path == "/health" else 404, {"status": "ok"} if self.path == "/health" else {})

    def do_POST(self) -> None:
        self.close_connection = True  # what is left of a refused request must not be read as the next one
        if self.path != "/run":
            self._answer(404, {"error": "only /run and /health exist"})
        elif not self._may():
            self._answer(401, {"error": "a bearer token is needed"})
        elif self._length() <= 0:
            self._answer(400, {"error": "Content-Length must be a positive number"})
        elif self._length() > MAX_REQUEST_BYTES:
            self._answer(413, {"error": f"Content-Length must be at most {MAX_REQUEST_BYTES}"})
        else:
            self._incoming.seconds = _READ_SECONDS
            self._run(self.rfile.read(self._length()))

    def log_message(self, format: str, *arguments: Any) -> None:
        """Requests are not logged: there are thousands."""

    def _run(self, data: bytes) -> None:
        try:
            future = self.server.workers.submit(Job.parse(data))
        except (ValueError, TypeError, RecursionError) as error:
            self._answer(400, {"error": str(error)})
        except Full:
            self._answer(503, {"error": "too many programs wait"})
        else:
            verdict = future.result()
            self._answer(200, {"verdict": verdict.outcome.value, "reason": verdict.reason})

    def _may(self) -> bool:
        token = self.server.token
        given = self.headers.get("Authorization", "")
        return token is None or hmac.compare_digest(given.encode(), f"Bearer {token}".encode())

    def _length(self) -> int:
        text = self.headers.get("Content-Length", "")
        return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else -1

    def _answer(self, status: int, content: dict[str, Any]) -> None:
        self.connection.settimeout(_READ_SECONDS)
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)


def _connections(programs: int, waiting: int) -> int:
    """As many as may wait and some to refuse, and no more than descriptors allow: boxes need some as well."""
    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = descriptors - _SPARE_DESCRIPTORS - _DESCRIPTORS_PER_PROGRAM * programs
    return max(8, min(programs + waiting + 64, most))


def _json_object(text: str) -> dict[str, Any]:
    value = json.loads(text)
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError(f'must be a JSON object, such as {{"memory_mib": 512}}, not {text!r}')
    return value


@dataclass(frozen=True, slots=True)
class Options:
    """How the server serves."""

    host: Annotated[str, Form(str, "HOST")] = "127.0.0.1"
    """address to listen on; as it stands, this machine only"""
    port: Annotated[int, Form(natural, "N")] = 8765
    """port; 0 takes a free one"""
    programs: Annotated[int, Form(count, "N", default="one for each core")] = os.cpu_count() or 1
    """run at the same time"""
    waiting: Annotated[int, Form(natural, "N")] = 1000
    """requests that may wait; more get a 503"""
    limits: Annotated[dict[str, Any], Form(_json_object, "JSON")] = field(default_factory=dict)
    """sandbox options that no request exceeds"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Serves until it is interrupted. Returns the exit status."""
    parser = Parser(prog="python -m judges.sandbox.serve", description=__doc__.partition("\n")[0])
    add_options(parser, Options)
    options = read_options(parser.parse_args(arguments), Options)
    try:
        ceiling = SandboxOptions.parse({"wall_seconds": 60.0, "cpu_seconds": 60, "memory_mib": 2048, **options.limits})
        LocalSandbox(ceiling)  # refuses to serve where nothing isolates
    except (JudgesError, SandboxError) as error:
        say(error, file=sys.stderr)
        return 2
    workers = Workers(ceiling, options.programs, options.waiting)
    token = os.environ.get(TOKEN_VARIABLE) or None
    connections = _connections(options.programs, options.waiting)
    with Server((options.host, options.port), workers, token, connections) as server:
        say(f"serving on http://{options.host}:{server.server_address[1]}")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            pass
        finally:
            workers.close()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
