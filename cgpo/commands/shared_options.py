"""The options that several commands have: settings, `--fresh`, `--dry-run`, a run directory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cgpo.errors import ConfigError
from cgpo.storage.file_names import CONFIG_NAME
from judges.command_options import Form


@dataclass(frozen=True, kw_only=True)
class SettingsOptions:
    """Settings, for `compose(options.overrides, config_dir=options.config_dir)`, and what is shown."""

    overrides: Annotated[tuple[str, ...], Form(str, "key=value", positional=True, collect=tuple)] = ()
    """settings as Hydra overrides: experiment=quickstart train.steps=3 strata.math.optimizer.kl_max=12"""
    config_dir: Annotated[str | None, Form(str, "DIR")] = None
    """a folder of your own YAML files, searched besides conf/"""
    verbose: bool = False
    """show what libraries say instead of keeping it in run.log of the run directory"""

    def divert_unless_verbose(self, command: str) -> None:
        """From here on what libraries write goes to the log of the run directory (`cgpo.tracking.run_log`)."""
        from cgpo.tracking.run_log import divert

        if not self.verbose:
            divert(command)


@dataclass(frozen=True, kw_only=True)
class RunOptions(SettingsOptions):
    """Those of commands with a run directory."""

    fresh: bool = False
    """start anew; an existing run directory is moved aside"""
    dry_run: bool = False
    """check the settings, print the plan, do nothing"""


@dataclass(frozen=True, kw_only=True)
class ExistingRun:
    """A run directory that is there already."""

    run: Annotated[str, Form(str, "RUN", positional=True)]
    """the run directory"""

    def folder(self) -> Path:
        """The run directory.

        Raises:
            ConfigError: it is none; the message lists those below `runs/`.
        """
        run_dir = Path(self.run)
        if not (run_dir / CONFIG_NAME).is_file():
            runs = sorted(p.parent.as_posix() for p in Path("runs").glob(f"*/{CONFIG_NAME}"))
            known = f" Runs here: {', '.join(runs)}" if runs else ""
            raise ConfigError(f"{self.run} is no run directory: it has no {CONFIG_NAME}.{known}")
        return run_dir
