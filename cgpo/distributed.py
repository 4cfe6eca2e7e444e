"""The process group: one program on every rank, one rank when started plainly.

`torchrun`, `deepspeed` and `srun` set RANK and WORLD_SIZE; without them this process is rank 0 of 1 and meets
itself on a free port of the loopback address. Reductions run in float64 so that sums over ranks do not depend on
how the samples were split beyond float32 rounding.

A rank that broke off alone would leave the others waiting in the next collective. So work that a rank does by itself
stands in `together`: what fails there on one rank is raised on every rank, the next time they meet in any function of
this module. Outside of it, in DeepSpeed's own collectives (forward and backward pass, optimiser step, weights gathered
under ZeRO-3) and while vLLM starts, a rank that fails ends its process, and the launcher ends the others.
"""

from __future__ import annotations

import math
import os
import socket
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import torch
import torch.distributed as dist

from cgpo.errors import CgpoError, ConfigError, RunError

ResultT = TypeVar("ResultT")
ErrorT = TypeVar("ErrorT", bound=Exception)

COLLECTIVE_TIMEOUT = timedelta(minutes=30)
"""How long a rank waits for the others: judging and generation may take unequally long on each."""

_KNOWN = "_cgpo_known_to_all_ranks"


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
        # DeepSpeed and vLLM take the device's number from there too.
        os.environ["LOCAL_RANK"] = str(device_number(os.environ, torch.cuda.device_count()))
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


def device_number(environment: Mapping[str, str], visible: int) -> int:
    """Which of the GPUs that this rank can see is its own.

    `torchrun`, `deepspeed` and `srun` without binding show all of a machine's GPUs to each rank: its own has its number
    there. `srun` with `--gpus-per-task` or `--gpu-bind` shows each task its own ones, which count from 0 for each.

    Args:
        environment: with LOCAL_RANK, and Slurm's variables of the step where srun started this process.
        visible: GPUs that this process can see, at least 1.

    Raises:
        ConfigError: ranks of this machine would have to share a GPU.
    """
    number, given = int(environment.get("LOCAL_RANK", "0")), environment.get("CUDA_VISIBLE_DEVICES")
    by_srun = environment.get("SLURM_LOCALID") == environment.get("LOCAL_RANK") and "SLURM_STEP_ID" in environment
    tasks = _tasks_here(environment) if by_srun else None
    if tasks is not None and visible < tasks and _gpus_of_node(environment, visible) >= tasks:
        return 0
    if number < visible:
        return number
    raise ConfigError(
        f"this is rank {number} of its machine (counted from 0), and it sees {visible} GPU{'s' * (visible != 1)}"
        f"{f' (CUDA_VISIBLE_DEVICES={given})' if given is not None else ''}: ranks would have to share one. "
        "Start at most as many ranks on a machine as it has GPUs"
    )


def _tasks_here(environment: Mapping[str, str]) -> int | None:
    """Tasks of the step on this node, from a list such as "4(x2),3"; None where Slurm does not say."""
    counts: list[int] = []
    for part in filter(None, environment.get("SLURM_STEP_TASKS_PER_NODE", "").split(",")):
        tasks, _, times = part.partition("(x")
        counts += [int(tasks)] * int(times.rstrip(")") or 1)
    node = int(environment.get("SLURM_NODEID", "0"))
    return counts[node] if node < len(counts) else None


def _gpus_of_node(environment: Mapping[str, str], visible: int) -> int:
    """GPUs that the step has on this node; where Slurm does not say, one for each task is believed."""
    named = environment.get("SLURM_GPUS_ON_NODE", "")
    return int(named) if named.isdigit() else sys.maxsize if visible == 1 else visible


def _find_programs_of_environment() -> None:
    """Puts the environment's own programs on PATH: DeepSpeed builds its operators with the `ninja` it finds there.

    A command started as `.venv/bin/cgpo`, without activating the environment, would not see it.
    """
    folder = str(Path(sys.executable).parent)
    path = os.environ.get("PATH", os.defpath)
    if folder not in path.split(os.pathsep):
        os.environ["PATH"] = folder + os.pathsep + path


def close_distributed() -> None:
    """Leaves the process group, if `init_distributed` joined one.

    Not after an error that the other ranks may not have met: under NCCL all have to leave together. The group then ends
    with the process.
    """
    if "deepspeed" not in sys.modules:
        return  # a command that was refused does not load it to say so
    error = sys.exception()
    if world_size() > 1 and error is not None and not is_known_to_all(error):
        return
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
    return [sum(column) for column in zip(*gather_objects([float(v) for v in values]), strict=True)]


def all_max(value: float) -> float:
    """The largest value over all ranks; −inf for a rank that has none. NaN where one is NaN."""
    values = gather_objects(float(value))
    return math.nan if any(math.isnan(v) for v in values) else max(values)


def any_rank(flag: bool) -> bool:
    """True on every rank when it is true on one."""
    return any(gather_objects(flag))


def barrier() -> None:
    """Waits for every rank."""
    gather_objects(None)


def gather_objects(value: Any) -> list[Any]:
    """The picklable `value` of every rank, in rank order, on every rank. Whatever else ranks tell each other is this.

    Raises:
        CgpoError: a rank broke off in `together` and has nothing to give; it is named, with its message.
    """
    if world_size() == 1:
        return [value]
    values: list[Any] = [None] * world_size()
    dist.all_gather_object(values, value)
    for number, theirs in enumerate(values):
        if isinstance(theirs, _BrokenOff):
            raise _known_to_all(theirs.kind(f"rank {number}: {theirs.message}"))
    return values


@contextmanager
def together() -> Iterator[None]:
    """What stands inside ends on all ranks or on none. Every rank enters it.

    Inside, ranks work by themselves and may meet through this module, but not through DeepSpeed: a rank that breaks off
    goes to the next meeting to say so, and the others must come there.

    Raises:
        Exception: what was raised inside, on the rank where it was.
        CgpoError: of the same class, or a RunError where it was no CgpoError, on the others: the rank and its message.
            Where several ranks failed in different ways, the first of them decides.
    """
    try:
        yield
    except Exception as error:
        if world_size() > 1 and not is_known_to_all(error):
            _say_broken_off(error)
        raise
    barrier()


def on_first_rank(do: Callable[[], ResultT]) -> ResultT:
    """What `do` gives on rank 0, on every rank; every rank calls this, and the others do not call `do`.

    Raises:
        Exception: what `do` raised, on every rank as in `together`.
    """
    with together():
        outcome = do() if rank() == 0 else None
        everywhere: ResultT = gather_objects(outcome)[0]
    return everywhere


@dataclass(frozen=True)
class _BrokenOff:
    """What a rank that broke off gives in place of a value."""

    kind: type[CgpoError]
    message: str

    @classmethod
    def of(cls, error: Exception) -> _BrokenOff:
        if isinstance(error, CgpoError):
            return cls(type(error), str(error))
        return cls(RunError, f"{type(error).__name__}: {error}")


def _say_broken_off(error: Exception) -> None:
    """Lets every rank know of this rank's error; raises another rank's where that decides."""
    mine = _BrokenOff.of(error)
    try:
        gather_objects(mine)
    except CgpoError as decided:
        if type(decided) is not mine.kind:
            raise decided from error
        _known_to_all(error)
    except RuntimeError:  # the others have ended, and their connections with them: this rank's own error is told
        return


def _known_to_all(error: ErrorT) -> ErrorT:
    """Marks an error that every rank raises, so that no rank tells the others of it once more."""
    setattr(error, _KNOWN, True)
    return error


def is_known_to_all(error: BaseException | None) -> bool:
    """Whether every rank raises it, or what it was made of (`raise … from error`)."""
    while error is not None:
        if hasattr(error, _KNOWN):
            return True
        error = error.__cause__
    return False


def _free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])
