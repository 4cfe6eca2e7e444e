"""An adapter on two ranks, balanced by tokens, under ZeRO 0 to 3, learns what it learns in one process.

Tolerances: sums in another order differ by about 1e-7; AdamW divides by a gradient's size, so that the rounding of one
that is nearly 0 moves a weight by a visible part of the learning rate (1e-2).
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from lora_ranks import STAGES, learn


@pytest.mark.usefixtures("process_group")
def test_two_ranks_equal_one_under_every_stage(tiny_model: str, tmp_path: Path) -> None:
    alone = learn(tiny_model, 0)
    out = tmp_path / "two.json"
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    script = Path(__file__).parent / "lora_ranks.py"
    done = subprocess.run([*launch, str(script), tiny_model, str(out)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    both = json.loads(out.read_text())
    assert all(norm > 0 for norm in alone["norms"])
    for stage in STAGES:
        found = both[str(stage)]
        assert found["norms"] == pytest.approx(alone["norms"], rel=1e-4), stage
        assert found["logprobs"] == pytest.approx(alone["logprobs"], abs=2e-4), stage
        assert found["merged"] == pytest.approx(alone["merged"], rel=1e-5), stage
        assert found["reference_moved"] == 0, stage
