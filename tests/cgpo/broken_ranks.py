"""A training on two ranks in which one rank fails, each time at another place: `broken_ranks.py CONFIG_DIR`.

Ranks that broke off together are in step again: the same session goes on to the next failure. Each prints a line for
every place: `rank, place: what was raised`. The last failure stands in the learning, where ranks meet in DeepSpeed:
there one rank breaks off alone, and how long the others live after it is up to the launcher.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from failing_ranks import FULL, failing_on

from cgpo import distributed
from cgpo.compose import compose
from cgpo.interrupt import StopSignal
from cgpo.rewards import baseline
from cgpo.tracking.display import NoDisplay
from cgpo.tracking.run_start import start_run
from cgpo.training.session import Session, open_session
from cgpo.training.trainer import Trainer

EVALUATION = ("eval.before=false", "eval.after=false", "eval.every=1")


def places(session: Session) -> dict[str, tuple[int, Any, str, Any]]:
    """Where it fails: name → rank, object, function, what it raises, or gives instead. In the order of a run."""
    one = session.strata["one"]
    return {
        "rewind": (0, session.records, "rewind", FULL),
        "baselines": (0, baseline, "append_line", FULL),
        "engine": (1, session.parts.engine, "generate", RuntimeError("an illegal memory access")),
        "reward": (1, session.parts.rewards["any"], "read", [0.5]),
        "judge": (1, type(one), "submit", TypeError("no such argument")),
        "probe": (1, session.parts.engine, "score", ValueError("no logits")),
        "journal": (1, session.journal, "flush", FULL),
        "optimiser": (1, one.optimizer, "loss", KeyError("helpfulness")),
        "layout": (0, session.policy, "lay_out", ValueError("too long")),
        "state": (1, one.optimizer, "update", ZeroDivisionError("division by zero")),
        "rollouts": (0, session.records, "write_rollouts", FULL),
        "metrics": (0, session.records, "write_metrics", FULL),
        "signal": (1, session.strata_watch, "check", RuntimeError("no such stratum")),
        "checkpoint": (1, session.policy.engine.checkpoint_engine, "save", FULL),
        "forget": (1, session.journal, "forget_before", FULL),
        "evaluation": (0, type(session.records.evaluations), "add", FULL),
        "logger": (0, session.records, "show_evaluation", RuntimeError("wandb: run has finished")),
    }


def ready(session: Session) -> None:
    """Brings the engine to where a run begins: the last failure may have left it asleep, or with earlier weights."""
    session.parts.engine.wake()
    session.parts.engine.sync(session.policy.weights())


def tell(place: str, do: Callable[[], None]) -> None:
    """Prints how it ended, in one piece: both ranks write to one pipe."""
    ended = "came through"
    try:
        do()
    except Exception as error:  # noqa: BLE001 - what it is, is the answer
        ended = f"{type(error).__name__}: {error}".replace("\n", " ")
    sys.stdout.write(f"{distributed.rank()}, {place}: {ended}\n")
    sys.stdout.flush()


def main(config_dir: str) -> None:
    distributed.read_ranks()
    overrides = ["experiment=tiny", "rollout=hf", "run_dir=run", "train.steps=4", "deepspeed.zero_stage=2"]
    composed = compose([*overrides, *EVALUATION, "tracking.display=off"], config_dir=config_dir)
    display = NoDisplay()
    start_run(composed.settings.run_dir, composed.as_dict(), display, adopt=False)
    with StopSignal(display.message) as stop, open_session(composed.settings, display) as session:
        for place, (rank, owner, name, outcome) in places(session).items():
            ready(session)
            with failing_on(rank, owner, name, outcome):
                tell(place, Trainer(session, stop).run)
        ready(session)
        Path(f"alone-{distributed.rank()}").touch()
        with failing_on(1, session.policy, "accumulate", RuntimeError("out of memory")):
            Trainer(session, stop).run()


if __name__ == "__main__":
    main(sys.argv[1])
