"""Where ranks meet: what srun says, in torch's words."""

from __future__ import annotations

import pytest

from cgpo.distributed import slurm_ranks
from cgpo.errors import ConfigError

STEP = {
    "SLURM_PROCID": "1",
    "SLURM_LOCALID": "1",
    "SLURM_STEP_NUM_TASKS": "2",
    "SLURM_JOB_ID": "7",
    "SLURM_STEP_ID": "0",
}


def test_ranks_of_one_step_meet_at_the_same_place() -> None:
    first, second = slurm_ranks({**STEP, "SLURM_PROCID": "0", "SLURM_LOCALID": "0"}), slurm_ranks(STEP)
    assert (first["RANK"], second["RANK"], second["WORLD_SIZE"], second["LOCAL_RANK"]) == ("0", "1", "2", "1")
    for key in ("MASTER_ADDR", "MASTER_PORT"):
        assert first[key] == second[key]
    assert slurm_ranks({**STEP, "SLURM_JOB_ID": "8"})["MASTER_PORT"] != first["MASTER_PORT"]


def test_several_nodes_need_an_address() -> None:
    with pytest.raises(ConfigError, match="MASTER_ADDR"):
        slurm_ranks({**STEP, "SLURM_STEP_NUM_NODES": "2"})
    assert "MASTER_ADDR" not in slurm_ranks({**STEP, "SLURM_STEP_NUM_NODES": "2", "MASTER_ADDR": "node1"})
