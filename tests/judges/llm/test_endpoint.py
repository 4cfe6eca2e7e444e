"""A model's server that fails: what is tried again, what is bounded, and what becomes of the verdict."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import wait
from typing import Any

import pytest

from judges import Outcome, Row, Verdict
from judges.running.runtime import JudgeRuntime
from judges.spec import JudgeSpec

from .conftest import HANG_UP, ScriptedServer, likeliest

GOOD = likeliest(("No", -0.1), ("Yes", -3.0))


@pytest.fixture
def runtime() -> Iterator[JudgeRuntime]:
    with JudgeRuntime(1) as running:
        yield running


def spec(server: ScriptedServer, *, timeout: float = 20.0, **llm: Any) -> JudgeSpec:
    settings = {"model": "m", "base_url": server.url, "backoff_seconds": 0.01, **llm}
    return JudgeSpec("false_refusal", {"llm": settings, "timeout_seconds": timeout})


def ask(runtime: JudgeRuntime, judge: JudgeSpec) -> Verdict:
    return runtime.submit(judge, Row("p", "r")).result(60)


@pytest.mark.parametrize(
    "failure", [429, 500, 503, 408, HANG_UP, b"{not json", b"", (429, {"Retry-After": "0"})], ids=repr
)
def test_a_passing_failure_is_tried_again(runtime, server, failure: Any) -> None:
    server.script = [failure, failure, GOOD]
    verdict = ask(runtime, spec(server))
    assert verdict.outcome is Outcome.SATISFIED, verdict.reason
    assert len(server.bodies) == 3


@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        (500, "HTTP 500"),
        (429, "HTTP 429"),
        (HANG_UP, "ServerDisconnectedError"),
        (b"<html>", "no JSON"),
        (b"[" * 100_000, "no JSON"),
    ],
)
def test_a_lasting_failure_is_unknown_after_the_attempts(runtime, server, failure: Any, reason: str) -> None:
    server.script = [failure]
    verdict = ask(runtime, spec(server, retries=2))
    assert verdict.outcome is Outcome.UNKNOWN
    assert reason in verdict.reason
    assert len(server.bodies) == verdict.cost.calls == 3


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
def test_what_the_server_refuses_is_not_tried_again(runtime, server, status: int) -> None:
    server.script = [status]
    verdict = ask(runtime, spec(server))
    assert verdict.outcome is Outcome.UNKNOWN
    assert f"HTTP {status}" in verdict.reason
    assert len(server.bodies) == 1


def without(*path: Any) -> dict[str, Any]:
    reply = likeliest(("No", -0.1), ("Yes", -3.0))
    at = reply
    for key in path[:-1]:
        at = at[key]
    del at[path[-1]]
    return reply


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        ({}, "malformed reply"),
        ({"choices": []}, "malformed reply"),
        ({"choices": "no"}, "malformed reply"),
        ({"error": "overloaded"}, "malformed reply"),
        (b"[]", "malformed reply"),
        (b"null", "malformed reply"),
        (without("choices", 0, "logprobs"), "no log-probabilities"),
        ({"choices": [{"logprobs": None}]}, "no log-probabilities"),
        ({"choices": [{"logprobs": {"content": []}}]}, "no log-probabilities"),
        (without("choices", 0, "logprobs", "content", 0, "top_logprobs"), "malformed reply"),
        (likeliest(("Hm", -0.1), ("Ah", -3.0)), "neither 'No' nor 'Yes'"),
        (likeliest(("No", 0.7), ("Yes", -3.0)), "malformed reply"),
        (likeliest(("No", -0.1), (" No", -0.1), ("Yes", -3.0)), "add up to 1.859"),
        (likeliest(("No", -0.1), ("Yes", -3.0), total=10**4200), "malformed reply"),
        (b"[" + b"1," * 2**20 + b"1]", "longer than 1 MiB"),
        (b'{"choices": [{"logprobs": {"content": [{"token": "No", "logprob": NaN, "top_logprobs": []}]}}]}', "malfo"),
    ],
)  # fmt: skip
def test_a_reply_that_cannot_be_used_is_unknown(runtime, server, reply: Any, reason: str) -> None:
    server.script = [reply]
    verdict = ask(runtime, spec(server))
    assert verdict.outcome is Outcome.UNKNOWN
    assert reason in verdict.reason
    assert verdict.score is None


def test_a_slow_answer_ends_at_the_time_limit_with_what_went_before(runtime, server) -> None:
    server.script = [500, [100.0, GOOD]]
    started = time.monotonic()
    verdict = ask(runtime, spec(server, timeout=3.0))
    assert verdict.outcome is Outcome.UNKNOWN
    assert "timed out after 3 s; the last attempt: HTTP 500" in verdict.reason
    assert time.monotonic() - started < 60


def test_a_slow_attempt_is_tried_again(runtime, server) -> None:
    server.script = [[30.0, GOOD], GOOD]
    assert ask(runtime, spec(server, request_seconds=2.0)).outcome is Outcome.SATISFIED


def test_no_server_at_all_is_unknown(runtime) -> None:
    nowhere = ScriptedServer(url="http://127.0.0.1:9/v1")
    verdict = ask(runtime, spec(nowhere, retries=1))
    assert verdict.outcome is Outcome.UNKNOWN
    assert "127.0.0.1:9" in verdict.reason


def test_no_more_requests_at_once_than_allowed_and_waiting_is_not_judging(runtime, server) -> None:
    server.script = [[0.4, GOOD]]
    judge = spec(server, timeout=3.0, max_concurrency=3)  # 24 × 0.4 s / 3 = 3.2 s in all
    futures = [runtime.submit(judge, Row("p", f"r{i}")) for i in range(24)]
    verdicts = [f.result(60) for f in futures]
    assert {v.outcome for v in verdicts} == {Outcome.SATISFIED}
    assert server.most <= 3
    assert all(0.4 <= v.cost.seconds < 3.0 and v.cost.calls == 1 for v in verdicts)


def test_judges_of_one_endpoint_share_its_limit(runtime, server) -> None:
    server.script = [[0.05, likeliest(("No", -0.1), ("Safe", -3.0))]]
    settings = {"model": "m", "base_url": server.url, "max_concurrency": 2}
    judges = [JudgeSpec(name, {"llm": settings}) for name in ("false_refusal", "safety")]
    futures = [runtime.submit(judge, Row("p", f"r{i}")) for i in range(8) for judge in judges]
    wait(futures, 60)
    assert server.most <= 2


def test_requests_start_no_faster_than_the_rate(runtime, server) -> None:
    server.script = [GOOD]
    judge = spec(server, requests_per_second=20, timeout=2.0)
    futures = [runtime.submit(judge, Row("p", f"r{i}")) for i in range(51)]
    assert {f.result(60).outcome for f in futures} == {Outcome.SATISFIED}
    assert server.arrivals[-1] - server.arrivals[0] >= 2.4  # 50 intervals of 50 ms; the limit of 2 s is each one's own


def test_the_key_comes_from_the_environment_and_is_never_shown(runtime, server, monkeypatch) -> None:
    judge = spec(server, api_key_env="JUDGE_KEY", retries=0)
    monkeypatch.delenv("JUDGE_KEY", raising=False)
    assert "JUDGE_KEY is not set" in ask(runtime, judge).reason
    monkeypatch.setenv("JUDGE_KEY", "s3cret")
    with JudgeRuntime(1) as fresh:
        server.script = [401]
        verdict = ask(fresh, judge)
    assert server.headers[-1]["Authorization"] == "Bearer s3cret"
    assert "s3cret" not in repr(verdict)


def test_closing_answers_what_is_under_way(server) -> None:
    server.script = [[30.0, GOOD]]
    with JudgeRuntime(1) as runtime:
        futures = [runtime.submit(spec(server), Row("p", f"r{i}")) for i in range(4)]
        while not server.bodies:
            time.sleep(0.01)
    assert {f.result(60).outcome for f in futures} == {Outcome.UNKNOWN}
    with pytest.raises(RuntimeError, match="closed"):
        runtime.submit(spec(server), Row("p", "r"))


def test_an_endpoint_that_is_down_is_left_alone_for_a_while(runtime, server) -> None:
    server.script = [503]
    judge = spec(server, retries=0, give_up_after=3, max_concurrency=1)
    verdicts = [f.result(60) for f in [runtime.submit(judge, Row("p", f"r{i}")) for i in range(20)]]
    assert {v.outcome for v in verdicts} == {Outcome.UNKNOWN}
    assert len(server.bodies) == 3
    assert verdicts[-1].reason.startswith("not asked, because 3 requests in a row failed. The last one: HTTP 503")


def test_single_failures_between_answers_do_not_count_as_down(runtime, server) -> None:
    server.script = [503, GOOD] * 20
    judge = spec(server, retries=0, give_up_after=2, max_concurrency=1)
    verdicts = [f.result(60) for f in [runtime.submit(judge, Row("p", f"r{i}")) for i in range(20)]]
    assert len(server.bodies) == 20
    assert [v.outcome for v in verdicts].count(Outcome.SATISFIED) == 10


def test_a_refused_row_does_not_count_as_down(runtime, server) -> None:
    server.script = [400]
    judge = spec(server, give_up_after=2, max_concurrency=1)
    verdicts = [f.result(60) for f in [runtime.submit(judge, Row("p", f"r{i}")) for i in range(6)]]
    assert len(server.bodies) == 6
    assert all("HTTP 400" in v.reason for v in verdicts)


def test_a_packed_reply_is_bounded_as_it_is_unpacked(runtime, server) -> None:
    import gzip

    server.script = [(gzip.compress(b" " * (50 * 2**20)), {"Content-Encoding": "gzip"})]
    verdict = ask(runtime, spec(server))
    assert verdict.outcome is Outcome.UNKNOWN
    assert "longer than 1 MiB" in verdict.reason


def test_a_redirect_is_not_followed(runtime, server) -> None:
    server.script = [(307, {"Location": f"{server.url}/elsewhere"}), GOOD]
    verdict = ask(runtime, spec(server))
    assert verdict.outcome is Outcome.UNKNOWN
    assert "HTTP 307" in verdict.reason
    assert len(server.bodies) == 1


def test_a_token_that_is_reported_twice_counts_once(runtime, server) -> None:
    server.script = [likeliest(("No", -0.5), ("No", -0.5), ("No", -0.5), ("Yes", -1.2))]
    assert ask(runtime, spec(server)).score == pytest.approx(0.606531 - 0.301194, abs=1e-5)
