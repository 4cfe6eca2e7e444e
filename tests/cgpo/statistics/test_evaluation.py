"""A line of `evaluation.jsonl` is read back as it was, whatever an earlier version left out or a disk damaged."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cgpo.statistics.evaluation import (
    Change,
    Evaluation,
    Mean,
    Measures,
    Rate,
    Sample,
    SideRate,
    StratumSummary,
    Win,
)
from cgpo.statistics.evaluation_json import evaluation_from_json, read_evaluation

RATE = Rate(0.75, 0.3, 0.95, 4, count=3, unknown=1)
CHANGE = Change(0.5, 0.1, 0.9, 4)
EVALUATION = Evaluation(
    8,
    {
        "math": StratumSummary(
            5,
            5,
            1,
            Measures(
                judges={"math": RATE, "style/short": Rate(None, None, None, 0, count=0, unknown=5)},
                satisfied=RATE,
                rewards={"love": Mean(1.5, None, None, 1)},
                win_rate=Win(0.5, 0.2, 0.8, 4, 1, 2, 1, 1),
                satisfied_once=RATE,
            ),
            {"satisfied": Sample(0.75, 4, 0.75)},
        )
    },
    {"safety": [SideRate("math", "guard", RATE)], "refusal": []},
    {"math": Measures(satisfied=CHANGE, rewards={"love": CHANGE})},
)
LINE: dict[str, Any] = {
    "schema": 1,
    "step": 8,
    "strata": {
        "math": {
            "n": 5,
            "prompts": 5,
            "unknown": 1,
            "judges": {
                "math": {"count": 3, "n": 4, "rate": 0.75, "low": 0.3, "high": 0.95, "unknown": 1},
                "style/short": {"count": 0, "n": 0, "rate": None, "low": None, "high": None, "unknown": 5},
            },
            "satisfied": {"count": 3, "n": 4, "rate": 0.75, "low": 0.3, "high": 0.95, "unknown": 1},
            "rewards": {"love": {"mean": 1.5, "low": None, "high": None, "n": 1}},
            "win_rate": {"wins": 1, "ties": 2, "losses": 1, "n": 4, "rate": 0.5, "low": 0.2, "high": 0.8, "unknown": 1},
            "satisfied_once": {"count": 3, "n": 4, "rate": 0.75, "low": 0.3, "high": 0.95, "unknown": 1},
            "by_prompt": {"satisfied": {"mean": 0.75, "prompts": 4, "squares": 0.75}},
        }
    },
    "sides": {
        "safety": [
            {
                "stratum": "math",
                "judge": "guard",
                "count": 3,
                "n": 4,
                "rate": 0.75,
                "low": 0.3,
                "high": 0.95,
                "unknown": 1,
            }
        ],
        "refusal": [],
    },
    "changes": {
        "math": {
            "judges": {},
            "satisfied": {"change": 0.5, "low": 0.1, "high": 0.9, "n": 4},
            "rewards": {"love": {"change": 0.5, "low": 0.1, "high": 0.9, "n": 4}},
        }
    },
}


def test_the_line_is_the_documented_form_to_the_byte_and_is_read_back() -> None:
    assert json.dumps(EVALUATION.as_json()) == json.dumps(LINE)
    assert evaluation_from_json(json.loads(json.dumps(LINE))) == EVALUATION


def test_measures_have_the_names_that_commands_take() -> None:
    names = list(EVALUATION.strata["math"].measures.named())
    assert names == ["judges/math", "judges/style/short", "satisfied", "rewards/love", "win_rate", "satisfied_once"]


def test_a_line_of_an_earlier_version_may_lack_parts() -> None:
    line = {"step": 0, "strata": {"math": {"n": 2, "satisfied": {"rate": 0.5}, "something else": 3}}}
    evaluation = evaluation_from_json(line)
    assert evaluation.changes is None
    summary = evaluation.strata["math"]
    assert (summary.n, summary.prompts, summary.unknown, summary.by_prompt) == (2, None, None, {})
    assert summary.measures == Measures(satisfied=Rate(0.5, None, None, 0))


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ({"step": None}, "it has no step"),
        ({"step": "8"}, "step is '8', not a whole number"),
        ({"strata": 3}, "strata is 3, not an object"),
        ({"strata": {"math": [], "chat": {"n": 4}}}, "strata.math is [], not an object"),
        ({"strata": {"math": {"satisfied": 3, "n": 4}}}, "strata.math.satisfied is 3, not an object"),
        ({"strata": {"math": {"kl": {"mean": "x"}}}}, "strata.math.kl.mean is 'x', not a finite number"),
        ({"strata": {"math": {"judges": {"a": {"rate": float("nan")}}}}}, "strata.math.judges.a.rate is nan"),
        ({"strata": {"math": {"n": 4.5}}}, "strata.math.n is 4.5, not a whole number"),
        ({"sides": {"safety": [{"judge": "guard"}]}}, "sides.safety[0] names no stratum or no judge"),
        ({"sides": {"safety": {}}}, "sides.safety is {}, not a list"),
        ({"changes": {"math": {"probes": 1}}}, "changes.math.probes is 1, not an object"),
    ],
)
def test_damage_is_named_and_the_rest_is_read(damage: dict[str, Any], said: str) -> None:
    evaluation, problems = read_evaluation(LINE | damage)
    (problem,) = problems
    assert said in problem
    if "changes" not in damage:
        assert evaluation.changes == EVALUATION.changes
    if "strata" not in damage:
        assert evaluation.strata == EVALUATION.strata
    with pytest.raises(ValueError, match=r"not an? |no "):
        evaluation_from_json(LINE | damage)


def test_a_line_without_strata_is_no_evaluation() -> None:
    with pytest.raises(ValueError, match="it has no strata"):
        evaluation_from_json({"schema": 1, "step": 3})
