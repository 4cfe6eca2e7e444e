"""What an evaluation says about known, unknown and neutral verdicts, and what changed by prompt."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from cgpo.errors import RunError
from cgpo.evaluation.summary import EvaluationFile, compare, summarise
from cgpo.tracking.changes import compare_evaluations
from cgpo.tracking.rollouts import RolloutRow
from judges import Judgement, Outcome, Verdict

YES, NO, UNKNOWN = Verdict.satisfied(), Verdict.violated("no"), Verdict.unknown("timed out")


def row(
    name: str, reward: float | None = 0.5, log_ratio: float | None = None, index: int = 0, **verdicts: Verdict
) -> RolloutRow:
    outcome = Judgement(dict(verdicts)).outcome
    return RolloutRow(
        stratum="math",
        prompt_id=name,
        prompt=name,
        messages=({"role": "user", "content": name},),
        index=index,
        seed=7,
        response="4",
        finish_reason="stop",
        response_tokens=3,
        outcome=Outcome.UNKNOWN if reward is None and outcome is Outcome.SATISFIED else outcome,
        verdicts=dict(verdicts),
        calibrated_reward=reward,
        log_ratio=log_ratio,
    )


def test_rates_are_over_known_verdicts() -> None:
    neutral = Verdict(Outcome.NOT_APPLICABLE)
    found = summarise(
        [
            row("a", 0.75, 0.5, math=YES, style=YES),
            row("b", 0.25, 1.5, math=NO, style=UNKNOWN),
            row("c", None, math.nan, math=YES, style=UNKNOWN),
            row("d", 0.5, 1.0, math=YES, style=neutral),
        ],
        0.95,
    )
    assert found["n"] == 4
    assert found["unknown"] == 1
    assert {k: found["satisfied"][k] for k in ("count", "n")} == {"count": 2, "n": 3}
    assert found["satisfied"]["rate"] == pytest.approx(2 / 3)
    assert {k: found["judges"]["math"][k] for k in ("count", "n", "unknown")} == {"count": 3, "n": 4, "unknown": 0}
    assert {k: found["judges"]["style"][k] for k in ("count", "n", "unknown")} == {"count": 1, "n": 1, "unknown": 2}
    assert found["calibrated_reward"]["mean"] == 0.5
    assert found["calibrated_reward"]["n"] == 3
    assert found["kl"]["mean"] == 1.0
    assert found["kl"]["n"] == 3
    assert found["response_tokens"]["mean"] == 3.0


def test_a_missing_reward_is_no_verdict() -> None:
    found = summarise([row("a", None, math=YES)], 0.95)
    assert found["satisfied"]["count"] == 1
    assert found["unknown"] == 0
    assert found["calibrated_reward"] == {"mean": None, "low": None, "high": None, "n": 0}
    assert "kl" not in found


def test_nothing_to_evaluate() -> None:
    assert summarise([], 0.95)["satisfied"] == {"count": 0, "n": 0, "rate": None, "low": None, "high": None}


def test_changes_are_paired_by_prompt_known_in_both() -> None:
    before = [row("a", 0.5, m=NO), row("b", 0.4, m=NO), row("c", 0.3, m=UNKNOWN), row("gone", 0.9, m=YES)]
    after = [row("b", None, m=NO), row("a", 0.75, m=YES), row("c", 0.5, m=YES), row("new", 0.1, m=NO)]
    found = compare(before, after, 0.95)
    assert found["satisfied"]["change"] == 0.5
    assert found["satisfied"]["n"] == 2
    assert found["judges"]["m"]["change"] == 0.5
    assert found["calibrated_reward"]["change"] == pytest.approx(0.225)
    assert found["calibrated_reward"]["n"] == 2


def test_two_responses_of_a_prompt_are_two_pairs() -> None:
    before = [row("a", m=NO), row("a", index=1, m=YES)]
    after = [row("a", index=1, m=YES), row("a", m=YES)]
    found = compare(before, after, 0.95)["satisfied"]
    assert (found["change"], found["n"]) == (0.5, 2)


def test_evaluations_compare_with_the_first_one_after_a_restart(tmp_path: Path) -> None:
    first = EvaluationFile(tmp_path).add(0, [row("a", 0.5, m=NO), row("b", 0.5, m=YES)], 0.95)
    assert "changes" not in first
    EvaluationFile(tmp_path).add(5, [row("b", 0.5, m=NO), row("a", 0.5, m=NO)], 0.95)
    third = EvaluationFile(tmp_path).add(10, [row("b", 0.6, m=YES), row("a", 0.8, m=YES)], 0.95)
    assert third["changes"]["math"]["satisfied"]["change"] == 0.5
    assert third["changes"]["math"]["calibrated_reward"]["change"] == pytest.approx(0.2)
    lines = EvaluationFile(tmp_path).read()
    assert [line["step"] for line in lines] == [0, 5, 10]
    assert lines[2] == third
    # the closing table understands the form
    (math_change,) = compare_evaluations(lines)
    satisfied = math_change.rows[0]
    assert satisfied.before is not None
    assert (satisfied.before.count, satisfied.before.n) == (1, 2)
    assert satisfied.change is not None
    assert satisfied.change.value == 0.5


def test_an_evaluation_made_again_replaces_the_old_one(tmp_path: Path) -> None:
    file = EvaluationFile(tmp_path)
    file.add(0, [row("a", 0.5, m=NO)], 0.95)
    file.add(0, [row("a", 0.5, m=YES)], 0.95)
    assert [line["strata"]["math"]["satisfied"]["count"] for line in file.read()] == [1]


def test_resume_removes_later_evaluations(tmp_path: Path) -> None:
    file, other_rank = EvaluationFile(tmp_path), EvaluationFile(tmp_path)
    for step in (0, 5, 10):
        file.add(step, [row("a", 0.5, m=NO)], 0.95)
    file.truncate_after(5)
    assert file.done(5)
    assert not file.done(10)
    assert not other_rank.done(5)
    other_rank.reload()
    assert [line["step"] for line in other_rank.read()] == [0, 5]
    assert sorted(p.name for p in (tmp_path / "evaluations").iterdir()) == [
        "step-000000.parquet",
        "step-000005.parquet",
    ]


def test_damage_is_said(tmp_path: Path) -> None:
    (tmp_path / "evaluation.jsonl").write_text(json.dumps({"schema": 9, "step": 0}) + "\n")
    with pytest.raises(RunError, match="line 1 is damaged"):
        EvaluationFile(tmp_path)
