"""Runs stages as a process of its own, for the tests that kill it or start it on two ranks.

    train_stages.py KILL_AT COMMAND ARGUMENTS… [--then COMMAND ARGUMENTS…]

KILL_AT: the step before whose record the process kills itself with SIGKILL; 0 = never.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

from cgpo import distributed
from cgpo.compose import compose
from cgpo.stages.dpo import run_dpo_stage
from cgpo.stages.loop import StageLoop
from cgpo.stages.sft import run_sft_stage


def kill_at(step: int) -> None:
    record = StageLoop.record

    def recorded(self: StageLoop, number: int, metrics: Any) -> None:
        if number == step:
            os.kill(os.getpid(), signal.SIGKILL)
        record(self, number, metrics)

    StageLoop.record = recorded  # type: ignore[method-assign]


def main(arguments: list[str]) -> None:
    if arguments[0] != "0":
        kill_at(int(arguments[0]))
    parts: list[list[str]] = [[]]
    for word in arguments[1:]:
        parts.append([]) if word == "--then" else parts[-1].append(word)
    close = distributed.close_distributed
    distributed.close_distributed = lambda: None  # a process group of torchrun cannot be joined twice
    for command, *overrides in parts:
        run = {"sft": run_sft_stage, "dpo": run_dpo_stage}[command]
        run(compose(overrides, needs_strata=False).settings)
    close()


if __name__ == "__main__":
    main(sys.argv[1:])
