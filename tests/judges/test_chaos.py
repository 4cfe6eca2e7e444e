"""Judges that time out, lie, die, answer late or in pieces: each costs its own row a verdict, and only so much time."""

from __future__ import annotations

import random
import time

import pytest

from judges import Row
from judges.running.asynchronous import AsyncJudges
from judges.running.workers import JudgeWorkers
from judges.spec import JudgeSpec
from judges.verdict import Outcome

LIMIT = 0.5
GRACE = 5.0
"""Seconds beyond its limit that a row may take."""

CODE = """
    import asyncio, os, signal, time
    from judges import Judge, Verdict
    from judges.running.asynchronous import AsyncJudge

    def write(data):
        for descriptor in range(3, 64):
            try: os.write(descriptor, data)
            except OSError: pass

    class Chaotic(Judge):
        def judge(self, row):
            act = row.response
            if act == "hang": time.sleep(600)
            if act == "late": time.sleep(1.0)
            if act == "die": os._exit(0)
            if act == "killed": os.kill(os.getpid(), signal.SIGKILL)
            if act == "stopped": os.kill(os.getpid(), signal.SIGSTOP)
            if act == "raise": raise BaseException("no")
            if act == "lie": return {"outcome": "satisfied"}
            if act == "lie about the outcome": return Verdict("yes")
            if act == "half a message":
                write(bytes([0, 0, 0, 0, 0, 0, 0, 99]))
                time.sleep(600)
            if act == "an endless message": write(b"\\xff" * 8)
            if act == "no pickle": write(bytes([0, 0, 0, 0, 0, 0, 0, 3]) + b"abc")
            if act == "drops":
                write(bytes([0, 0, 0, 0, 0, 0, 9, 9]))
                for _ in range(6000):
                    write(b"x")
                    time.sleep(0.1)
            if act == "fork" and not os.fork(): return Verdict.satisfied("the child")
            return Verdict.of(act == "right", "judged")

    class Stubborn(AsyncJudge):
        async def judge_async(self, row):
            while row.response == "goes on":
                try: await asyncio.sleep(600)
                except asyncio.CancelledError: pass
            if row.response == "late": await asyncio.sleep(600)
            if row.response == "blocks": time.sleep(60)
            return Verdict.satisfied()
"""
FAILING = (
    *("hang", "late", "die", "killed", "stopped", "raise", "lie", "lie about the outcome", "half a message"),
    *("an endless message", "no pickle", "drops"),
)


@pytest.fixture
def chaotic(install) -> JudgeSpec:
    install("chaotic", CODE, chaotic="Chaotic", stubborn="Stubborn")
    return JudgeSpec("chaotic", {"timeout_seconds": LIMIT})


@pytest.mark.parametrize(("failing", "judged"), [((), 20), (FAILING, 20), (("die", "half a message", "late"), 0)])
def test_each_failure_costs_its_own_row_and_bounded_time(
    chaotic: JudgeSpec, failing: tuple[str, ...], judged: int
) -> None:
    chance = random.Random(7)
    acts = [*failing, *(chance.choice(["right", "wrong", "fork"]) for _ in range(judged))]
    chance.shuffle(acts)
    expected = [{"right": "satisfied", "wrong": "violated", "fork": "violated"}.get(act, "unknown") for act in acts]
    with JudgeWorkers(2) as workers:
        workers.submit(chaotic, Row("?", "right")).result(60)
        start = time.monotonic()
        verdicts = [future.result(600) for future in [workers.submit(chaotic, Row("?", act)) for act in acts]]
        seconds = time.monotonic() - start
    assert [verdict.outcome.value for verdict in verdicts] == expected
    assert all(verdict.reason for verdict in verdicts)
    assert seconds < len(failing) * (LIMIT + GRACE) + 60  # starting a worker for each counts as no judge's time


def test_a_judge_that_does_not_let_itself_be_cancelled(chaotic: JudgeSpec) -> None:
    spec = JudgeSpec("stubborn", {"timeout_seconds": LIMIT})
    with AsyncJudges() as judges:
        acts = ["goes on", "right", "late", "goes on", "right"]
        verdicts = [future.result(60) for future in [judges.submit(spec, Row("?", act)) for act in acts]]
        start = time.monotonic()
    assert time.monotonic() - start < 30  # closing, too, has an end
    assert [verdict.outcome is Outcome.SATISFIED for verdict in verdicts] == [act == "right" for act in acts]
    assert all("timed out after 0.5 s" in verdict.reason for verdict in verdicts if verdict.outcome != "satisfied")


def test_a_judge_that_blocks_the_event_loop(chaotic: JudgeSpec) -> None:
    spec = JudgeSpec("stubborn", {"timeout_seconds": LIMIT})
    with AsyncJudges() as judges:
        judges.submit(spec, Row("?", "right")).result(60)
        start = time.monotonic()
        blocked = [judges.submit(spec, Row("?", act)) for act in ("right", "blocks", "right")]
        verdicts = [future.result(60) for future in blocked]
        seconds = time.monotonic() - start
        assert verdicts[1].outcome is Outcome.UNKNOWN
        assert "timed out: judge 'stubborn' blocks all others" in verdicts[1].reason
        assert judges.submit(spec, Row("?", "right")).result(60).outcome is Outcome.SATISFIED  # in a loop of its own
        start = time.monotonic()
    assert time.monotonic() - start < 30
    assert LIMIT < seconds < 50
