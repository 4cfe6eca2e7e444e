"""The runtime: rules and asynchronous judges side by side, and the verdict cache."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from judges import Outcome, Row
from judges.errors import JudgesError
from judges.mixture import Mixture
from judges.registry import load
from judges.running.cache import VerdictCache, judge_identity, verdict_key
from judges.running.runtime import JudgeRuntime
from judges.spec import JudgeSpec
from judges.verdict import Verdict

COUNTING = """
import os
from judges import Expense, Judge, Outcome, Row, Verdict

class Counting(Judge):
    expense = Expense.MODERATE
    version = "{version}"
    not_in_cache_key = frozenset({{"log"}})
    def __init__(self, log: str = "", answer: str = "satisfied", extra: int = 0) -> None:
        self.log, self.answer = log, answer
    def judge(self, row: Row) -> Verdict:
        with open(self.log, "a") as file:
            file.write(".")
        return Verdict(Outcome(self.answer), "said", 0.5)
"""

ASYNC = """
import asyncio
from judges import Outcome, Row, Verdict
from judges.running.asynchronous import AsyncJudge

class Slow(AsyncJudge):
    timeout_seconds = 5.0
    max_concurrency = 64
    async def judge_async(self, row: Row) -> Verdict:
        await asyncio.sleep(float(row.metadata.get("seconds", 0.5)))
        return Verdict.satisfied(score=1.0)

class Bad(AsyncJudge):
    async def judge_async(self, row: Row) -> Verdict:
        if row.response == "raise": raise KeyError("x")
        if row.response == "exit": raise SystemExit(0)
        return row.response

class NeverOpens(AsyncJudge):
    async def open(self, shared) -> None: raise OSError("no such host")
    async def judge_async(self, row: Row) -> Verdict: return Verdict.satisfied()
"""


def calls(log: Path) -> int:
    return len(log.read_text()) if log.exists() else 0


@pytest.fixture
def counting(install, tmp_path: Path):
    install("counting", COUNTING.format(version="1"), counting="Counting")
    return JudgeSpec("counting", {"log": str(tmp_path / "log")})


def test_the_same_question_is_asked_once_also_by_the_next_runtime(counting, tmp_path: Path) -> None:
    row, log = Row("p", "r", {"a": 1}), tmp_path / "log"
    for _ in range(2):
        with JudgeRuntime(1, cache=tmp_path / "cache.sqlite") as runtime:
            first = runtime.submit(counting, row).result()
            again = runtime.submit(counting, row).result()
            assert first == again == Verdict.satisfied("said", 0.5)
            assert again.cost.cached == 1
            assert again.cost.seconds == 0
    assert calls(log) == 1


@pytest.mark.parametrize(
    "other",
    [
        Row("q", "r", {"a": 1}),
        Row("p", "R", {"a": 1}),
        Row("p", "r", {"a": 2}),
        Row("p", "r", {"a": "1"}),
        Row("p", "r"),
        Row(({"role": "user", "content": "p"},), "r", {"a": 1}),
    ],
)
def test_another_row_is_another_question(counting, tmp_path: Path, other: Row) -> None:
    with JudgeRuntime(1, cache=tmp_path / "cache.sqlite") as runtime:
        for row in (Row("p", "r", {"a": 1}), other):
            assert runtime.submit(counting, row).result().cost.cached == 0
    assert calls(tmp_path / "log") == 2


def test_options_count_unless_they_cannot_change_a_verdict(counting, tmp_path: Path) -> None:
    log = tmp_path / "log"
    same = JudgeSpec("counting", {"log": str(tmp_path / "log2"), "timeout_seconds": 3})
    other = JudgeSpec("counting", {"log": str(log), "extra": 1})
    with JudgeRuntime(1, cache=tmp_path / "cache.sqlite") as runtime:
        cached = [runtime.submit(spec, Row("p", "r")).result().cost.cached for spec in (counting, same, other)]
    assert cached == [0, 1, 0]


def test_model_counts_and_connection_does_not() -> None:
    def identity(**llm: object) -> str:
        return judge_identity(JudgeSpec("safety", {"llm": {"model": "m", **llm}}), load("safety"))

    assert identity(base_url="http://a/v1", retries=9, max_concurrency=2) == identity()
    assert identity(scoring="prompt_logprobs") != identity()
    assert identity(model="n") != identity()


def test_another_version_or_an_edited_source_is_another_judge(install) -> None:
    code = COUNTING.format(version="1")
    folder = install("edited", code, edited="Counting")  # a name of its own: Python imports a module only once
    spec, judge = JudgeSpec("edited"), load("edited")
    before = judge_identity(spec, judge)
    (folder / "edited.py").write_text(code + "# edited\n")
    assert judge_identity(spec, judge) != before
    (folder / "edited.py").write_text(code)
    assert judge_identity(spec, judge) == before
    judge.version = "2"
    assert judge_identity(spec, judge) != before


def test_of_our_own_judges_every_file_counts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import judges
    from judges.running import cache

    def identity() -> str:
        cache._package_hash.cache_clear()
        return judge_identity(JudgeSpec("length"), load("length"))

    assert Path(judges.__file__).resolve().parent == cache._PACKAGE
    before = identity()
    read = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda path: read(path) + b"#" * (path.name == "options.py"))
    assert identity() != before
    monkeypatch.undo()
    assert identity() == before


def test_unknown_is_not_kept(counting, tmp_path: Path) -> None:
    spec = JudgeSpec("counting", {**counting.options, "answer": "unknown"})
    with JudgeRuntime(1, cache=tmp_path / "cache.sqlite") as runtime:
        for _ in range(2):
            assert runtime.submit(spec, Row("p", "r")).result().outcome is Outcome.UNKNOWN
    assert calls(tmp_path / "log") == 2


def test_cheap_judges_are_not_cached(tmp_path: Path) -> None:
    row = Row("2+2?", "The final answer is 4.", {"answer": "4"})
    with JudgeRuntime(1, cache=tmp_path / "cache.sqlite") as runtime:
        assert [runtime.submit(JudgeSpec("math"), row).result().cost.cached for _ in range(2)] == [0, 0]


def test_metadata_that_is_no_plain_data_is_judged_without_the_cache() -> None:
    assert verdict_key("judge", Row("p", "r", {"x": object()})) is None
    assert verdict_key("judge", Row("p\ud800", "r")) is not None


@pytest.mark.parametrize("content", [b"not a database at all" * 100, b"\0" * 5000])
def test_a_file_that_is_no_cache_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "cache.sqlite"
    path.write_bytes(content)
    with pytest.raises(JudgesError, match=r"cache\.sqlite"):
        VerdictCache(path)
    assert path.read_bytes() == content


def test_anothers_database_and_another_version_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "cache.sqlite"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE other (x)")
    with pytest.raises(JudgesError, match="no verdict cache"):
        VerdictCache(path)
    mine = tmp_path / "mine.sqlite"
    VerdictCache(mine).close()
    with sqlite3.connect(mine) as database:
        database.execute("PRAGMA user_version = 99")
    with pytest.raises(JudgesError, match="schema 99"):
        VerdictCache(mine)


def test_a_cache_that_breaks_costs_itself_only(counting, tmp_path: Path, caplog) -> None:
    with JudgeRuntime(1, cache=tmp_path / "cache.sqlite") as runtime:
        assert runtime.submit(counting, Row("p", "r")).result().outcome is Outcome.SATISFIED
        with sqlite3.connect(tmp_path / "cache.sqlite") as database:
            database.execute("DROP TABLE verdicts")
        for _ in range(2):
            assert runtime.submit(counting, Row("p", "r")).result().outcome is Outcome.SATISFIED
    assert caplog.text.count("going on without it") == 1


def test_several_processes_share_a_cache(tmp_path: Path) -> None:
    program = """
import sys
from pathlib import Path
from judges.running.cache import VerdictCache
from judges.verdict import Verdict
with VerdictCache(Path(sys.argv[1])) as cache:
    for i in range(300):
        cache.put(f"{sys.argv[2]}-{i}", Verdict.satisfied("x", 0.5))
"""
    path = tmp_path / "cache.sqlite"
    started = [subprocess.Popen([sys.executable, "-c", program, path, str(n)]) for n in range(3)]
    assert [process.wait() for process in started] == [0, 0, 0]
    with VerdictCache(path) as cache:
        assert all(cache.get(f"{n}-{i}") for n in range(3) for i in range(300))


def test_asynchronous_judges_wait_side_by_side_and_do_not_hold_up_rules(install) -> None:
    install("waiting", ASYNC, slow="Slow")
    rows = [Row("2+2?", "The final answer is 4.", {"answer": "4", "seconds": 1.0})] * 40
    with JudgeRuntime(1) as runtime:
        runtime.submit(JudgeSpec("math"), rows[0]).result()  # the worker is there
        started = time.monotonic()
        judgements = Mixture(["slow", "math"], runtime).judge(rows)
        assert time.monotonic() - started < 30  # one after another would be 40 s
    assert all(judgement.satisfied for judgement in judgements)
    assert all(1.0 <= j.verdicts["slow"].cost.seconds < 20 for j in judgements)


def test_a_blocked_main_thread_does_not_stop_them(install) -> None:
    install("waiting", ASYNC, slow="Slow")
    done = threading.Event()
    with JudgeRuntime(1) as runtime:
        future = runtime.submit(JudgeSpec("slow"), Row("p", "r", {"seconds": 0.2}))
        future.add_done_callback(lambda _: done.set())
        assert done.wait(60)  # this thread runs no event loop at all


def test_the_time_limit_of_an_asynchronous_judge(install) -> None:
    install("waiting", ASYNC, slow="Slow")
    with JudgeRuntime(1) as runtime:
        spec = JudgeSpec("slow", {"timeout_seconds": 0.2})
        verdict = runtime.submit(spec, Row("p", "r", {"seconds": 300})).result(100)
    assert verdict == Verdict.unknown("timed out after 0.2 s")


@pytest.mark.parametrize("response", ["raise", "exit", "no verdict"])
def test_what_a_bad_asynchronous_judge_does_is_unknown(install, response: str) -> None:
    install("waiting", ASYNC, bad="Bad", slow="Slow")
    with JudgeRuntime(1) as runtime:
        assert runtime.submit(JudgeSpec("bad"), Row("p", response)).result(10).outcome is Outcome.UNKNOWN
        after = runtime.submit(JudgeSpec("slow"), Row("p", "r", {"seconds": 0}))
        assert after.result(10).outcome is Outcome.SATISFIED


def test_a_judge_that_cannot_open_is_unknown_for_every_row(install) -> None:
    install("waiting", ASYNC, never="NeverOpens")
    with JudgeRuntime(1) as runtime:
        verdicts = [runtime.submit(JudgeSpec("never"), Row("p", str(i))).result(10) for i in range(3)]
    assert {v.outcome for v in verdicts} == {Outcome.UNKNOWN}
    assert "no such host" in verdicts[0].reason


def test_an_unknown_judge_is_an_unknown_verdict() -> None:
    with JudgeRuntime(1) as runtime:
        assert "Did you mean 'math'" in runtime.submit(JudgeSpec("mth"), Row("p", "r")).result().reason


@pytest.mark.parametrize(
    "damage",
    [
        "outcome = 'weird'",
        "outcome = 'unknown'",
        "outcome = 'not_judged'",
        "reason = x'ff'",
        "score = 'abc'",
        "score = 1e999",
    ],
)
def test_a_damaged_row_is_as_if_it_were_not_there(counting, tmp_path: Path, damage: str) -> None:
    path = tmp_path / "cache.sqlite"
    with JudgeRuntime(1, cache=path) as runtime:
        runtime.submit(counting, Row("p", "r")).result()
    with sqlite3.connect(path) as database:
        database.execute(f"UPDATE verdicts SET {damage}")
    with JudgeRuntime(1, cache=path) as runtime:
        verdict = runtime.submit(counting, Row("p", "r")).result()
    assert verdict == Verdict.satisfied("said", 0.5)
    assert verdict.cost.cached == 0
    assert calls(tmp_path / "log") == 2


def test_many_that_begin_with_a_new_cache_at_once_all_open_it(tmp_path: Path) -> None:
    failed: list[str] = []

    def open_one(path: Path, start: threading.Barrier) -> None:
        start.wait()
        try:
            VerdictCache(path).close()
        except JudgesError as error:
            failed.append(str(error))

    for i in range(20):
        start = threading.Barrier(6)
        threads = [threading.Thread(target=open_one, args=(tmp_path / f"{i}.sqlite", start)) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not failed


def test_a_cache_that_another_process_holds_for_long_is_done_without(counting, tmp_path: Path) -> None:
    path = tmp_path / "cache.sqlite"
    with JudgeRuntime(1, cache=path) as runtime:
        holder = sqlite3.connect(path, isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        assert runtime.submit(counting, Row("p", "r")).result().outcome is Outcome.SATISFIED
        holder.execute("ROLLBACK")
        holder.close()
        runtime.submit(counting, Row("p", "other")).result()
    with VerdictCache(path) as cache:  # it went on with the cache afterwards
        identity = judge_identity(counting, load("counting"))
        key = verdict_key(identity, Row("p", "other"))
        assert key is not None
        assert cache.get(key) == Verdict.satisfied("said", 0.5)
