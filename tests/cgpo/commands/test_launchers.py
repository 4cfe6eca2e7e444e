"""A command that is refused says so once, whatever launched its ranks; each launcher by the variables that it sets."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

REFUSED = ["train", "experiment=quickstart", "train.steps=-1"]
MISSPELT = ["train", "experiment=quickstart", "--freshh"]
TOLD = {
    "settings": "cgpo train: train.steps = -1: should be greater than or equal to 1",
    "usage": "cgpo: error: unrecognized arguments: --freshh. Did you mean '--fresh'?",
}


def variables(launcher: str, rank: int) -> dict[str, str]:
    """What a rank of two finds in its environment."""
    if launcher == "srun":
        return {
            "SLURM_JOB_ID": "7",
            "SLURM_STEP_ID": "0",
            "SLURM_PROCID": str(rank),
            "SLURM_LOCALID": str(rank),
            "SLURM_STEP_NUM_TASKS": "2",
        }
    return {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": "29500",
    }


def start(launcher: str, rank: int, arguments: list[str], report: Path) -> subprocess.Popen[str]:
    if launcher == "deepspeed":
        arguments = [f"--local_rank={rank}", *arguments]
    environment = {**os.environ, **variables(launcher, rank)}
    if launcher == "torchrun":
        environment["TORCHELASTIC_ERROR_FILE"] = str(report)
    command = [sys.executable, "-m", "cgpo", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


@pytest.mark.parametrize("launcher", ["torchrun", "deepspeed", "srun"])
def test_a_refusal_is_rank_0_s_to_tell_and_the_others_wait_to_be_ended(launcher: str, tmp_path: Path) -> None:
    ranks = {
        (kind, rank): start(launcher, rank, arguments, tmp_path / f"{kind}{rank}.json")
        for kind, arguments in (("settings", REFUSED), ("usage", MISSPELT))
        for rank in (0, 1)
    }
    said = {key: process.communicate() for key, process in ranks.items()}
    assert {process.returncode for process in ranks.values()} == {2}
    for kind, told in TOLD.items():
        (_, first), (_, second) = said[kind, 0], said[kind, 1]
        *before, last = first.splitlines()
        assert last.startswith(told)
        assert all(line.startswith(("usage: ", " ")) for line in before), "nothing but the usage stands before it"
        assert second.startswith(f"rank 1: {told}"), "had the launcher not ended it, it would not be silent"
        assert len(second.splitlines()) == 1
        if launcher == "torchrun":
            quoted = json.loads((tmp_path / f"{kind}0.json").read_text())["message"]
            assert quoted.startswith(told)
