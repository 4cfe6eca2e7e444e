"""Starts and ends a training or evaluation run: run directory, display, signals, report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cgpo import distributed
from cgpo.compose import Composed
from cgpo.config import RunSettings
from cgpo.errors import CgpoError, RunError
from cgpo.interrupt import StopSignal
from cgpo.run_directory import claim_run_directory
from cgpo.tracking.display import make_display
from cgpo.tracking.environment import write_environment


def run_training(composed: Composed, *, fresh: bool = False) -> None:
    """Trains; the run directory holds everything afterwards.

    Raises:
        CgpoError: whatever a person can mend, in words.
    """
    settings = composed.settings
    distributed.init_distributed()
    claim(settings.run_dir, composed.as_dict(), fresh=fresh)
    if distributed.rank() == 0:
        write_environment(Path(settings.run_dir), distributed.world_size())
    display = make_display(settings.tracking.display, rank=distributed.rank())
    from cgpo.session import open_session
    from cgpo.trainer import Trainer

    try:
        with StopSignal(display.message) as stop, open_session(settings, display) as session:
            Trainer(session, stop).run()
    finally:
        display.stop()
        finish(settings)


def run_evaluation(composed: Composed) -> None:
    """Evaluates the newest checkpoint of a run (or the model it starts from) and prints the result.

    Raises:
        CgpoError: whatever a person can mend, in words.
    """
    settings = composed.settings
    distributed.init_distributed()
    claim(settings.run_dir, composed.as_dict(), fresh=False)
    display = make_display(settings.tracking.display, rank=distributed.rank())
    from cgpo.session import open_session
    from cgpo.trainer import Trainer

    try:
        with StopSignal(display.message) as stop, open_session(settings, display) as session:
            Trainer(session, stop).evaluate_only()
    finally:
        display.stop()
        finish(settings)


def claim(run_dir: str, config: dict[str, Any], *, fresh: bool) -> bool:
    """Claims the run directory on one rank and lets every rank know how it went.

    Raises:
        CgpoError: the same on every rank.
    """
    outcome: bool | CgpoError = False
    if distributed.rank() == 0:
        try:
            outcome = claim_run_directory(run_dir, config, fresh=fresh)
        except CgpoError as error:
            outcome = error
    found = distributed.gather_objects(outcome)[0]
    if isinstance(found, CgpoError):
        raise found
    return bool(found)


def finish(settings: RunSettings) -> None:
    """Writes the report and prints what changed, on one rank, however the run ended."""
    import os

    if int(os.environ.get("RANK", "0")) != 0:
        return
    from rich.console import Console

    from cgpo.tracking.report import write_report
    from cgpo.tracking.summary import print_changes

    run_dir = Path(settings.run_dir)
    if not (run_dir / "metrics.jsonl").exists() and not (run_dir / "evaluation.jsonl").exists():
        return
    try:
        write_report(run_dir)
    except OSError as error:
        raise RunError(f"report.html could not be written: {error}") from error
    print_changes(Console(), run_dir)
