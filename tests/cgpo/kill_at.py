"""`cgpo` that is killed with SIGKILL at a chosen moment, run by `test_kill.py`: `kill_at.py PHASE STEP ARGUMENT…`.

Patches one function of the phase, in this process only, so that the process ends there without any clean-up. STEP is
the index of the step, from 0, whose phase that is. PHASE `never` runs `cgpo` as it is.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

# phase: module, class or None, function, kill before or after it
PHASES = {
    "rollout": ("cgpo.responses.journal", "Journal", "submit", "after"),  # when the first response is there
    "judging": ("cgpo.responses.journal", "Journal", "flush", "after"),
    "rewards": ("cgpo.rewards.scoring", "Scoring", "finish", "before"),
    "log-probs": ("cgpo.training.trainer", None, "prepare", "after"),
    "backward": ("cgpo.policy.policy", "Policy", "accumulate", "after"),
    "optimiser step": ("cgpo.policy.policy", "Policy", "step", "after"),
    "sync": ("cgpo.training.trainer", "Trainer", "_push_weights", "after"),
    "records": ("cgpo.training.records", "RunRecords", "write_rollouts", "after"),
    "checkpoint begun": ("cgpo.policy.policy", "Policy", "collect", "after"),
    "checkpoint half written": ("cgpo.policy.manifest", None, "describe", "before"),  # in a thread of its own
    "checkpoint without manifest": ("cgpo.policy.manifest", None, "write_manifest", "before"),
    "checkpoint not in place": ("cgpo.policy.manifest", None, "write_manifest", "after"),
    "checkpoint in place": ("cgpo.policy.checkpoints", "Checkpoints", "_remove_old", "before"),
}


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def patch(phase: str, at_step: int) -> None:
    """Replaces the phase's function by one that ends the process in that step."""
    from cgpo.training.trainer import Trainer

    now = {"step": -1}
    run_step = Trainer._step

    def counted(self: Trainer, step: int) -> Any:
        now["step"] = step
        return run_step(self, step)

    Trainer._step = counted  # type: ignore[method-assign]
    module, owner, name, when = PHASES[phase]
    holder: Any = importlib.import_module(module)
    holder = getattr(holder, owner) if owner else holder
    original: Callable[..., Any] = getattr(holder, name)

    def reached(*arguments: Any) -> bool:
        if isinstance(arguments[0], Path):  # a checkpoint's folder, which may be written beside the next step
            return arguments[0].name == f".step-{at_step + 1:06d}.tmp"
        return now["step"] == at_step

    def deadly(*arguments: Any, **options: Any) -> Any:
        if reached(*arguments) and when == "before":
            die()
        result = original(*arguments, **options)
        if reached(*arguments):
            die()
        return result

    setattr(holder, name, deadly)


if __name__ == "__main__":
    from cgpo.cli import main

    if sys.argv[1] != "never":
        patch(sys.argv[1], int(sys.argv[2]))
    main(sys.argv[3:])
