"""The process group: one program on every rank, one rank when started plainly.

`torchrun`, `deepspeed` and `srun` set RANK and WORLD_SIZE; without them this process is rank 0 of 1 and meets
itself on a free port of the loopback address. Reductions run in float64 so that sums over ranks do not depend on
how the samples were split beyond float32 rounding.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import torch
import torch.distributed as dist

from cgpo.errors import CgpoError, ConfigError

ResultT = TypeVar("ResultT")

COLLECTIVE_TIMEOUT = timedelta(minutes=30)
"""How long a rank waits for the others: judging and generation may take unequally long on each."""


def read_ranks() -> None:
    """Fills the rank variables for a plain start and maps Slurm's to torch's, before the process group is joined.

    Raises:
        ConfigError: where rank 0 is met is not known.
    """
    if "RANK" not in os.environ and int(os.environ.get("SLURM_STEP_NUM_TASKS", "1")) > 1:
        os.environ.update(slurm_ranks(os.environ))
    for key, alone in {"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0", "MASTER_ADDR": "127.0.0.1"}.items():
        os.environ.setdefault(key, alone)


def init_distributed() -> None:
    """Joins the process group through DeepSpeed (idempotent): NCCL on GPUs, gloo on CPUs.

    Fills the rank variables as `read_ranks` does.
    """
    import deepspeed

    if deepspeed.comm.is_initialized():
        return
    read_ranks()
    if "MASTER_PORT" not in os.environ:
        os.environ["MASTER_PORT"] = str(_free_port())
    _find_programs_of_environment()
    if torch.cuda.is_available():
        torch.cuda.set_device(local_rank())
    backend = "nccl" if torch.cuda.is_available() else "gloo"
    _build_no_operator(deepspeed)
    deepspeed.init_distributed(dist_backend=backend, timeout=COLLECTIVE_TIMEOUT, verbose=False)


def _build_no_operator(deepspeed: Any) -> None:
    """Keeps DeepSpeed from compiling its shared-memory all-reduce when it joins the process group on a CPU.

    Only DeepSpeed's tensor-parallel inference calls it, which is not used here. It takes half a minute of compiling in
    every new environment, and a process killed meanwhile leaves a lock for which all later ones wait without a word.
    """
    deepspeed.ops.__compatible_ops__ = {}  # of all DeepSpeed, only that operator's loading looks here


def slurm_ranks(environment: Mapping[str, str]) -> dict[str, str]:
    """Torch's variables from those of `srun` for the step: ranks, and where rank 0 is met.

    The first host of a step on one node is where srun was started; several nodes need MASTER_ADDR, because the names
    of the others are packed in a list that only `scontrol show hostnames` unpacks.

    Raises:
        ConfigError: the step spans nodes and MASTER_ADDR is not set.
    """
    variables = {
        "RANK": environment["SLURM_PROCID"],
        "WORLD_SIZE": environment["SLURM_STEP_NUM_TASKS"],
        "LOCAL_RANK": environment["SLURM_LOCALID"],
    }
    if "MASTER_ADDR" not in environment:
        if int(environment.get("SLURM_STEP_NUM_NODES", "1")) > 1:
            raise ConfigError(
                "srun over several nodes: set MASTER_ADDR to the first node before srun, e.g. "
                "export MASTER_ADDR=$(scontrol show hostnames $SLURM_JOB_NODELIST | head -n 1)"
            )
        variables["MASTER_ADDR"] = "127.0.0.1"
    if "MASTER_PORT" not in environment:
        # The same on every rank, and another one for each step of each job.
        job, step = int(environment.get("SLURM_JOB_ID", "0")), int(environment.get("SLURM_STEP_ID", "0"))
        variables["MASTER_PORT"] = str(20000 + (job * 31 + step) % 20000)
    return variables


def _find_programs_of_environment() -> None:
    """Puts the environment's own programs on PATH: DeepSpeed builds its operators with the `ninja` it finds there.

    A command started as `.venv/bin/cgpo`, without activating the environment, would not see it.
    """
    folder = str(Path(sys.executable).parent)
    path = os.environ.get("PATH", os.defpath)
    if folder not in path.split(os.pathsep):
        os.environ["PATH"] = folder + os.pathsep + path


def close_distributed() -> None:
    """Leaves the process group, if `init_distributed` joined one."""
    if "deepspeed" not in sys.modules:
        return  # a command that was refused does not load it to say so
    import deepspeed

    if deepspeed.comm.is_initialized():
        # DeepSpeed's own: it also forgets the groups it keeps, without which a second start in this process fails.
        deepspeed.comm.destroy_process_group()


def rank() -> int:
    """This process's number, 0 … world_size − 1."""
    return dist.get_rank() if dist.is_initialized() else int(os.environ.get("RANK", "0"))


def local_rank() -> int:
    """This process's number on its machine."""
    return int(os.environ.get("LOCAL_RANK", "0"))


def world_size() -> int:
    """Number of processes."""
    return dist.get_world_size() if dist.is_initialized() else int(os.environ.get("WORLD_SIZE", "1"))


def device() -> torch.device:
    """Where this rank computes: its GPU, or the CPU."""
    return torch.device("cuda", local_rank()) if torch.cuda.is_available() else torch.device("cpu")


def all_sum(values: list[float]) -> list[float]:
    """Sums each value over all ranks, in float64."""
    if world_size() == 1:
        return list(values)
    tensor = torch.tensor(values, dtype=torch.float64, device=device())
    dist.all_reduce(tensor)
    return [float(v) for v in tensor.tolist()]


def all_max(value: float) -> float:
    """The largest value over all ranks; −inf for a rank that has none."""
    if world_size() == 1:
        return value
    tensor = torch.tensor([value], dtype=torch.float64, device=device())
    dist.all_reduce(tensor, op=dist.ReduceOp.MAX)
    return float(tensor.item())


def gather_objects(value: Any) -> list[Any]:
    """The picklable `value` of every rank, in rank order, on every rank."""
    if world_size() == 1:
        return [value]
    values: list[Any] = [None] * world_size()
    dist.all_gather_object(values, value)
    return values


def on_first_rank(do: Callable[[], ResultT]) -> ResultT:
    """What `do` gives on rank 0, on every rank; every rank calls this, and the others do not call `do`.

    Raises:
        CgpoError: what `do` raised on rank 0, on every rank, so that none is left waiting.
    """
    outcome: ResultT | CgpoError | None = None
    if rank() == 0:
        try:
            outcome = do()
        except CgpoError as error:
            outcome = error
    everywhere: ResultT | CgpoError = gather_objects(outcome)[0]
    if isinstance(everywhere, CgpoError):
        raise everywhere
    return everywhere


def any_rank(flag: bool) -> bool:
    """True on every rank when it is true on one."""
    return all_max(1.0 if flag else 0.0) > 0


def barrier() -> None:
    """Waits for every rank."""
    if world_size() > 1:
        dist.barrier()


def _free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])
