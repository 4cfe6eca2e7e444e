"""Starts and ends a stage that trains the policy: process group, run directory, what is said before and after."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from cgpo import distributed
from cgpo.config import ModelSettings, RunSettings
from cgpo.data.conversations import named
from cgpo.errors import ConfigError
from cgpo.models.assets import check_model_name
from cgpo.stages.configuration import stage_configuration
from cgpo.stages.folder import StageFolder
from cgpo.storage.claim import claim
from cgpo.storage.environment import write_environment
from cgpo.tracking.progress import StageProgress


class Stage(Protocol):
    """One run of a stage in its directory."""

    def run(self) -> dict[str, Any]:
        """Does the stage, or what is left of it; returns its report, on every rank."""


def run_policy_stage(
    command: str,
    settings: RunSettings,
    make: Callable[[RunSettings, StageFolder, StageProgress], Stage],
    lines: Callable[[dict[str, Any]], list[str]],
    *,
    fresh: bool,
) -> int:
    """Runs a stage in `settings.run_dir`, or says what came out if it is done; every rank calls it.

    Args:
        command: `sft` or `dpo`.
        settings: the whole tree.
        make: makes the stage.
        lines: its report in words.
        fresh: start anew; the old directory is moved aside.
    """
    distributed.init_distributed()
    try:
        claim(settings.run_dir, stage_configuration(command, settings), fresh=fresh)
        folder = StageFolder(Path(settings.run_dir))
        progress = StageProgress(settings.tracking.display, distributed.rank())
        report = folder.report()
        if report is None:
            if distributed.rank() == 0:
                write_environment(folder.run_dir, distributed.world_size())
            report = make(settings, folder, progress).run()
        else:
            progress.message(f"{folder.run_dir}: this stage is done already")
        if distributed.rank() == 0:
            print("\n".join([*lines(report), f"model: {folder.model_dir}"]))
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
    """Says which rows were left out."""
    if bad:
        progress.message(
            "\n".join([f"{where}: {len(bad)} rows were left out because they cannot be used", *named(bad)])
        )
    if too_long:
        progress.message(f"{where}: {too_long} rows were left out as too long")
