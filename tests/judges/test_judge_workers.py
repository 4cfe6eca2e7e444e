"""Worker processes: whatever a judge does, its row gets a verdict and the other rows are not disturbed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from judges import Row, Verdict
from judges.errors import JudgesError
from judges.running.workers import JudgeWorkers
from judges.spec import JudgeSpec

CODE = """
    import os, sys, time
    from judges import Judge, Verdict

    class Acts(Judge):
        timeout_seconds = 20.0
        def __init__(self, delay: float = 0.0):
            self.delay = delay
        def prepare(self):
            time.sleep(self.delay)
        def judge(self, row):
            text = row.response
            if text == "sleep": time.sleep(60)
            if text == "nap": time.sleep(0.4)
            if text == "hold the GIL": 7 ** (10 ** 9)
            if text == "exit": os._exit(7)
            if text == "die talking":
                print("the last words"); sys.stdout.flush(); os._exit(3)
            if text == "sys.exit": sys.exit(3)
            if text == "raise": raise KeyError("no such \\ud800 thing")
            if text == "recurse": return self.judge(row)
            if text == "memory": return Verdict.satisfied(str(len("x" * 10 ** 11)))
            if text == "number": return 1.0
            if text == "none": return None
            if text == "nan": return Verdict.satisfied(score=float("nan"))
            if text == "long": return Verdict.satisfied("x" * 10 ** 6)
            if text == "outcome": return Verdict("satisfied")
            if text == "print": print("y" * 200_000)
            if text == "pid": return Verdict.satisfied(str(os.getpid()))
            return Verdict.satisfied("fine", score=0.5)

    class Unmakeable(Judge):
        def __init__(self): raise RuntimeError("no model here")
        def judge(self, row): return Verdict.satisfied()
"""


@pytest.fixture
def acts(install) -> JudgeSpec:
    install("acts", CODE, acts="Acts", unmakeable="Unmakeable")
    return JudgeSpec("acts")


def verdict(workers: JudgeWorkers, spec: JudgeSpec, text: str) -> Verdict:
    return workers.submit(spec, Row("p", text)).result(timeout=60)


def alive(pid: int) -> bool:
    """Does the process exist, other than as a corpse nobody has collected?"""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def gone(pids: list[int], seconds: float = 60.0) -> bool:
    deadline = time.monotonic() + seconds
    while any(map(alive, pids)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not any(map(alive, pids))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("exit", "the worker process died (exit status 7)"),
        ("die talking", "the worker process died (exit status 3): the last words"),
        ("sys.exit", "SystemExit: 3"),
        ("raise", "KeyError: 'no such \\ud800 thing'"),
        ("recurse", "RecursionError: maximum recursion depth exceeded"),
        ("memory", "MemoryError"),
        ("number", "the judge returned float, not a Verdict"),
        ("none", "the judge returned NoneType, not a Verdict"),
        ("nan", "the judge's score is nan"),
        ("outcome", "the judge returned a malformed verdict"),
    ],
)
def test_every_failure_is_unknown_with_its_reason(acts: JudgeSpec, text: str, reason: str) -> None:
    with JudgeWorkers(1) as workers:
        failed = verdict(workers, acts, text)
        assert failed.outcome == "unknown"
        assert failed.reason.startswith(reason)
        assert verdict(workers, acts, "good") == Verdict.satisfied("fine", 0.5)


def test_a_judge_that_hangs_is_killed_and_replaced(acts: JudgeSpec) -> None:
    hasty = JudgeSpec("acts", {"timeout_seconds": 0.3})
    with JudgeWorkers(1) as workers:
        before = int(verdict(workers, acts, "pid").reason)
        for text in ("sleep", "hold the GIL"):
            start = time.monotonic()
            assert verdict(workers, hasty, text) == Verdict.unknown("timed out after 0.3 s")
            assert time.monotonic() - start < 40  # it sleeps for 60 s
        after = int(verdict(workers, acts, "pid").reason)
        assert before != after
        assert gone([before])


def test_neither_the_queue_nor_making_the_judge_counts_as_its_time(acts: JudgeSpec) -> None:
    spec = JudgeSpec("acts", {"delay": 3.5, "timeout_seconds": 3.0})
    with JudgeWorkers(1) as workers:
        futures = [workers.submit(spec, Row("p", "nap")) for _ in range(9)]  # 3.6 s in all, one after the other
        assert [future.result(60).outcome for future in futures] == ["satisfied"] * 9


def test_rows_are_judged_side_by_side_and_one_failure_touches_no_other(acts: JudgeSpec) -> None:
    with JudgeWorkers(2) as workers:
        texts = ["good", "exit", "good", "raise", "nap", "good"] * 3
        futures = [workers.submit(acts, Row("p", text)) for text in texts]
        expected = ["unknown" if text in ("exit", "raise") else "satisfied" for text in texts]
        assert [future.result(60).outcome for future in futures] == expected


def test_a_judge_that_cannot_be_made_or_found_is_unknown(acts: JudgeSpec) -> None:
    with JudgeWorkers(1) as workers:
        assert "RuntimeError: no model here" in verdict(workers, JudgeSpec("unmakeable"), "x").reason
        assert "Did you mean 'acts'" in verdict(workers, JudgeSpec("act"), "x").reason
        assert "unknown option 'dely'" in verdict(workers, JudgeSpec("acts", {"dely": 1}), "x").reason


def test_metadata_that_is_no_data_is_unknown(acts: JudgeSpec) -> None:
    with JudgeWorkers(1) as workers:
        strange = workers.submit(acts, Row("p", "good", {"lock": threading.Lock()})).result(60)
        assert strange.outcome == "unknown"
        assert "cannot be sent" in strange.reason
        assert verdict(workers, acts, "good").outcome == "satisfied"


def test_reasons_are_cut_and_prints_do_no_harm(acts: JudgeSpec) -> None:
    with JudgeWorkers(1) as workers:
        assert len(verdict(workers, acts, "long").reason) == 1000
        assert [verdict(workers, acts, "print").outcome for _ in range(3)] == ["satisfied"] * 3


def test_large_and_hostile_rows_arrive(acts: JudgeSpec) -> None:
    with JudgeWorkers(1) as workers:
        for text in ("x" * 10_000_000, "\ud800\0\u202e"):
            assert verdict(workers, acts, text).outcome == "satisfied"


def test_closing_ends_everything_at_once(acts: JudgeSpec) -> None:
    workers = JudgeWorkers(2)
    pids = [int(verdict(workers, acts, "pid").reason)]
    futures = [workers.submit(acts, Row("p", "sleep")) for _ in range(6)]
    time.sleep(0.5)
    start = time.monotonic()
    workers.close()
    workers.close()
    assert time.monotonic() - start < 40  # they sleep for 60 s
    assert {future.result(60).reason for future in futures} == {"not judged: the worker processes were closed"}
    assert gone(pids)
    with pytest.raises(RuntimeError, match="closed"):
        workers.submit(acts, Row("p", "good"))


def test_a_cancelled_row_is_not_judged(acts: JudgeSpec) -> None:
    with JudgeWorkers(1) as workers:
        first = workers.submit(acts, Row("p", "nap"))
        second = workers.submit(acts, Row("p", "good"))
        assert second.cancel()
        assert first.result(60).outcome == "satisfied"
        assert verdict(workers, acts, "good").outcome == "satisfied"


@pytest.mark.parametrize("text", ["sleep", "hold the GIL", "good"])
def test_no_worker_outlives_a_killed_parent(acts: JudgeSpec, text: str) -> None:
    program = (
        "import sys, time\nfrom judges import Row\nfrom judges.spec import JudgeSpec\n"
        "from judges.running.workers import JudgeWorkers\n"
        f"sys.path[:] = {sys.path!r}\n"
        "workers = JudgeWorkers(1); spec = JudgeSpec('acts')\n"
        "print(workers.submit(spec, Row('p', 'pid')).result().reason, flush=True)\n"
        f"workers.submit(spec, Row('p', {text!r})); time.sleep(60)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    worker = int(parent.stdout.readline())
    time.sleep(0.3)
    assert alive(worker)
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    assert gone([worker])


def test_workers_are_not_stopped_by_ctrl_c(acts: JudgeSpec) -> None:
    with JudgeWorkers(1) as workers:
        pid = int(verdict(workers, acts, "pid").reason)
        os.kill(pid, signal.SIGINT)
        assert int(verdict(workers, acts, "pid").reason) == pid


@pytest.mark.parametrize("arguments", [{"processes": 0}, {"memory_gib": 0.0}])
def test_impossible_numbers_are_errors(arguments: dict[str, float]) -> None:
    with pytest.raises(JudgesError, match="not 0"):
        JudgeWorkers(**arguments)  # type: ignore[arg-type]
