"""What an evaluation says about known, unknown and neutral verdicts, and what changed by prompt."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cgpo.errors import RunError
from cgpo.evaluation import summary
from cgpo.evaluation.file import EvaluationFile
from cgpo.evaluation.quantities import Yardstick
from cgpo.evaluation.summary import by_stratum, evaluate_rows
from cgpo.overoptimisation.measures import of_evaluation
from cgpo.report.changes import compare_evaluations
from cgpo.statistics.evaluation import Evaluation, Rate, Sample
from cgpo.tracking.evaluation_metrics import evaluation_metrics
from cgpo.tracking.rollouts import RolloutRow
from judges import Judgement, Outcome, Verdict

NOTHING = Yardstick()
YES, NO, UNKNOWN = Verdict.satisfied(), Verdict.violated("no"), Verdict.unknown("timed out")


def row(
    name: str,
    reward: float | None = 0.5,
    log_ratio: float | None = None,
    index: int = 0,
    rewards: dict[str, float | None] | None = None,
    response: str = "4",
    preference: Verdict | None = None,
    probes: dict[str, Verdict] | None = None,
    **verdicts: Verdict,
) -> RolloutRow:
    outcome = Judgement(dict(verdicts)).outcome
    return RolloutRow(
        stratum="math",
        prompt_id=name,
        prompt=name,
        messages=({"role": "user", "content": name},),
        index=index,
        seed=7,
        response=response,
        finish_reason="stop",
        response_tokens=3,
        outcome=Outcome.UNKNOWN if reward is None and outcome is Outcome.SATISFIED else outcome,
        verdicts=dict(verdicts),
        calibrated_reward=reward,
        log_ratio=log_ratio,
        rewards=rewards or {},
        preference=preference,
        probes=probes or {},
    )


def summarise(rows: list[RolloutRow], confidence: float, yardstick: Yardstick = NOTHING) -> dict[str, Any]:
    """The summary as it stands in `evaluation.jsonl`."""
    return summary.summarise(rows, confidence, yardstick).as_json()


def compare(before: list[RolloutRow], after: list[RolloutRow], confidence: float) -> dict[str, Any]:
    """The changes as they stand in `evaluation.jsonl`."""
    changes = {"math": summary.compare(before, after, confidence)}
    found: dict[str, Any] = Evaluation(1, {}, {}, changes).as_json()["changes"]["math"]
    return found


def metrics_of(rows: list[RolloutRow], yardstick: Yardstick = NOTHING) -> dict[str, float]:
    return evaluation_metrics(evaluate_rows(0, {"math": rows}, {"math": yardstick}, 0.95))


def add(folder: Path, step: int, rows: list[RolloutRow]) -> dict[str, Any]:
    """Adds an evaluation as a run does, compared with the first one."""
    file = EvaluationFile(folder)
    before = file.first_responses(before=step)
    evaluation = evaluate_rows(step, by_stratum(rows), {}, 0.95, None if before is None else by_stratum(before))
    file.add(evaluation, rows)
    return evaluation.as_json()


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
    nothing = {"count": 0, "n": 0, "rate": None, "low": None, "high": None, "unknown": 0}
    assert summarise([], 0.95)["satisfied"] == nothing


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
    first = add(tmp_path, 0, [row("a", 0.5, m=NO), row("b", 0.5, m=YES)])
    assert "changes" not in first
    add(tmp_path, 5, [row("b", 0.5, m=NO), row("a", 0.5, m=NO)])
    third = add(tmp_path, 10, [row("b", 0.6, m=YES), row("a", 0.8, m=YES)])
    assert third["changes"]["math"]["satisfied"]["change"] == 0.5
    assert third["changes"]["math"]["calibrated_reward"]["change"] == pytest.approx(0.2)
    lines = EvaluationFile(tmp_path).read()
    assert [line.step for line in lines] == [0, 5, 10]
    assert lines[2].as_json() == third
    # the closing table understands the form
    (math_change,) = compare_evaluations(lines)
    satisfied = math_change.rows[0]
    assert isinstance(satisfied.before, Rate)
    assert (satisfied.before.count, satisfied.before.n) == (1, 2)
    assert satisfied.change is not None
    assert satisfied.change.estimate == 0.5


def test_an_evaluation_made_again_replaces_the_old_one(tmp_path: Path) -> None:
    add(tmp_path, 0, [row("a", 0.5, m=NO)])
    add(tmp_path, 0, [row("a", 0.5, m=YES)])
    (evaluation,) = EvaluationFile(tmp_path).read()
    assert evaluation.as_json()["strata"]["math"]["satisfied"]["count"] == 1


def test_resume_removes_later_evaluations(tmp_path: Path) -> None:
    for step in (0, 5, 10):
        add(tmp_path, step, [row("a", 0.5, m=NO)])
    file, other_rank = EvaluationFile(tmp_path), EvaluationFile(tmp_path)
    file.truncate_after(5)
    assert file.done(5)
    assert not file.done(10)
    assert other_rank.done(10)
    other_rank.reload()
    assert [line.step for line in other_rank.read()] == [0, 5]
    assert sorted(p.name for p in (tmp_path / "evaluations").iterdir()) == [
        "step-000000.parquet",
        "step-000005.parquet",
    ]


def test_probes_and_comparisons_survive_the_disk(tmp_path: Path) -> None:
    kept = row("a", probes={"farewell": NO}, preference=Verdict.of(True, "better", 0.25), m=YES)
    add(tmp_path, 0, [kept, row("b", m=YES)])
    found = EvaluationFile(tmp_path).first_responses(before=1)
    assert found is not None
    assert found[0].probes["farewell"].outcome is Outcome.VIOLATED
    assert found[0].preference == Verdict.of(True, "better", 0.25)
    assert found[1].preference is None


def reference(*rows: RolloutRow, weights: dict[str, float]) -> Yardstick:
    return Yardstick(weights, {(r.prompt_id, r.index): r for r in rows})


def test_win_rate_by_reward() -> None:
    theirs = [row(name, rewards={"r": 1.0}, response="ref") for name in "abcde"]
    ours = [
        row("a", rewards={"r": 1.5}),  # win
        row("b", rewards={"r": 0.5}),  # loss
        row("c", rewards={"r": 1.0}),  # tie
        row("d", rewards={"r": None}),  # unknown: neither
        row("e", rewards={"r": 1.0 + 1e-6}, response="ref"),  # the same text: a tie, whatever rounding says
        row("other prompt", rewards={"r": 9.0}),  # nothing to compare with
    ]
    found = summarise(ours, 0.95, reference(*theirs, weights={"r": 2.0}))["win_rate"]
    counts = {"wins": 1, "ties": 2, "losses": 1, "unknown": 1}
    assert {key: found[key] for key in ["n", "rate", *counts]} == {"n": 4, "rate": 0.5, **counts}
    # Wilson's interval of 2 of 4, worked out by hand: (0.5 + 1.9208/4 ± …) / (1 + 3.8415/4)
    assert (found["low"], found["high"]) == pytest.approx((0.1500, 0.8500), abs=1e-4)


def test_win_rate_of_several_rewards_weighs_calibrated_differences() -> None:
    # sigmoid(4) − ½ = 0.482 for x and sigmoid(−100) − ½ = −0.5 for y: with weights 2 and 1 a win, though the raw
    # weighted sum, 2 · 4 − 100, is far below 0.
    ours, theirs = row("a", rewards={"x": 4.0, "y": -100.0}), row("a", rewards={"x": 0.0, "y": 0.0}, response="ref")
    yardstick = reference(theirs, weights={"x": 2.0, "y": 1.0})
    found = summarise([ours], 0.95, yardstick)
    assert found["win_rate"]["wins"] == 1
    assert found["win_rates"]["x"]["wins"] == 1
    assert found["win_rates"]["y"]["losses"] == 1
    metrics = metrics_of([ours], yardstick)
    assert (metrics["math/win_rate"], metrics["math/win_rate/y"]) == (1.0, 0.0)


def test_unknown_preferences_are_neither_wins_nor_losses() -> None:
    said = {
        "a": Verdict.of(True, "", 0.4),
        "b": Verdict.of(False, "", -0.1),
        "c": Verdict.of(True, "", 0.0),  # as good in both orders together: a tie, though "satisfied"
        "d": UNKNOWN,
        "e": YES,  # a judge without a score
    }
    found = summarise([row(n, preference=v) for n, v in said.items()], 0.95)["preference_win_rate"]
    assert {k: found[k] for k in ("wins", "ties", "losses", "unknown", "n")} == {
        "wins": 2, "ties": 1, "losses": 1, "unknown": 1, "n": 4,
    }  # fmt: skip
    assert found["rate"] == 2.5 / 4


def test_satisfied_once_is_over_prompts() -> None:
    rows = [
        *(row("a", index=0, m=NO), row("a", index=1, m=YES)),  # once
        *(row("b", index=0, m=NO), row("b", index=1, m=NO)),  # never
        *(row("c", index=0, m=NO), row("c", index=1, m=UNKNOWN)),  # perhaps: unknown
        *(row("d", index=0, m=UNKNOWN), row("d", index=1, m=YES)),  # once, whatever the other is
    ]
    found = summarise(rows, 0.95)
    assert (found["n"], found["prompts"]) == (8, 4)
    once = found["satisfied_once"]
    assert (once["count"], once["n"], once["unknown"]) == (2, 3, 1)
    assert found["satisfied"]["rate"] == 2 / 6
    later = [row(r.prompt_id, index=r.index, m=YES) for r in rows]
    assert compare(rows, later, 0.95)["satisfied_once"]["change"] == pytest.approx(1 / 3)
    assert "satisfied_once" not in summarise(rows[::2], 0.95)


def test_several_responses_widen_the_interval() -> None:
    # 40 prompts, all four responses of a prompt alike: as much is known as from 40 responses, not as from 160
    four = [row(str(i), index=k, m=YES if i % 2 else NO) for i in range(40) for k in range(4)]
    one = [r for r in four if r.index == 0]
    wide, narrow = (summarise(rows, 0.95)["satisfied"] for rows in (four, one))
    assert wide["n"] == 160
    assert wide["rate"] == narrow["rate"] == 0.5
    assert wide["high"] - wide["low"] == pytest.approx(narrow["high"] - narrow["low"], rel=0.1)


def test_probes_count_violations_and_do_not_constrain() -> None:
    neutral = Verdict(Outcome.NOT_APPLICABLE)
    rows = [row("a", probes={"farewell": NO}, m=YES), row("b", probes={"farewell": YES}, m=YES)]
    rows += [row("c", probes={"farewell": neutral}, m=YES), row("d", probes={"farewell": UNKNOWN}, m=YES)]
    found = summarise(rows, 0.95)
    assert found["satisfied"]["rate"] == 1.0
    farewell = found["probes"]["farewell"]
    assert (farewell["count"], farewell["n"], farewell["unknown"]) == (1, 2, 1)
    metrics = metrics_of(rows)
    assert metrics["math/violated_rate/farewell"] == 0.5
    assert metrics["math/response_words"] == 1.0
    assert "math/kl" not in metrics


def test_both_sides_of_safety() -> None:
    rows = [row(str(i), guard=NO if i == 0 else YES, refusal=UNKNOWN if i == 1 else NO) for i in range(4)]
    yardsticks = {"math": Yardstick(sides={"guard": "safety", "refusal": "refusal"})}
    sides = evaluate_rows(3, by_stratum(rows), yardsticks, 0.95).as_json()["sides"]
    (unsafe,), (refused,) = sides["safety"], sides["refusal"]
    assert (unsafe["stratum"], unsafe["judge"], unsafe["count"], unsafe["n"]) == ("math", "guard", 1, 4)
    assert (refused["count"], refused["n"], refused["unknown"], refused["rate"]) == (3, 3, 1, 1.0)


def test_responses_by_prompt_are_what_the_watch_compares() -> None:
    """Worked out by hand: prompt a has the shares 1/2, b 1, c 0; their mean is 1/2 and Σ (share − mean)² = 1/2."""
    farewells = {"a": (NO, YES), "b": (NO, UNKNOWN), "c": (YES, YES), "d": (UNKNOWN, UNKNOWN)}
    rewards = {"a": (0.2, 0.4), "b": (0.6, None), "c": (0.9, 0.9), "d": (None, None)}
    rows = [
        row(name, rewards[name][index], index=index, probes={"farewell": farewells[name][index]}, m=YES)
        for name in farewells
        for index in (0, 1)
    ]
    found = summary.summarise(rows, 0.95)
    assert found.by_prompt["probes/farewell"] == Sample(0.5, 3, 0.5)
    # Prompts' means 0.3, 0.6 and 0.9: mean 0.6, squares 2 · 0.09.
    assert found.by_prompt["calibrated_reward"].mean == pytest.approx(0.6)
    assert found.by_prompt["calibrated_reward"].prompts == 3
    assert found.by_prompt["calibrated_reward"].squares == pytest.approx(0.18)
    reward, measures = of_evaluation(found, 0.95)
    assert reward == found.by_prompt["calibrated_reward"]
    assert measures == {"held-out satisfied rate": Sample(1.0, 4, 0.0), "held-out farewell": Sample(0.5, 3, 0.5)}


def test_evaluations_of_earlier_versions_give_about_the_same_by_prompt() -> None:
    rewards = [0.1 * (i % 10) for i in range(100)]
    rows = [row(str(i), r, probes={"farewell": YES if i % 5 else NO}, m=YES) for i, r in enumerate(rewards)]
    now = summary.summarise(rows, 0.95)
    reward, measures = of_evaluation(replace(now, by_prompt={}), 0.95)
    assert reward is not None
    assert (reward.mean, reward.prompts) == (pytest.approx(0.45), 100)
    assert reward.squares == pytest.approx(now.by_prompt["calibrated_reward"].squares, rel=0.1)
    assert now.by_prompt["calibrated_reward"].squares == pytest.approx(100 * 0.0825)  # of 0, 0.1 … 0.9
    farewell = measures["held-out farewell"]
    assert farewell is not None
    assert (farewell.mean, farewell.prompts, farewell.squares) == (0.8, 100, pytest.approx(16))


def test_lines_of_other_evaluations_stay_as_they_are(tmp_path: Path) -> None:
    old = '{"schema": 1, "step":0, "strata": {"math": {"n": 3, "of a later version": [1]}}}'
    (tmp_path / "evaluation.jsonl").write_text(f"{old}\n")
    add(tmp_path, 5, [row("a", m=YES)])
    assert (tmp_path / "evaluation.jsonl").read_text().splitlines()[0] == old


def test_damage_is_said(tmp_path: Path) -> None:
    (tmp_path / "evaluation.jsonl").write_text(json.dumps({"schema": 9, "step": 0}) + "\n")
    with pytest.raises(RunError, match="line 1 is damaged"):
        EvaluationFile(tmp_path)
