"""Starts and ends a training run: run directory, display, signals, report."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from cgpo import distributed
from cgpo.compose import Composed
from cgpo.errors import CgpoError, ConfigError, RunError
from cgpo.interrupt import StopSignal
from cgpo.storage.environment import write_environment
from cgpo.storage.run_directory import (
    claim_run_directory,
    first_difference,
    lock_run_directory,
    may_be_locked,
    move_aside,
)
from cgpo.tracking.display import make_display

if TYPE_CHECKING:
    from cgpo.training.trainer import Trainer


_LOCKS: dict[Path, IO[bytes]] = {}
"""The run directories this process has locked, until it ends or claims them again."""


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


def claim(run_dir: str, config: dict[str, Any], *, fresh: bool, allow: Sequence[str] = (), adopt: bool = True) -> bool:
    """Claims and locks the run directory on one rank and lets every rank know how it went (`claim_run_directory`).

    Raises:
        CgpoError: the same on every rank.
    """
    _check_ranks_agree(config)
    outcome: bool | CgpoError = False
    if distributed.rank() == 0:
        try:
            _lock(Path(run_dir), fresh=fresh)
            outcome = claim_run_directory(run_dir, config, allow=allow, adopt=adopt)
        except CgpoError as error:
            outcome = error
    found = distributed.gather_objects(outcome)[0]
    if isinstance(found, CgpoError):
        raise found
    return bool(found)


def _lock(run_dir: Path, *, fresh: bool) -> None:
    """Locks the run directory before anything in it is changed: another process may be running there."""
    path = run_dir.resolve()
    if path in _LOCKS:
        _LOCKS.pop(path).close()
    if fresh:
        move_aside(run_dir)
    if may_be_locked(run_dir):
        _LOCKS[path] = lock_run_directory(run_dir)


def _check_ranks_agree(config: dict[str, Any]) -> None:
    """Ranks with different settings would wait for each other for ever, or average two different runs.

    Raises:
        ConfigError: a rank's configuration is not that of rank 0; the first differing key is named on every rank.
    """
    for rank, theirs in enumerate(everyone := distributed.gather_objects(config)):
        if found := first_difference(everyone[0], theirs):
            key, first, other = found
            raise ConfigError(
                f"the ranks were started with different settings: {key} is {first} on rank 0 and {other} on rank "
                f"{rank}. Start every rank with the same command"
            )


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
