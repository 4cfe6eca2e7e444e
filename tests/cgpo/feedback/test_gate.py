"""`cgpo feedback gate`: which side of an interval decides, and that unknown is no pass."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cgpo.cli import main
from cgpo.feedback.gate import DEFAULTS, RULES, rule_of


def interval(estimate: float | None, low: float | None, high: float | None) -> dict[str, Any]:
    return {"estimate": estimate, "low": low, "high": high, "n": 1000}


def evaluation() -> dict[str, Any]:
    """One that passes every default rule."""
    return {
        "schema": 1,
        "time": {"later": True, "not_later": 0},
        "report": {
            "n": 1000,
            "missing": 0,
            "rate": interval(0.02, 0.015, 0.03),
            "auroc": interval(0.85, 0.80, 0.89),
            "calibration": {"ece": interval(0.004, 0.001, 0.008), "brier_skill": interval(0.05, 0.02, 0.09)},
            "lift": [{"lift": interval(4.0, 3.0, 5.0)}],
            "length": {"pearson": interval(-0.1, -0.2, 0.0), "alone": interval(0.55, 0.5, 0.6)},
        },
    }


def correlation() -> dict[str, Any]:
    return {"schema": 1, "pearson": interval(0.95, 0.8, 0.99), "leave_one_out": {"a": 0.9, "b": 0.94}}


def summary() -> dict[str, Any]:
    rate = {"count": 40, "n": 50, "unknown": 0}
    return {
        "n": 50,
        "unknown": 1,
        "judges": {"farewell": {**rate, "rate": 0.96, "low": 0.9, "high": 0.99}},
        "rewards": {"love": {"mean": 1.0}, "helpfulness": {"mean": 2.0}},
        "win_rate": {"rate": 0.6, "low": 0.5, "high": 0.7},
        "win_rates": {"helpfulness": {"rate": 0.55, "low": 0.45, "high": 0.65}},
        "probes": {"style": {**rate, "rate": 0.1, "low": 0.05, "high": 0.2}},
    }


def evaluated_run(folder: Path, **changes: Any) -> Path:
    """A run's directory with two evaluations of one stratum."""
    folder.mkdir()
    change = {
        "satisfied": {"change": 0.1, "low": 0.02, "high": 0.2, "n": 50},
        "judges": {"farewell": {"change": -0.01, "low": -0.04, "high": 0.02, "n": 50}},
        "probes": {},
    }
    last = {"schema": 1, "step": 9, "strata": {"talk": {**summary(), **changes}}, "changes": {"talk": change}}
    first = {"schema": 1, "step": 0, "strata": {"talk": summary()}}
    (folder / "evaluation.jsonl").write_text(json.dumps(first) + "\n" + json.dumps(last) + "\n")
    return folder


def gate(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    *words: str | Path,
    evaluated: dict[str, Any] | None = None,
    correlated: dict[str, Any] | None = None,
    rules: str = "",
) -> tuple[int, dict[str, Any]]:
    """Exit status and the JSON; both files and no run unless told otherwise."""
    (tmp_path / "evaluation.json").write_text(json.dumps(evaluated or evaluation()))
    (tmp_path / "correlation.json").write_text(json.dumps(correlated or correlation()))
    (tmp_path / "rules.yaml").write_text(rules)
    files: list[str | Path] = ["--evaluation", tmp_path / "evaluation.json", "--correlation", tmp_path]
    with pytest.raises(SystemExit) as ended:
        main(["feedback", "gate", *map(str, [*files, "--rules", tmp_path / "rules.yaml", "--json", *words])])
    out = capsys.readouterr()
    return int(ended.value.code or 0), json.loads(out.out) if out.out else {"error": out.err}


def by_rule(found: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {result["rule"]: result for result in found["results"]}


def test_a_good_model_passes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, found = gate(tmp_path, capsys)
    assert (status, found["passed"]) == (0, True)
    assert {r["rule"] for r in found["results"]} == {n for n in DEFAULTS if rule_of(n)[0].source != "run"}
    assert set(found["not_applied"]) == {n for n in DEFAULTS if rule_of(n)[0].source == "run"}


CASES = {
    # The estimate keeps the limit, the bound that speaks against a release does not.
    "auroc": ("auroc", interval(0.85, 0.69, 0.95)),
    "ece_over_rate": ("calibration", {"ece": interval(0.004, 0.001, 0.011), "brier_skill": interval(0.1, 0.1, 0.1)}),
    "brier_skill": ("calibration", {"ece": interval(0.0, 0.0, 0.001), "brier_skill": interval(0.05, -0.01, 0.1)}),
    "top_lift": ("lift", [{"lift": interval(4.0, 1.4, 9.0)}]),
    "length_correlation": ("length", {"pearson": interval(-0.2, -0.35, 0), "alone": interval(0.5, 0.4, 0.6)}),
    "over_length": ("length", {"pearson": interval(0.0, 0.0, 0.0), "alone": interval(0.79, 0.7, 0.9)}),
    "missing_scores": ("missing", 20),
}


@pytest.mark.parametrize("rule", CASES)
def test_bounds_decide_not_estimates(rule: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = evaluation()
    key, value = CASES[rule]
    found["report"][key] = value
    status, said = gate(tmp_path, capsys, evaluated=found)
    assert status == 1
    assert [r["rule"] for r in said["results"] if not r["passed"]] == [rule]


def without_each_value(tree: Any) -> Iterator[Any]:
    """The tree, each time with one value gone or replaced by one that does not belong there."""
    places = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in list(places):
        changed = [*without_each_value(value), "word", float("nan")]
        for other in changed:
            copied = dict(tree) if isinstance(tree, dict) else list(tree)
            copied[key] = other
            yield copied
        if isinstance(tree, dict):
            yield {name: kept for name, kept in tree.items() if name != key}


def test_a_damaged_file_is_refused_or_fails_and_never_passes_by_an_accident(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    statuses = set()
    for damaged in without_each_value(evaluation()):
        status, found = gate(tmp_path, capsys, evaluated=damaged)
        statuses.add(status)
        assert status in (0, 1) or "--evaluation" in found["error"]
    for damaged in without_each_value(correlation()):
        status, found = gate(tmp_path, capsys, correlated=damaged)
        assert status in (0, 1) or "--correlation" in found["error"]
    for key in summary():
        run = evaluated_run(tmp_path / f"run-{key}", **{key: "word"})
        status, found = gate(tmp_path, capsys, "--run", run)
        assert status in (0, 1) or "--run" in found["error"]
    assert statuses == {0, 1, 2}


def test_a_run_without_strata_is_damaged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "evaluation.jsonl").write_text('{"schema": 1, "step": 3}\n')
    status, found = gate(tmp_path, capsys, "--run", tmp_path)
    assert status == 2
    assert "has no strata" in found["error"]


def test_unknown_is_no_pass(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = evaluation()
    found["time"] = {"later": None, "not_later": None}
    found["report"] |= {"auroc": interval(None, None, None), "calibration": None, "lift": [], "length": None}
    status, said = gate(tmp_path, capsys, evaluated=found)
    failed = [r for r in said["results"] if not r["passed"]]
    assert status == 1
    assert len(failed) == 7  # all of the evaluation's but missing_scores
    assert all(r["reason"].startswith("unknown is not a pass: ") for r in failed)
    few = correlation() | {"pearson": interval(0.99, None, None)}
    _, said = gate(tmp_path, capsys, correlated=few)
    assert "no interval" in by_rule(said)["correlation"]["reason"]


def test_a_source_that_is_not_given_is_unknown_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "evaluation.json").write_text(json.dumps(evaluation()))
    (tmp_path / "rules.yaml").write_text("correlation: off\ncorrelation_left_out: off\n")
    words = ["feedback", "gate", "--evaluation", str(tmp_path / "evaluation.json")]
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 1
    assert "--correlation was not given" in capsys.readouterr().out
    with pytest.raises(SystemExit) as ended:
        main([*words, "--rules", str(tmp_path / "rules.yaml")])
    assert ended.value.code == 0
    out = capsys.readouterr().out
    assert "gate passed" in out
    assert "off: correlation, correlation_left_out" in out


def test_one_policy_that_carries_the_correlation_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    carried = correlation() | {"leave_one_out": {"a": 0.9, "b": 0.1}}
    status, said = gate(tmp_path, capsys, correlated=carried)
    assert status == 1
    assert by_rule(said)["correlation_left_out"]["reason"] == "0.1 is not at least 0.5 (without b)"


def test_runs_are_measured_by_stratum(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = evaluated_run(tmp_path / "run")
    status, said = gate(tmp_path, capsys, "--run", folder, rules="violation/farewell: 0.05\nviolation/style: 0.25\n")
    found = by_rule(said)
    # The judge's satisfied rate 0.96 (0.90 to 0.99) turned round: violations 0.04 (0.01 to 0.10).
    own = found["violation/farewell"]
    assert (own["value"], own["low"], own["high"]) == pytest.approx((0.04, 0.01, 0.1))
    assert not own["passed"]
    assert found["violation/style"]["high"] == 0.2  # a probe's rate is of violations already
    assert found["violation_change/farewell"]["high"] == pytest.approx(0.04)
    assert found["win_rate/helpfulness"]["low"] == 0.45
    assert found["unknown_share"]["value"] == 0.02
    assert found["satisfied_change"]["source"] == f"{folder}, talk"
    assert status == 1
    assert [r["rule"] for r in said["results"] if not r["passed"]] == ["violation/farewell"]


def test_a_judge_without_an_interval_is_turned_round_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = evaluated_run(tmp_path / "run", judges={"farewell": {"rate": 1.0, "low": None, "high": None, "n": 1}})
    _, said = gate(tmp_path, capsys, "--run", folder, rules="violation/farewell: 0.05\n")
    own = by_rule(said)["violation/farewell"]
    assert (own["value"], own["low"], own["high"]) == (0.0, None, None)
    assert own["reason"] == "unknown is not a pass: it has no interval: too little data"


def test_what_no_stratum_measures_is_unknown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = evaluated_run(tmp_path / "run", judges={}, win_rates={}, rewards={"helpfulness": {"mean": 1.0}})
    status, said = gate(tmp_path, capsys, "--run", folder, rules="violation/farewel: 0.5\n")
    found = by_rule(said)
    assert status == 1
    assert "no judge or probe of that name" in found["violation/farewel"]["reason"]
    # The only reward's wins are those of all.
    assert found["win_rate/helpfulness"]["low"] == 0.5


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ("aurok: 0.8\n", "Did you mean 'auroc'?"),
        ("auroc: high\n", "must be a number, or `off`"),
        ("auroc: .nan\n", "must be a number, or `off`"),
        ("violation: 0.1\n", "violation/farewell"),
        ("auroc/love: 0.1\n", "nothing to name after a slash"),
        ("- auroc\n", "`rule: limit` lines"),
        ("auroc: [\n", "cannot be read"),
    ],
)
def test_bad_rules_are_named(rules: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, found = gate(tmp_path, capsys, rules=rules)
    assert status == 2
    assert said in found["error"]


def test_bad_files_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "no evaluation.jsonl" in gate(tmp_path, capsys, "--run", empty)[1]["error"]
    (empty / "evaluation.jsonl").write_text("{")
    status, found = gate(tmp_path, capsys, "--run", empty)
    assert (status, "is damaged" in found["error"]) == (2, True)
    status, found = gate(tmp_path, capsys, evaluated={"schema": 2, "report": {}, "time": {}})
    assert (status, "no evaluation of" in found["error"]) == (2, True)
    with pytest.raises(SystemExit) as ended:
        main(["feedback", "gate"])
    assert ended.value.code == 2


def test_every_default_is_a_rule_and_every_rule_has_a_value() -> None:
    from cgpo.feedback import gate_values

    for name in DEFAULTS:
        rule_of(name)
    tables = {"evaluation": gate_values._EVALUATION, "correlation": gate_values._CORRELATION, "run": gate_values._RUN}
    assert {(rule.source, kind) for kind, rule in RULES.items()} == {
        (source, kind) for source, table in tables.items() for kind in table
    }


def test_a_file_that_is_not_there_is_said_without_error_numbers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for option in ("--evaluation", "--correlation"):
        with pytest.raises(SystemExit) as ended:
            main(["feedback", "gate", option, str(tmp_path / "nowhere")])
        said = capsys.readouterr().err
        assert (ended.value.code, "cannot be read: No such file or directory" in said, "Errno" in said) == (
            2,
            True,
            False,
        )
