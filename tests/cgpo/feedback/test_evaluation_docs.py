"""The commands of docs/feedback.md on evaluating, correlating and the gate run as they stand, on a small model."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from cgpo.cli import main
from cgpo.feedback.gate import DEFAULTS, read_rules, rule_of
from cgpo.rewards.heads import Head, write_heads
from cgpo.rewards.loading import load_base

TEXT = (Path(__file__).parents[3] / "docs" / "feedback.md").read_text()
COMMANDS = [
    line.strip()
    for block in re.findall(r"```bash\n(.*?)```", TEXT, re.DOTALL)
    for line in block.splitlines()
    if re.match(r"cgpo feedback (evaluate|correlate|gate) ", line)
]
(YAML,) = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)


@pytest.fixture(scope="module")
def folder(tiny_model: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the commands name: a model, a prepared folder, responses of four policies, observed rates, a run."""
    found = tmp_path_factory.mktemp("docs")
    network, tokenizer = load_base(tiny_model, "reward_stage.base", seed=1)
    network.save_pretrained(found / "runs" / "love" / "model")
    tokenizer.save_pretrained(found / "runs" / "love" / "model")
    write_heads(found / "runs" / "love" / "model", [Head("love", "pointwise", training_rate=0.1, true_rate=0.2)])
    rows = [
        {
            "schema": 1,
            "prompt": [{"role": "user", "content": f"Tell me of {i // 4}."}],
            "response": f"It is {i}." + " Well." * (i % 4),
            "label": int(i % 5 == 0),
            "time": 1000 + i,
            "user": f"u{i % 7}",
            "policy": f"p{i % 4}",
        }
        for i in range(32)
    ]
    prepared = found / "prepared"
    prepared.mkdir()
    (prepared / "train.jsonl").write_text(json.dumps(rows[0] | {"time": 999}) + "\n")
    (prepared / "heldout.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (prepared / "report.json").write_text(json.dumps({"schema": 1, "true_rate": 0.2, "training_rate": 0.1}))
    keys = ("policy", "prompt", "response")
    (found / "responses.jsonl").write_text("".join(json.dumps({k: row[k] for k in keys}) + "\n" for row in rows))
    (found / "rates.csv").write_text("policy,positives,n\np0,10,900\np1,20,900\np2,30,900\np3,44,900\n")
    (found / "rules.yaml").write_text(YAML)
    (found / "runs" / "rluf").mkdir()
    summary = {"n": 8, "unknown": 0, "judges": {"farewell": {"rate": 1.0, "low": 0.7, "high": 1.0}}}
    line = {"schema": 1, "step": 8, "strata": {"small_talk": summary}}
    (found / "runs" / "rluf" / "evaluation.jsonl").write_text(json.dumps(line) + "\n")
    return found


def test_commands_run_in_the_order_of_the_page(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    assert [line.split()[2] for line in COMMANDS] == ["evaluate", "correlate", "gate", "gate"]
    for line in COMMANDS:
        with pytest.raises(SystemExit) as ended:
            main(shlex.split(line)[1:])
        # An untrained model does not pass the gate; that it was asked is what counts.
        assert ended.value.code == (1 if " gate " in line else 0), capsys.readouterr().err
    correlation = json.loads((folder / "correlation" / "correlation.json").read_text())
    assert (correlation["n"], correlation["score"], correlation["warnings"]) == (4, "P[love]", [])
    assert all(0 < one["offline"]["estimate"] < 1 for one in correlation["policies"])


def test_the_example_of_rules_is_one(folder: Path) -> None:
    rules = read_rules(folder / "rules.yaml")
    assert rules.off == ("correlation", "correlation_left_out")
    assert rules.limits["auroc"] == 0.8
    assert "violation/farewell" in rules.named


def test_the_table_of_rules_is_true() -> None:
    rows = dict(re.findall(r"^\| `([a-z_/]+)` \| .* \| (at (?:least|most) [-0-9.]+) \|$", TEXT, re.MULTILINE))
    assert rows == {name: f"{rule_of(name)[0].direction} {limit:g}" for name, limit in DEFAULTS.items()}
