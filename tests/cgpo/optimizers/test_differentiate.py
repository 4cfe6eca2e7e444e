"""A loss that cannot be learnt from, or cannot be computed, stops every rank, whichever rank it is on.

As a program it is one of two ranks: `test_differentiate.py RANK MEETING_FILE`.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from batches import make_batch, on_ranks_call

from cgpo import distributed
from cgpo.errors import RunError
from cgpo.optimizers.base import Loss, Ranks, StratumBatch, StratumOptimizer, differentiate
from cgpo.optimizers.crpg import CrpgSettings


class RootOfLogProbs(StratumOptimizer[CrpgSettings]):
    """Its loss is finite everywhere, its derivative infinite where a log-prob is 0."""

    Settings = CrpgSettings

    def loss(self, batch: StratumBatch, ranks: Ranks) -> Loss:
        return Loss(batch.logprobs.neg().sqrt().sum())


class Plugin(StratumOptimizer[CrpgSettings]):
    """Meets the other ranks twice; where a batch has one sample it does not come to the second meeting."""

    Settings = CrpgSettings

    def loss(self, batch: StratumBatch, ranks: Ranks) -> Loss:
        ranks.sum([1.0, 2.0])
        if len(batch.prompt) == 1:
            raise KeyError("no reward of that name")
        return Loss(batch.logprobs.sum() / ranks.max(float(len(batch.prompt))))


SOUND = make_batch([True, True])
BROKEN = make_batch([True], log_ratio=[20.0])
"""log π = −20 + 20."""


def refusal(ranks: Ranks, batch: StratumBatch) -> str:
    with pytest.raises(RunError, match="derivative is not finite") as raised:
        differentiate(RootOfLogProbs(CrpgSettings()), batch, ranks)
    return str(raised.value)


def test_a_derivative_that_is_not_finite_on_one_rank_stops_all() -> None:
    assert torch.equal(BROKEN.logprobs, torch.zeros_like(BROKEN.logprobs))
    first, second = on_ranks_call([lambda ranks: refusal(ranks, SOUND), lambda ranks: refusal(ranks, BROKEN)])
    assert first == second


def test_two_processes_end_with_the_same_error_and_with_a_plugins(tmp_path: Path) -> None:
    program = [sys.executable, __file__]
    ours = {"RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"}
    env = {key: value for key, value in os.environ.items() if key not in ours}
    started = [
        subprocess.Popen(
            [*program, str(rank), str(tmp_path / "meeting")],
            env=env,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for rank in range(2)
    ]
    try:
        (first, problem), (second, other_problem) = [process.communicate(timeout=120) for process in started]
    finally:
        for process in started:
            process.kill()
    said, plugin = first.splitlines()
    assert "derivative is not finite" in said, problem
    assert plugin == "RunError: rank 1: KeyError: 'no reward of that name'"
    assert second.splitlines() == [said, "KeyError: 'no reward of that name'"], other_problem


def main(rank: int, meeting: str) -> None:
    torch.distributed.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=2)
    ranks, batch = Ranks(distributed.all_sum, distributed.all_max, distributed.together), BROKEN if rank else SOUND
    print(refusal(ranks, batch))
    try:
        differentiate(Plugin(CrpgSettings()), batch, ranks)
    except (KeyError, RunError) as error:
        print(f"{type(error).__name__}: {error}")
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
