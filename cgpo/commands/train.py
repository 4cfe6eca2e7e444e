"""`cgpo train`: a CGPO run from its settings to its report, or its plan, or a sweep of runs."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cgpo.commands.shared_options import RunOptions
from cgpo.errors import CgpoError, RunError
from cgpo.storage.file_names import EVALUATION_NAME, METRICS_NAME
from judges.command_options import Form, add_options, read_options
from judges.printing import say

if TYPE_CHECKING:
    from cgpo.compose import Composed


def _keys(text: str) -> tuple[str, ...]:
    return tuple(text.split(","))


@dataclass(frozen=True, kw_only=True)
class Options(RunOptions):
    """What is trained, and how a run goes on."""

    allow_changes: Annotated[tuple[str, ...], Form(_keys, "KEY[,KEY]")] = ()
    """settings, or groups of them, that may differ from those the run was started with; recorded"""
    multirun: Annotated[bool, Form(short="-m")] = False
    """sweep: key=a,b runs once for each value"""

    def flags(self) -> list[str]:
        """The options that every run of a sweep gets too."""
        given = {"--dry-run": self.dry_run, "--fresh": self.fresh, "--verbose": self.verbose}
        flags = [flag for flag, wanted in given.items() if wanted]
        return flags + (["--allow-changes", ",".join(self.allow_changes)] if self.allow_changes else [])


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `cgpo train`."""
    parser.description = "Trains a policy with CGPO. The same command started again goes on where it stopped."
    parser.epilog = "example: cgpo train experiment=quickstart strata.math.optimizer.kl_max=12 --dry-run"
    add_options(parser, Options)


def run(args: argparse.Namespace) -> int:
    """Trains, prints the plan, or starts the runs of a sweep."""
    options = read_options(args, Options)
    if options.multirun:
        from cgpo.commands.sweep import sweep

        return sweep(options.overrides, options.config_dir, flags=options.flags())
    from cgpo.compose import compose
    from cgpo.training.run_plan import print_run_plan

    composed = compose(options.overrides, config_dir=options.config_dir)
    if options.dry_run:
        print_run_plan(composed, fresh=options.fresh, allow=options.allow_changes)
    else:
        options.divert_unless_verbose("train")
        run_training(composed, fresh=options.fresh, allow=options.allow_changes)
    return 0


def run_training(composed: Composed, *, fresh: bool = False, allow: Sequence[str] = ()) -> None:
    """Trains; the run directory holds everything afterwards, and the report however the run ends.

    Args:
        composed: the configuration.
        fresh: start anew; an existing run directory is moved aside.
        allow: settings, or groups of them, that may differ from the run's so far.

    Raises:
        CgpoError: whatever a person can mend, in words.
    """
    from cgpo import distributed
    from cgpo.interrupt import StopSignal
    from cgpo.storage.environment import write_environment
    from cgpo.tracking.display import make_display
    from cgpo.tracking.run_start import start_run
    from cgpo.training.session import open_session
    from cgpo.training.trainer import Trainer

    settings = composed.settings
    run_dir = Path(settings.run_dir)
    distributed.read_ranks()
    first = distributed.rank() == 0
    display = make_display(settings.tracking.display, rank=distributed.rank())
    try:
        # `Session.rewind_records` adopts
        start_run(settings.run_dir, composed.as_dict(), display, fresh=fresh, allow=allow, adopt=False)
    except BaseException:
        display.stop()
        raise
    try:
        distributed.on_first_rank(lambda: write_environment(run_dir, distributed.world_size()))
        with StopSignal(display.message) as stop, open_session(settings, display) as session:
            Trainer(session, stop).run()
    except BaseException:
        display.stop()
        if first:
            _finish_after_failure(run_dir)
        raise
    display.stop()
    if first:
        finish(run_dir)


def _finish_after_failure(run_dir: Path) -> None:
    """The report of a run that failed; its own failure must not hide the run's."""
    try:
        finish(run_dir)
    except (CgpoError, OSError) as error:
        from cgpo.tracking.run_log import user_stderr

        say(f"report.html could not be written either: {error}", file=user_stderr())


def finish(run_dir: Path) -> None:
    """Writes the report and prints what changed.

    Raises:
        RunError: the report cannot be written.
    """
    from cgpo.report.run_page import write_report
    from cgpo.report.terminal import print_changes
    from cgpo.tracking.run_log import user_stdout
    from judges.terminal import open_console

    if not any((run_dir / name).exists() for name in (METRICS_NAME, EVALUATION_NAME)):
        return
    try:
        write_report(run_dir)
    except OSError as error:
        raise RunError(f"report.html could not be written: {error}") from error
    print_changes(open_console(user_stdout()), run_dir)
