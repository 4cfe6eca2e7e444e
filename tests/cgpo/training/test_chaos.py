"""Judges that hang, die, lie and raise for some or all responses, in whole short runs and over many seeds.

Which responses go wrong is decided by their text, so that two runs meet the same chaos.
"""

from __future__ import annotations

import json
import textwrap
import time
from pathlib import Path
from typing import Any

import pytest
from tiny_experiment import write_inputs

from cgpo.commands.train import run_training
from cgpo.compose import Composed, validate
from cgpo.errors import LimitError
from cgpo.tracking.rollouts import read_rollouts
from judges.verdict import Outcome

Tree = dict[str, Any]

TIMEOUT = 0.5
JUDGE = f"""
    import os, time, zlib
    from judges import Judge, Verdict

    class Chaos(Judge):
        \"\"\"The length of a response, decided in one of several bad ways for a share of them.\"\"\"
        timeout_seconds = {TIMEOUT}
        def __init__(self, share: float = 0.0):
            self.share = share
        def judge(self, row):
            drawn = zlib.crc32(row.response.encode()) % 1000
            if drawn < 1000 * self.share:
                way = drawn // 5 % 5
                if way == 0: time.sleep(60)
                if way == 1: os._exit(7)
                if way == 2: return Verdict.satisfied(score=float("nan"))
                if way == 3: return "satisfied"
                raise RuntimeError("no judge today")
            if drawn % 7 == 0: time.sleep({TIMEOUT / 5})  # late, but in time
            return Verdict.of(len(row.response) % 2 == 0)
"""


def install_judge(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes `chaos` a judge, here and in worker processes."""
    plugin = folder / "plugin"
    info = plugin / "chaos-1.0.dist-info"
    info.mkdir(parents=True)
    (plugin / "chaos.py").write_text(textwrap.dedent(JUDGE))
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: chaos\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[cgpo.judges]\nchaos = chaos:Chaos\n")
    monkeypatch.syspath_prepend(str(plugin))


@pytest.fixture
def tree(tiny_model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tree:
    """A run of one step over 24 responses, whose judge fails as `share` says."""
    install_judge(tmp_path, monkeypatch)
    write_inputs(tmp_path, tiny_model)
    stratum = {
        "prompts": str(tmp_path / "train.jsonl"),
        "prompts_per_step": 6,
        "generations_per_prompt": 4,
        "sampling": {"max_tokens": 8},
        "judges": [{"name": "chaos", "share": 0.4}],
        "rewards": {"any": 1.0},
        "optimizer": {"name": "rloo"},
        "max_unknown_rate": 1.0,
    }
    return {
        "run_dir": str(tmp_path / "run"),
        "model": {"name": tiny_model, "context_length": 128},
        "rewards": {"any": {"model": str(tmp_path / "reward")}},
        "strata": {"a": stratum},
        "train": {"steps": 1, "learning_rate": 1e-3, "save_every": 1},
        "rollout": {"engine": "hf", "max_logprob_gap": 0.001},
        "judging": {"processes": 2},
        "tracking": {"tensorboard": False, "display": "plain"},
    }


def train(tree: Tree) -> dict[str, float | None]:
    run_training(Composed(validate(tree), "test"))
    lines = (Path(tree["run_dir"]) / "metrics.jsonl").read_text().splitlines()
    metrics: dict[str, float | None] = json.loads(lines[0])["metrics"]
    return metrics


def test_what_a_bad_judge_leaves_unknown_is_counted_and_not_learnt_from(tree: Tree) -> None:
    some = tree["strata"]["a"]
    tree["strata"]["b"] = some | {"prompts_per_step": 2, "judges": [{"name": "chaos", "share": 1.0}]}
    metrics = train(tree)
    rows = read_rollouts(Path(tree["run_dir"]) / "rollouts")[1]
    unknown = {name: [r for r in rows if r.stratum == name and r.outcome is Outcome.UNKNOWN] for name in "ab"}
    reasons = " ".join(row.verdicts["chaos"].reason for row in unknown["a"] + unknown["b"])
    ways = ("timed out after 0.5 s", "died (exit status 7)", "nan", "not a Verdict", "no judge today")
    assert sum(way in reasons for way in ways) >= 3  # which ones depends on the texts, and they on the processor
    assert 0 < len(unknown["a"]) < 24
    assert (metrics["a/unknown_rate"], metrics["b/unknown_rate"]) == (pytest.approx(len(unknown["a"]) / 24), 1.0)
    assert all(row.weight in (None, 0.0) for row in unknown["a"] + unknown["b"])
    assert metrics["train/grad_norm"]  # of a's other responses
    assert any(row.weight for row in rows)


def test_the_limit_stops_the_run_with_the_judge_s_reason_and_in_time(tree: Tree) -> None:
    tree["strata"]["a"] |= {"judges": [{"name": "chaos", "share": 1.0}], "max_unknown_rate": 0.9}
    started = time.monotonic()
    with pytest.raises(LimitError, match=r"judge 'chaos' of stratum 'a' gave no verdict on 24 of 24 responses"):
        train(tree)
    # Each response costs at most its limit and a new worker; nothing waits for a worker that hangs.
    assert time.monotonic() - started < 24 * (TIMEOUT + 5)
