"""A verdict that was given for a step is given again after a kill, unknown or not; nothing else is."""

from __future__ import annotations

import json
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from cgpo.errors import RunError
from cgpo.responses.journal import Journal
from cgpo.responses.stratum import Stratum
from cgpo.types import GenerationRequest, Prompt, Rollout
from judges import Judgement, Outcome, Verdict
from judges.spec import JudgeSpec
from judges.verdict import Cost

PROMPT = Prompt("p", ({"role": "user", "content": "x"},))
COST = Cost(seconds=1.5, calls=2, tokens=30)


class FakeStratum:
    """A stratum whose judge says unknown the first time and satisfied from then on, as a time limit may fall."""

    def __init__(self, judges: list[Any]) -> None:
        self.name = "math"
        self.settings = type("Settings", (), {"judges": judges, "hide_reasoning": False})()
        self.asked = 0

    def submit(self, rollout: Rollout) -> Future[Judgement]:
        self.asked += 1
        verdict = Verdict.unknown("time limit of 5 s") if self.asked == 1 else Verdict(Outcome.SATISFIED, "", 0.5)
        future: Future[Judgement] = Future()
        future.set_result(Judgement({"slow": Verdict(verdict.outcome, verdict.reason, verdict.score, COST)}))
        return future


def strata(*judges: Any) -> dict[str, Stratum]:
    return {"math": cast(Stratum, FakeStratum([JudgeSpec.parse(j) for j in judges or ("math",)]))}


def rollout(response: str = "four", index: int = 0) -> Rollout:
    return Rollout(GenerationRequest("math", PROMPT, (1,), index, 0, cast(Any, None)), response, (2,), (0.0,), "stop")


def asked(found: dict[str, Stratum]) -> int:
    return cast(FakeStratum, found["math"]).asked


def test_a_restarted_run_gets_the_same_verdict_with_its_cost(tmp_path: Path) -> None:
    first, second = strata(), strata()
    before = Journal(tmp_path).submit(3, first, rollout()).result()
    after = Journal(tmp_path).submit(3, second, rollout()).result()
    assert before.outcome is Outcome.UNKNOWN
    assert after == before
    assert after.verdicts["slow"].cost == COST
    assert (asked(first), asked(second)) == (1, 0)


@pytest.mark.parametrize(
    ("step", "other", "judges"),
    [
        (4, rollout(), ()),
        (3, rollout("five"), ()),
        (3, rollout(index=1), ()),
        (3, rollout(), ({"name": "math", "timeout": 9},)),
    ],
    ids=["another step", "another response", "another index", "other judges"],
)
def test_anything_else_is_judged(tmp_path: Path, step: int, other: Rollout, judges: tuple[Any, ...]) -> None:
    Journal(tmp_path).submit(3, strata(), rollout())
    found = strata(*judges)
    Journal(tmp_path).submit(step, found, other)
    assert asked(found) == 1


def test_other_metadata_are_judged_anew_and_an_earlier_versions_line_is_not(tmp_path: Path) -> None:
    given = rollout()
    Journal(tmp_path).submit(3, strata(), given)
    other = replace(given, request=replace(given.request, prompt=replace(PROMPT, metadata={"answer": "5"})))
    found = strata()
    Journal(tmp_path).submit(3, found, other)
    assert asked(found) == 1
    (file,) = tmp_path.iterdir()
    records = [json.loads(line) for line in file.read_text().splitlines() if line]
    hashes = [record.pop("metadata") for record in records]
    assert hashes[0] != hashes[1]
    file.write_text("".join(json.dumps(record) + "\n" for record in records[:1]))
    found = strata()
    Journal(tmp_path).submit(3, found, other)
    assert asked(found) == 0


def test_a_step_with_too_much_unknown_is_judged_anew(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.submit(3, strata(), rollout())
    journal.submit(4, strata(), rollout())
    journal.discard(3)
    found = strata()
    again = Journal(tmp_path)
    again.submit(3, found, rollout())
    again.submit(4, found, rollout())
    assert asked(found) == 1
    Journal(tmp_path).submit(3, found, rollout())  # what was said after the discarding counts
    assert asked(found) == 1


def test_what_no_checkpoint_needs_is_forgotten(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    for step in (1, 2, 3):
        journal.submit(step, strata(), rollout())
    journal.forget_before(2)
    lines = (tmp_path / "rank-00000.jsonl").read_text().split()
    assert [json.loads(line)["step"] for line in (tmp_path / "rank-00000.jsonl").read_text().splitlines()] == [2, 3]
    assert lines
    found = strata()
    for step in (1, 2, 3):
        Journal(tmp_path).submit(step, found, rollout())
    assert asked(found) == 1


def test_a_line_cut_off_by_a_kill_is_dropped_and_the_next_one_is_whole(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.submit(1, strata(), rollout("a"))
    journal.submit(1, strata(), rollout("b"))
    file = tmp_path / "rank-00000.jsonl"
    file.write_bytes(file.read_bytes()[:-20])
    found = strata()
    second = Journal(tmp_path)
    second.submit(1, found, rollout("a"))
    second.submit(1, found, rollout("b"))
    assert asked(found) == 1
    third = Journal(tmp_path)
    third.submit(1, found, rollout("a"))
    third.submit(1, found, rollout("b"))
    assert asked(found) == 1


@pytest.mark.parametrize(
    "line",
    [
        b"\xff\xfe",
        b'{"schema": 1, "key": "k", "verdicts": {}}',
        b'{"schema": 1, "step": "x", "key": "k", "verdicts": {}}',
        b'{"schema": 1, "step": 1}',
        b'{"schema": 1, "step": 1, "key": "k", "verdicts": {"j": {"verdict": "maybe", "reason": "", "cost": null}}}',
        b'{"schema": 1, "step": 1, "key": "k", "verdicts": {"j": 3}}',
    ],
)
def test_a_damaged_line_is_dropped_alone(tmp_path: Path, line: bytes) -> None:
    (tmp_path / "rank-00000.jsonl").write_bytes(line + b"\n")
    found = strata()
    Journal(tmp_path).submit(1, found, rollout())
    journal = Journal(tmp_path)
    journal.submit(1, found, rollout())
    assert asked(found) == 1
    journal.forget_before(2)


def test_verdicts_of_ranks_that_are_no_more_are_found(tmp_path: Path) -> None:
    Journal(tmp_path).submit(1, strata(), rollout())
    (tmp_path / "rank-00000.jsonl").rename(tmp_path / "rank-00005.jsonl")
    found = strata()
    Journal(tmp_path).submit(1, found, rollout())
    assert asked(found) == 0


def test_verdicts_of_ranks_that_are_no_more_are_discarded_too(tmp_path: Path) -> None:
    Journal(tmp_path).submit(1, strata(), rollout())
    (tmp_path / "rank-00000.jsonl").rename(tmp_path / "rank-00005.jsonl")
    Journal(tmp_path).discard(1)
    found = strata()
    Journal(tmp_path).submit(1, found, rollout())
    assert asked(found) == 1


def test_a_judge_that_fails_is_no_verdict(tmp_path: Path) -> None:
    found = strata()
    broken: Future[Judgement] = Future()
    broken.set_exception(ValueError("no such model"))
    cast(Any, found["math"]).submit = lambda rollout: broken
    with pytest.raises(ValueError, match="no such model"):
        Journal(tmp_path).submit(1, found, rollout()).result()
    assert not list(tmp_path.iterdir())


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    journal = Journal(tmp_path / "file" / "journal")
    journal.submit(1, strata(), rollout())
    with pytest.raises(RunError, match="journal of verdicts"):
        journal.flush()
