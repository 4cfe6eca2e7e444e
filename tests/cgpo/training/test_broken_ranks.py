"""What fails on one of two ranks of a training ends on both, wherever it is (`broken_ranks.py`), and within seconds."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time

import broken_ranks
import pytest
from tiny_experiment import write_inputs

FULL = "OSError: [Errno 28] No space left on device"
HERE = {
    "rewind": FULL,
    "baselines": FULL,
    "engine": "RuntimeError: an illegal memory access",
    "reward": "ConfigError: reward 'any' gave 1 scores for",
    "judge": "TypeError: no such argument",
    "probe": "ValueError: no logits",
    "journal": FULL,
    "optimiser": "KeyError: 'helpfulness'",
    "layout": "ValueError: too long",
    "state": "ZeroDivisionError: division by zero",
    "rollouts": FULL,
    "metrics": FULL,
    "signal": "RuntimeError: no such stratum",
    "checkpoint": "RunError: the checkpoint of step 1 could not be written",
    "forget": FULL,
    "evaluation": FULL,
    "logger": "RuntimeError: wandb: run has finished",
}
"""Where it fails → what the rank where it failed raised."""

FIRST = ("rewind", "baselines", "layout", "rollouts", "metrics", "evaluation", "logger")
"""Those that fail on rank 0; the others on rank 1."""

ENDED_SECONDS = 90.0
"""A launcher leaves the other ranks half a minute after its signal before it kills them."""


@pytest.fixture(scope="module")
def outcome(tiny_model: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, float]:
    """What both ranks printed, and how long the launcher lived after one rank had failed alone."""
    folder = tmp_path_factory.mktemp("broken")
    write_inputs(folder, tiny_model)
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    ours = {"RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"}
    env = {key: value for key, value in os.environ.items() if key not in ours}
    command = [*launch, broken_ranks.__file__, str(folder)]
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)
    ended = time.time()
    assert done.returncode != 0
    alone = folder / "alone-1"
    assert alone.exists(), done.stdout[-3000:] + done.stderr[-6000:]
    assert "out of memory" in done.stderr
    return done.stdout, ended - alone.stat().st_mtime


@pytest.mark.parametrize("place", HERE)
def test_both_ranks_end_with_what_one_of_them_said(place: str, outcome: tuple[str, float]) -> None:
    lines = dict(re.findall(rf"([01]), {place}: (.*)", outcome[0]))
    failed = "0" if place in FIRST else "1"
    assert lines[failed].startswith(HERE[place])
    kind = "ConfigError" if HERE[place].startswith("ConfigError") else "RunError"
    assert lines["1" if failed == "0" else "0"].startswith(f"{kind}: rank {failed}: ")


def test_a_rank_that_fails_in_the_backward_pass_ends_all(outcome: tuple[str, float]) -> None:
    assert outcome[1] < ENDED_SECONDS
