"""Rewards that a server computes, against real servers that answer well, badly, late or not at all."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from pydantic import ValidationError
from small_models import prompt

from cgpo.errors import ConfigError
from cgpo.rewards.http_server import HttpReward, HttpSettings
from cgpo.rewards.vllm_server import VllmServerReward, VllmServerSettings

Reply = tuple[int, Any] | tuple[int, Any, dict[str, str]]
"""Status, content (bytes as they are, anything else as JSON), headers."""


class Asked:
    """What a server was asked, and the most requests it had at once."""

    def __init__(self) -> None:
        self.bodies: list[Any] = []
        self.headers: list[dict[str, str]] = []
        self.most_at_once = 0
        self._now = 0
        self._lock = threading.Lock()

    def enter(self, body: Any, headers: dict[str, str]) -> None:
        with self._lock:
            self.bodies.append(body)
            self.headers.append(headers)
            self._now += 1
            self.most_at_once = max(self.most_at_once, self._now)

    def leave(self) -> None:
        with self._lock:
            self._now -= 1


@contextmanager
def serving(answer: Callable[[str, Any], Reply]) -> Iterator[tuple[str, Asked]]:
    """A server whose every POST is answered by `answer(path, body)`; its address, and what it was asked."""
    asked = Asked()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            asked.enter(body, dict(self.headers))
            try:
                status, content, *headers = answer(self.path, body)
            finally:
                asked.leave()
            data = content if isinstance(content, bytes) else json.dumps(content).encode()
            try:
                self.send_response(status)
                for key, value in (headers[0] if headers else {}).items():
                    self.send_header(key, value)
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)
            except OSError:
                pass  # the client gave up

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


def lengths(_: str, body: Any) -> Reply:
    return 200, {"scores": [float(len(text)) for text in body["responses"]]}


def http(address: str, **settings: Any) -> HttpReward:
    asked = {"url": f"{address}/score", "backoff_seconds": 0.01, "retries": 1, **settings}
    return HttpReward(HttpSettings.model_validate({"type": "http", **asked}), "far")


def score(reward: Any, *responses: str) -> list[float | None]:
    return reward.score([prompt("Hi")] * len(responses), list(responses))  # type: ignore[no-any-return]


def test_scores_come_in_order_batch_by_batch() -> None:
    def slow_first(path: str, body: Any) -> Reply:
        if body["responses"][0] == "a":
            time.sleep(0.2)  # the first batch is answered last
        return lengths(path, body)

    texts = ["a", "bb", "ccc", "dddd", "eeeee"]
    with serving(slow_first) as (address, asked):
        assert score(http(address, batch_size=2), *texts) == [1.0, 2.0, 3.0, 4.0, 5.0]
    assert sorted(len(body["responses"]) for body in asked.bodies) == [1, 2, 2]
    assert asked.bodies[0]["prompts"][0] == [{"role": "user", "content": "Hi"}]


def test_no_responses_ask_nobody() -> None:
    assert score(http("http://127.0.0.1:9")) == []


BAD = {
    "half of the batch": (200, {"scores": [1.0]}, "answered 2 responses with 1 scores"),
    "too many": (200, {"scores": [1.0, 2.0, 3.0]}, "answered 2 responses with 3 scores"),
    "no scores": (200, {"rewards": [1.0, 2.0]}, "not of the form"),
    "a list": (200, [1.0, 2.0], "not of the form"),
    "no JSON": (200, b"<html>busy</html>", "no JSON"),
    "deep JSON": (200, b"[" * 100_000, "no JSON"),
    "nothing": (200, b"", "no JSON"),
    "endless": (200, b" " * 2_000_000, "longer than 1 MiB"),
    "not found": (404, {"detail": "no such path"}, "HTTP 404.*no such path"),
    "broken": (500, {"detail": "out of memory"}, "HTTP 500.*out of memory"),
    "busy": (429, {"detail": "slow down"}, "HTTP 429"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_reply_is_missing_and_says_why(case: str) -> None:
    status, content, reason = BAD[case]
    with serving(lambda *_: (status, content)) as (address, _):
        reward = http(address)
        assert score(reward, "a", "b") == [None, None]
    ((said, count),) = reward.take_notes().reasons.items()
    assert count == 2
    assert re.search(reason, said), said
    assert not reward.take_notes().reasons


def test_single_scores_that_are_none() -> None:
    content = b'{"scores": [1.5, null, NaN, Infinity, "2", true, 1e999, 3]}'
    with serving(lambda *_: (200, content)) as (address, _):
        reward = http(address)
        assert score(reward, *"abcdefgh") == [1.5, None, None, None, None, None, None, 3.0]
    reasons = reward.take_notes().reasons
    assert sum(reasons.values()) == 6
    assert reasons["the server gave null in place of a score"] == 1


def test_a_redirect_is_not_followed() -> None:
    with serving(lengths) as (elsewhere, stolen):
        answer = lambda *_: (307, {}, {"location": f"{elsewhere}/score"})  # noqa: E731
        with serving(answer) as (address, _):
            reward = http(address)
            assert score(reward, "a") == [None]
    assert not stolen.bodies
    assert "HTTP 307" in next(iter(reward.take_notes().reasons))


def test_a_server_that_fails_once_is_asked_again() -> None:
    replies = iter([(503, {}), (200, b"{"), (200, {"scores": [4.0]})])
    with serving(lambda *_: next(replies)) as (address, asked):
        assert score(http(address, retries=2), "a") == [4.0]
    assert len(asked.bodies) == 3


def test_a_hanging_server_costs_its_time_limit_once() -> None:
    released = threading.Event()

    def hang(*_: Any) -> Reply:
        released.wait(300)
        return 200, {"scores": [1.0]}

    with serving(hang) as (address, asked):
        reward = http(address, batch_size=1, max_concurrency=4, give_up_after=4, timeout_seconds=0.5, retries=0)
        started = time.monotonic()
        assert score(reward, *"abcdefghijklmnopqrstuvwxyz") == [None] * 26
        took = time.monotonic() - started
        released.set()
    assert took < 10  # 26 requests, one after the other, would take 13 s
    assert len(asked.bodies) < 10
    reasons = reward.take_notes().reasons
    assert any("timed out after 0.5 s" in reason for reason in reasons)
    assert any("in a row failed" in reason for reason in reasons)


def test_nobody_listens() -> None:
    with serving(lengths) as (address, _):
        pass
    reward = http(address, retries=0)
    assert score(reward, "a") == [None]
    assert address in next(iter(reward.take_notes().reasons))


def test_the_key_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REWARD_KEY", "s3cret")
    with serving(lengths) as (address, asked):
        assert score(http(address, api_key_env="REWARD_KEY"), "abc") == [3.0]
    assert asked.headers[0]["Authorization"] == "Bearer s3cret"
    monkeypatch.delenv("REWARD_KEY")
    with pytest.raises(ConfigError, match=r"rewards\.far\.api_key_env: the environment variable REWARD_KEY is not set"):
        http("http://x", api_key_env="REWARD_KEY")


@pytest.mark.parametrize("status", [200, 401, 503])
def test_a_key_that_the_server_repeats_is_said_nowhere(monkeypatch: pytest.MonkeyPatch, status: int) -> None:
    monkeypatch.setenv("REWARD_KEY", "s3cret-s3cret")
    # Long enough before it that a cut would go through the key.
    reply = {"detail": "x" * (272 - len('{"detail": "')) + " unknown key s3cret-s3cret"}
    with serving(lambda *_: (status, reply)) as (address, _):
        reward = http(address, api_key_env="REWARD_KEY", retries=0)
        assert score(reward, "a") == [None]
        (said,) = reward.take_notes().reasons
        assert "s3c" not in said
    with serving(lambda *_: (200, {"scores": ["key s3cret-s3cret"]})) as (address, _):
        reward = http(address, api_key_env="REWARD_KEY", retries=0)
        assert score(reward, "a") == [None]
        (said,) = reward.take_notes().reasons
        assert "s3c" not in said


def test_a_reason_is_one_line_without_control_characters() -> None:
    with serving(lambda *_: (400, b"no\n\n\x1b[31mred\x07")) as (address, _):
        reward = http(address)
        assert score(reward, "a") == [None]
    assert reward.take_notes().reason == "HTTP 400: no \\x1b[31mred\\x07"


def test_requests_at_once_are_bounded() -> None:
    def answer(path: str, body: Any) -> Reply:
        time.sleep(0.05)
        return lengths(path, body)

    with serving(answer) as (address, asked):
        score(http(address, batch_size=1, max_concurrency=3), *"abcdefghi")
    assert 1 < asked.most_at_once <= 3


def test_any_text_can_be_sent() -> None:
    with serving(lengths) as (address, asked):
        assert score(http(address), "NUL \x00 and \udc80 lone 😀") == [18.0]
    assert asked.bodies[0]["responses"] == ["NUL \x00 and ? lone 😀"]


def vllm(address: str, **settings: Any) -> VllmServerReward:
    asked = {"base_url": address, "model": "rm", "retries": 0, **settings}
    return VllmServerReward(VllmServerSettings.model_validate({"type": "vllm_server", **asked}), "far")


def test_classify_sends_conversations_and_reads_raw_outputs() -> None:
    def classify(path: str, body: Any) -> Reply:
        assert path == "/classify"
        assert body["use_activation"] is False
        length = len(body["messages"][-1]["content"])
        return 200, {"data": [{"index": 0, "label": "a", "probs": [-1.0, float(length)], "num_classes": 2}]}

    with serving(classify) as (address, asked):
        reward = vllm(address, output=1, truncate_tokens=64)
        assert score(reward, "a", "bbb") == [1.0, 3.0]
        assert score(vllm(address, output=2), "a") == [None]
    assert asked.bodies[0]["messages"][0] == {"role": "user", "content": "Hi"}
    assert asked.bodies[0]["messages"][1]["role"] == "assistant"
    assert (asked.bodies[0]["truncate_prompt_tokens"], asked.bodies[0]["truncation_side"]) == (64, "left")


def test_score_sends_pairs_and_minds_the_index() -> None:
    def scored(path: str, body: Any) -> Reply:
        assert path == "/score"
        data = [{"index": i, "score": float(len(text))} for i, text in enumerate(body["text_2"])]
        return 200, {"data": data[::-1]}

    with serving(scored) as (address, asked):
        assert score(vllm(address, endpoint="score"), "a", "bb", "ccc") == [1.0, 2.0, 3.0]
    assert asked.bodies[0]["text_1"] == ["Hi"] * 3
    twice = {"data": [{"index": 0, "score": 1.0}, {"index": 0, "score": 2.0}]}
    with serving(lambda *_: (200, twice)) as (address, _):
        assert score(vllm(address, endpoint="score"), "a", "bb") == [None, None]


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("localhost:5000", "of the form"),
        ("ftp://host/score", "of the form"),
        ("http://", "of the form"),
        ("http://host:99999/", "Port"),
        ("http://[::1", "IPv6"),
        ("http://a b/", "of the form"),
        ("http://host/score\n", "of the form"),
        (f"http://{'a' * 70}.com/", "too long"),
        ("http://me:s3cret@host/score", "api_key_env"),
    ],
)
def test_an_address_that_cannot_be_asked(address: str, said: str) -> None:
    for settings, field in ((HttpSettings, "url"), (VllmServerSettings, "base_url")):
        with pytest.raises(ValidationError, match=said) as caught:
            settings.model_validate({field: address, **({"model": "m"} if field == "base_url" else {})})
        assert caught.value.errors()[0]["loc"] == (field,)


@pytest.mark.parametrize("address", ["http://10.0.0.5:5000/score?v=1", "https://[::1]:8000/a", "http://exämple.org"])
def test_an_address_that_can_be_asked(address: str) -> None:
    assert HttpSettings(url=address).url == address
