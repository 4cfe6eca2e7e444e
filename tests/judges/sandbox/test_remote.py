"""The sandbox server and its client, over real sockets on this machine."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import psutil
import pytest

from judges import registry
from judges.errors import JudgesError
from judges.judge import Row
from judges.sandbox import Case, SandboxOptions
from judges.sandbox.remote import QUEUE_SECONDS, RemoteSandbox
from judges.verdict import Outcome

PROGRAM, TESTS = "def f(x): return x + 1", ["assert f(1) == 2"]


@contextmanager
def serving(
    *arguments: str, token: str = "", program: tuple[str, ...] = ("-m", "judges.sandbox.serve")
) -> Iterator[str]:
    process = subprocess.Popen(
        [sys.executable, *program, "--port", "0", "--programs", "1", *arguments],
        env={**os.environ, "JUDGES_SANDBOX_TOKEN": token},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        yield process.stdout.readline().removeprefix("serving on ").strip()
    finally:
        family = psutil.Process(process.pid).children(recursive=True)
        process.terminate()
        process.wait()
        assert psutil.wait_procs(family, timeout=60)[1] == []


def remote(url: str, **options: Any) -> RemoteSandbox:
    return RemoteSandbox(SandboxOptions.parse({"backend": "http", "url": url, "wall_seconds": 5.0, **options}))


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serving("--limits", '{"wall_seconds": 4.0}') as url:
        yield url


def test_programs_run_on_the_server(url: str) -> None:
    sandbox = remote(url)
    assert sandbox.run_tests(PROGRAM, TESTS).outcome is Outcome.SATISFIED
    assert sandbox.run_tests("def f(x): return x", TESTS).outcome is Outcome.VIOLATED
    assert sandbox.run_tests(PROGRAM, ["assert f("]).outcome is Outcome.UNKNOWN
    tests = "def check(candidate): assert candidate(1) == 2"
    assert sandbox.run_tests(PROGRAM, [tests], "f").outcome is Outcome.SATISFIED
    cases = [Case("1\n", "2\n"), Case("5\n", "6\n")]
    assert sandbox.run_cases("print(int(input()) + 1)", cases).outcome is Outcome.SATISFIED
    assert sandbox.run_cases("print(2)", cases).outcome is Outcome.VIOLATED


def test_the_servers_limits_are_a_ceiling(url: str) -> None:
    verdict = remote(url, wall_seconds=60.0).run_tests("import time\ntime.sleep(100)", TESTS)
    assert verdict.outcome is Outcome.VIOLATED
    assert "not done after 4 s" in verdict.reason


def test_a_requests_own_limits_count(url: str) -> None:
    verdict = remote(url, memory_mib=64).run_tests("x = bytearray(200 * 2**20)", TESTS)
    assert verdict.outcome is Outcome.VIOLATED
    assert "MemoryError" in verdict.reason


def test_the_judge_uses_the_server(url: str) -> None:
    judge = registry.create("code", {"sandbox": {"backend": "http", "url": url}})
    assert judge.verdict(Row("?", f"```python\n{PROGRAM}\n```", {"unit_tests": TESTS})).outcome is Outcome.SATISFIED


def test_a_token_is_asked_for_and_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(token="s3cret") as url:
        monkeypatch.delenv("JUDGES_SANDBOX_TOKEN", raising=False)
        verdict = remote(url).run_tests(PROGRAM, TESTS)
        assert verdict.outcome is Outcome.UNKNOWN
        assert "401" in verdict.reason
        monkeypatch.setenv("JUDGES_SANDBOX_TOKEN", "s3cret")
        assert remote(url).run_tests(PROGRAM, TESTS).outcome is Outcome.SATISFIED


def test_no_server_is_unknown() -> None:
    verdict = remote("http://127.0.0.1:9", retries=1).run_tests(PROGRAM, TESTS)
    assert verdict.outcome is Outcome.UNKNOWN
    assert "http://127.0.0.1:9 gave no verdict" in verdict.reason


Answer = Callable[[int], tuple[int, bytes]]


@contextmanager
def answering(answer: Answer) -> Iterator[tuple[str, list[int]]]:
    """A server that gives `answer(n)` to the n-th request, from 0."""
    seen: list[int] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            seen.append(len(seen))
            status, body = answer(seen[-1])
            self.send_response(status)
            if status == 302:
                self.send_header("Location", "http://127.0.0.1:9/run")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}", seen
        server.shutdown()


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (500, b"{}"),
        (503, b"{}"),
        (302, b""),
        (200, b""),
        (200, b"not JSON"),
        (200, b"[]"),
        (200, b'{"verdict": "satisfied"}'),
        (200, b'{"verdict": "not_applicable", "reason": ""}'),
        (200, b'{"verdict": true, "reason": ""}'),
        (200, b'{"verdict": ["satisfied"], "reason": ""}'),
        (200, b"[" * 100_000),
        (200, b'{"verdict": "satisfied", "reason": "' + b"a" * 100_000 + b'"}'),
        (200, b"\xff"),
    ],
)
def test_garbage_is_unknown_after_bounded_attempts(status: int, body: bytes) -> None:
    with answering(lambda n: (status, body)) as (url, seen):
        assert remote(url, retries=1).run_tests(PROGRAM, TESTS).outcome is Outcome.UNKNOWN
        assert len(seen) == 2


def test_a_passing_failure_is_tried_again() -> None:
    good = json.dumps({"verdict": "satisfied", "reason": "fine"}).encode()
    with answering(lambda n: (200, good) if n else (503, b"")) as (url, seen):
        assert remote(url).run_tests(PROGRAM, TESTS).reason == "fine"
        assert len(seen) == 2


@pytest.mark.parametrize(
    "body",
    [b"", b"no JSON", b"[]", b'{"program": 1, "tests": ["x"]}', b'{"program": "x"}', b'{"program": "x", "testz": []}'],
)
def test_malformed_requests_are_refused_and_the_server_goes_on(url: str, body: bytes) -> None:
    import urllib.error
    import urllib.request

    with pytest.raises(urllib.error.HTTPError) as raised:
        urllib.request.urlopen(f"{url}/run", body, timeout=60)
    assert raised.value.code in (400, 413)
    raised.value.close()
    assert remote(url).run_tests(PROGRAM, TESTS).outcome is Outcome.SATISFIED


def test_slow_clients_do_not_keep_others_out() -> None:
    """More connections than are taken, none of which says more than a part of a request."""
    hasty = "import sys\nfrom judges.sandbox import serve\nserve._HEAD_SECONDS = 2.0\nsys.exit(serve.main())"
    with serving("--waiting", "1", token="secret", program=("-c", hasty)) as url:
        host, port = url.removeprefix("http://").split(":")
        slow = [socket.create_connection((host, int(port)), timeout=60) for _ in range(100)]
        for connection in slow:
            with contextlib.suppress(OSError):  # closed at once: one too many
                connection.sendall(b"POST /run HTTP/1.1\r\nX: ")
        # In the end the server closes all of them by itself, and then takes others.
        for connection in slow:
            with contextlib.suppress(ConnectionError):
                assert connection.recv(1) == b""
            connection.close()
        with urllib.request.urlopen(f"{url}/health", timeout=60) as answer:
            assert answer.status == 200


@pytest.mark.parametrize("length", ["9" * 5000, "-1", "0", "x", "１"])
def test_a_length_that_is_none_is_refused(url: str, length: str) -> None:
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        connection.sendall(f"POST /run HTTP/1.1\r\nContent-Length: {length}\r\n\r\n".encode())
        assert connection.recv(1000).startswith(b"HTTP/1.1 400 ")


def test_a_url_with_a_password_is_refused_without_saying_it() -> None:
    with pytest.raises(JudgesError, match="no user or password") as raised:
        remote("http://user:hunter2@127.0.0.1:9")
    assert "hunter2" not in str(raised.value)


def test_waiting_for_the_server_ends_before_the_judge_is_stopped() -> None:
    judge = registry.create("code", {"sandbox": {"backend": "http", "url": "http://127.0.0.1:9"}})
    assert judge.timeout_seconds is not None
    assert judge.timeout_seconds > 2 * (judge.options.wall_seconds + QUEUE_SECONDS)


def test_too_many_waiting_programs_are_sent_away() -> None:
    slow = {"program": "import time\ntime.sleep(2)\ndef f(x): return x + 1"}
    with serving("--waiting", "1") as url:
        outcomes: list[str] = []

        def ask() -> None:
            outcomes.append(remote(url, retries=0, wall_seconds=20.0).run_tests(slow["program"], TESTS).reason)

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
            time.sleep(0.3)
        for thread in threads:
            thread.join()
    assert sorted(outcomes)[:2] == ["1 assertions hold", "1 assertions hold"]
    assert sum("503" in reason for reason in outcomes) == 2


def test_a_server_without_isolation_does_not_start() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "judges.sandbox.serve", "--limits", '{"python": "/nowhere"}'],
        capture_output=True,
        text=True,
    )
    assert result.returncode == 2
    assert "no isolation" in result.stderr
