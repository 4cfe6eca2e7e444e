"""Starts and ends a training run: run directory, display, signals, report."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from cgpo import distributed
from cgpo.compose import Composed
from cgpo.errors import CgpoError, RunError
from cgpo.interrupt import StopSignal
from cgpo.storage.claim import claim
from cgpo.storage.environment import write_environment
from cgpo.tracking.display import make_display

if TYPE_CHECKING:
    from cgpo.training.trainer import Trainer


def run_training(composed: Composed, *, fresh: bool = False, allow: Sequence[str] = ()) -> None:
    """Trains; the run directory holds everything afterwards.

    Raises:
        CgpoError: whatever a person can mend, in words.
    """
    with _trainer(composed, fresh=fresh, allow=allow) as trainer:
        trainer.run()


@contextmanager
def _trainer(composed: Composed, *, fresh: bool, allow: Sequence[str] = ()) -> Iterator[Trainer]:
    """The trainer of a run in its claimed directory; at the end, however it ends, the report and what changed."""
    from cgpo.training.session import open_session
    from cgpo.training.trainer import Trainer

    settings = composed.settings
    distributed.init_distributed()
    claim(settings.run_dir, composed.as_dict(), fresh=fresh, allow=allow, adopt=False)  # `Session.rewind_records` does
    if distributed.rank() == 0:
        write_environment(Path(settings.run_dir), distributed.world_size())
    display = make_display(settings.tracking.display, rank=distributed.rank())
    first = distributed.rank() == 0
    try:
        with StopSignal(display.message) as stop, open_session(settings, display) as session:
            yield Trainer(session, stop)
    except BaseException:
        display.stop()
        if first:
            _finish_after_failure(Path(settings.run_dir))
        raise
    display.stop()
    if first:
        finish(Path(settings.run_dir))


def _finish_after_failure(run_dir: Path) -> None:
    """The report of a run that failed; its own failure must not hide the run's."""
    try:
        finish(run_dir)
    except (CgpoError, OSError) as error:
        print(f"report.html could not be written either: {error}", file=sys.stderr)


def finish(run_dir: Path) -> None:
    """Writes the report and prints what changed."""
    from rich.console import Console

    from cgpo.report.report import write_report
    from cgpo.report.summary import print_changes

    if not (run_dir / "metrics.jsonl").exists() and not (run_dir / "evaluation.jsonl").exists():
        return
    try:
        write_report(run_dir)
    except OSError as error:
        raise RunError(f"report.html could not be written: {error}") from error
    print_changes(Console(), run_dir)
