"""Two ranks with ZeRO learn what one process learns: same losses, gradient norms and weights."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parent / "learn_fixed.py"


def run(model: str, stage: int, ranks: int, out: Path) -> Any:
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(ranks)]
    command = [*launch, str(SCRIPT), model, str(stage), str(out)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return json.loads(out.read_text())


@pytest.fixture(scope="module")
def alone(tiny_model: str, tmp_path_factory: pytest.TempPathFactory) -> Any:
    return run(tiny_model, 0, 1, tmp_path_factory.mktemp("ranks") / "one.json")


@pytest.mark.parametrize("stage", [0, 2, 3])
def test_two_ranks_equal_one(alone: Any, tiny_model: str, tmp_path: Path, stage: int) -> None:
    both = run(tiny_model, stage, 2, tmp_path / "two.json")
    assert both["ranks"] == 2
    for one, two in zip(alone["steps"], both["steps"], strict=True):
        assert two["losses"] == pytest.approx(one["losses"], rel=1e-4)
        assert two["grad_norm"] == pytest.approx(one["grad_norm"], rel=1e-4)
    assert both["weights"] == pytest.approx(alone["weights"], rel=1e-5)


def test_the_steps_did_move_the_weights(alone: Any) -> None:
    assert all(step["grad_norm"] > 0 for step in alone["steps"])
    first, second = alone["steps"]
    assert first["losses"] != second["losses"]
