"""Baselines are made once and survive the process."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from cgpo.errors import RunError
from cgpo.rewards.baseline import Baseline, BaselineStore
from cgpo.types import Prompt
from judges import Judgement, Verdict


def baseline(response: str, score: float | None, *, golden: bool = False, said: Verdict | None = None) -> Baseline:
    judgement = None if said is None else Judgement({"judge": said})
    return Baseline(response, (7, 2), {"h": score}, golden, judgement=judgement)


def prompt(name: str, golden: str | None = None) -> Prompt:
    return Prompt(name, ({"role": "user", "content": name},), baseline=golden)


def test_a_resumed_run_generates_only_what_is_missing(tmp_path: Path) -> None:
    file = tmp_path / "run" / "baselines.jsonl"
    prompts = [prompt("a"), prompt("b"), prompt("c"), prompt("a")]
    store = BaselineStore(file)
    assert [p.id for p in store.missing("math", prompts, ["h"])] == ["a", "b", "c"]
    store.add("math", [("a", baseline("A \udc80", 1.5)), ("b", baseline("B", math.nan))])

    again = BaselineStore(file)
    assert [p.id for p in again.missing("math", prompts, ["h"])] == ["c"]  # a score that failed stays so
    assert [p.id for p in again.missing("chat", prompts[:1], ["h"])] == ["a"]
    assert again.get("math", "a").response == "A \udc80"
    assert again.get("math", "a").rewards == {"h": 1.5}
    assert again.get("math", "b").rewards == {"h": None}
    assert len(again) == 2


def test_a_new_reward_needs_scores(tmp_path: Path) -> None:
    store = BaselineStore(tmp_path / "b.jsonl")
    store.add("math", [("a", baseline("A", 1.0))])
    assert len(store.missing("math", [prompt("a")], ["h", "love"])) == 1


def test_a_half_written_last_line_is_dropped(tmp_path: Path) -> None:
    file = tmp_path / "b.jsonl"
    BaselineStore(file).add("math", [("a", baseline("A", 1.0)), ("b", baseline("B", 2.0))])
    file.write_bytes(file.read_bytes()[:-5])
    store = BaselineStore(file)
    assert [p.id for p in store.missing("math", [prompt("a"), prompt("b")], ["h"])] == ["b"]
    store.add("math", [("b", baseline("B", 2.0))])
    assert BaselineStore(file).get("math", "b").rewards == {"h": 2.0}


def test_damage_in_the_middle_is_said(tmp_path: Path) -> None:
    file = tmp_path / "b.jsonl"
    file.write_text('{"schema": 1}\n')
    with pytest.raises(RunError, match="line 1 is damaged"):
        BaselineStore(file)


def test_a_changed_golden_response_counts_as_missing(tmp_path: Path) -> None:
    store = BaselineStore(tmp_path / "b.jsonl")
    store.add("math", [("a", baseline("4", 1.0, golden=True))])
    assert store.missing("math", [prompt("a", golden="4")], ["h"]) == []
    assert store.missing("math", [prompt("a", golden="5")], ["h"])
    assert store.missing("math", [prompt("a")], ["h"])


def test_only_the_writing_rank_writes(tmp_path: Path) -> None:
    file = tmp_path / "b.jsonl"
    store = BaselineStore(file, writable=False)
    store.add("math", [("a", baseline("A", 1.0))])
    assert store.get("math", "a").response == "A"
    assert not file.exists()


def test_verdicts_are_kept_where_they_are_wanted(tmp_path: Path) -> None:
    file = tmp_path / "b.jsonl"
    prompts = [prompt("a"), prompt("b"), prompt("c")]
    store = BaselineStore(file)
    store.add("math", [("a", baseline("A", 1.0, said=Verdict.violated("wrong", -0.5))), ("b", baseline("B", 1.0))])
    store.add("math", [("c", baseline("C", 1.0, said=Verdict.unknown("timeout")))])
    again = BaselineStore(file)
    assert again.get("math", "a") == store.get("math", "a")
    assert again.get("math", "a").response_ids == (7, 2)
    assert again.missing("math", prompts, ["h"]) == []
    assert [p.id for p in again.missing("math", prompts, ["h"], judged=True)] == ["b"]  # what is unknown stays so


def test_what_stopped_the_run_is_made_anew(tmp_path: Path) -> None:
    file = tmp_path / "b.jsonl"
    prompts = [prompt("a"), prompt("b"), prompt("c"), prompt("d")]
    store = BaselineStore(file)
    store.add("math", [("a", baseline("A", 1.0, said=Verdict.violated("wrong"))), ("b", baseline("B", math.nan))])
    store.add("math", [("c", baseline("C", 1.0, said=Verdict.unknown("timeout"))), ("d", baseline("D", None))])
    before = file.read_bytes()
    store.discard_unknown()
    assert file.read_bytes().startswith(before)  # checkpoints rely on what was there
    for found in (store, BaselineStore(file)):
        assert [p.id for p in found.missing("math", prompts, ["h"])] == ["b", "c", "d"]
    again = BaselineStore(file)
    again.add("math", [("c", baseline("C", 1.0, said=Verdict.satisfied()))])
    assert [p.id for p in BaselineStore(file).missing("math", prompts, ["h"], judged=True)] == ["b", "d"]
