"""Where ranks meet: what srun says, in torch's words."""

from __future__ import annotations

import pytest

from cgpo.distributed import device_number, slurm_ranks
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


SRUN = {"SLURM_STEP_ID": "0", "SLURM_STEP_TASKS_PER_NODE": "4(x2)", "SLURM_GPUS_ON_NODE": "4"}


def srun(local: int, **more: str) -> dict[str, str]:
    return SRUN | {"SLURM_LOCALID": str(local), "LOCAL_RANK": str(local)} | more


@pytest.mark.parametrize(
    ("environment", "visible", "expected"),
    [
        ({}, 1, 0),
        ({"LOCAL_RANK": "0"}, 8, 0),
        ({"LOCAL_RANK": "7"}, 8, 7),
        ({"LOCAL_RANK": "1", "CUDA_VISIBLE_DEVICES": "4,6"}, 2, 1),
        ({"LOCAL_RANK": "1", "CUDA_VISIBLE_DEVICES": "GPU-5f,GPU-6a"}, 2, 1),
        (srun(3), 4, 3),  # all GPUs visible
        (srun(3, CUDA_VISIBLE_DEVICES="0"), 1, 0),  # bound, renumbered by the control group
        (srun(3, CUDA_VISIBLE_DEVICES="3"), 1, 0),
        (srun(1, SLURM_STEP_TASKS_PER_NODE="2", SLURM_GPUS_ON_NODE="4"), 2, 1),  # all of them, or two for each task?
        (srun(3, SLURM_GPUS_ON_NODE="8"), 2, 0),  # two for each task
        (srun(2, SLURM_STEP_TASKS_PER_NODE="1,3", SLURM_NODEID="1", SLURM_GPUS_ON_NODE="3"), 1, 0),
        ({k: v for k, v in srun(3).items() if k != "SLURM_GPUS_ON_NODE"}, 1, 0),  # an old Slurm
        # torchrun as the one task of a step: its ranks see all GPUs of the task
        ({"LOCAL_RANK": "2", "SLURM_LOCALID": "0", "SLURM_STEP_ID": "0", "SLURM_STEP_TASKS_PER_NODE": "1"}, 4, 2),
    ],
)
def test_each_rank_has_its_gpu(environment: dict[str, str], visible: int, expected: int) -> None:
    assert device_number(environment, visible) == expected


@pytest.mark.parametrize(
    ("environment", "visible"),
    [
        ({"LOCAL_RANK": "1"}, 1),
        ({"LOCAL_RANK": "2", "CUDA_VISIBLE_DEVICES": "GPU-5f,GPU-6a"}, 2),
        (srun(1, SLURM_GPUS_ON_NODE="1"), 1),  # one GPU for four tasks
        (srun(3, SLURM_GPUS_ON_NODE="2"), 2),
    ],
)
def test_ranks_that_would_share_a_gpu_are_refused(environment: dict[str, str], visible: int) -> None:
    with pytest.raises(
        ConfigError, match=rf"rank \d of its machine .* sees {visible} GPUs?\b.*would have to share one"
    ):
        device_number(environment, visible)
