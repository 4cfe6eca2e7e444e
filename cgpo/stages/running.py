"""The run of a supervised stage in its directory, from the claim to the words on what came out.

<run_dir>/model/         whole or not at all
<run_dir>/report.json    last of all, so it marks the stage as done
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from cgpo import distributed
from cgpo.config import ModelSettings, RunSettings
from cgpo.data.stage_rows import problem_lines
from cgpo.errors import ConfigError, RunError
from cgpo.models.assets import check_model_name
from cgpo.stages.configuration import stage_configuration
from cgpo.storage.disk import write_atomically
from cgpo.storage.environment import write_environment
from cgpo.storage.file_names import CHECKPOINTS_NAME, MODEL_NAME, REPORT_NAME
from cgpo.storage.jsonl import SCHEMA
from cgpo.storage.run_directory import stage_is_done
from cgpo.tracking.progress import StageProgress, make_progress
from cgpo.tracking.run_log import user_stdout
from cgpo.tracking.run_start import start_run
from judges.printing import say


class StageFolder:
    """The run directory of a stage.

    Args:
        run_dir: the directory.
    """

    def __init__(self, run_dir: Path) -> None:
        self.run_dir = run_dir
        self.model_dir = run_dir / MODEL_NAME
        self._report_file = run_dir / REPORT_NAME

    def report(self) -> dict[str, Any] | None:
        """The report, if the stage is done.

        Raises:
            RunError: the report cannot be read.
        """
        if not stage_is_done(self.run_dir):
            return None
        try:
            report: dict[str, Any] = json.loads(self._report_file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise RunError(f"{self._report_file} cannot be read: {error}. Start anew with --fresh") from error
        return report

    def finish(self, report: dict[str, Any]) -> None:
        """Writes the report, on one rank. What a killed stage would have gone on from is then of no more use."""
        with distributed.together():
            if distributed.rank() == 0:
                text = json.dumps({"schema": SCHEMA, **report}, indent=1, allow_nan=False)
                write_atomically(self._report_file, text.encode(), "the stage's report")
                shutil.rmtree(self.run_dir / CHECKPOINTS_NAME, ignore_errors=True)

    def write_model(self, save: Callable[[Path], None] | None) -> None:
        """Makes `model/` by `save(folder)`; the ranks that do not write give None, and all wait.

        Raises:
            RunError: it could not be written.
        """
        with distributed.together():
            if save is not None:
                self._write_model(save)

    def _write_model(self, save: Callable[[Path], None]) -> None:
        temporary = self.run_dir / ".model.tmp"
        try:
            shutil.rmtree(temporary, ignore_errors=True)
            save(temporary)
            shutil.rmtree(self.model_dir, ignore_errors=True)
            temporary.rename(self.model_dir)
        except Exception as error:  # safetensors and transformers have errors of their own for a full disk
            shutil.rmtree(temporary, ignore_errors=True)
            raise RunError(f"the model could not be written to {self.model_dir}: {error}") from error


class Stage(Protocol):
    """One run of a stage in its directory."""

    def run(self) -> dict[str, Any]:
        """Does the stage, or what is left of it; returns its report, on every rank."""


def run_stage(
    command: str,
    settings: RunSettings,
    make: Callable[[RunSettings, StageFolder, StageProgress], Stage],
    lines: Callable[[dict[str, Any]], list[str]],
    *,
    fresh: bool,
    model: str = "model",
) -> int:
    """Runs a stage in `settings.run_dir`, or says what came out if it is done; every rank calls it.

    Args:
        command: `sft`, `reward` or `dpo`.
        settings: the whole tree.
        make: makes the stage.
        lines: its report in words.
        fresh: start anew; the old directory is moved aside.
        model: what the last line calls the model that was written.

    Returns:
        The exit status, 0.
    """
    distributed.read_ranks()
    progress = make_progress(settings.tracking.display, distributed.rank())
    try:
        start_run(settings.run_dir, stage_configuration(command, settings), progress, fresh=fresh)
        folder = StageFolder(Path(settings.run_dir))
        report = distributed.on_first_rank(folder.report)
        if report is None:
            distributed.on_first_rank(lambda: write_environment(folder.run_dir, distributed.world_size()))
            report = make(settings, folder, progress).run()
        else:
            progress.message(f"{folder.run_dir}: this stage is done already")
        if distributed.rank() == 0:
            say("\n".join([*lines(report), f"{model}: {folder.model_dir}"]), file=user_stdout())
        distributed.barrier()
    finally:
        distributed.close_distributed()
    return 0


def input_model(settings: RunSettings, where: str) -> ModelSettings:
    """The settings of the model a stage starts from.

    Args:
        settings: as `policy_settings` gives them.
        where: the setting that names it, for messages.

    Raises:
        ConfigError: there is no such model.
    """
    try:
        check_model_name(settings.model.name)
    except ConfigError as error:
        hint = "If an earlier stage is to make it, run that one first; `cgpo pipeline` runs them all"
        raise ConfigError(f"{where}: {error}. {hint}") from error
    return settings.model


def announce_rows(progress: StageProgress, where: str, bad: list[str], too_long: int) -> None:
    """Says how many rows were left out, and the first of those that cannot be used."""
    if bad:
        progress.message(
            "\n".join([f"{where}: {len(bad)} rows were left out because they cannot be used", *problem_lines(bad)])
        )
    if too_long:
        progress.message(f"{where}: {too_long} rows were left out as too long")
