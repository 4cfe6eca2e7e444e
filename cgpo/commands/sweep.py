"""Sweeps: `cgpo train -m key=a,b` runs once for each combination, through Hydra's sweepers and launchers.

Every job is a process of its own (`cgpo train …`), so that a job's engine, process group and memory are gone when the
next one starts. A job's run directory is its sweep directory, named after its overrides: the same sweep started again
goes on where each job stopped.
"""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cgpo.config.overrides import CONFIG_MODULE, force_values
from cgpo.errors import ConfigError, RunError
from cgpo.interrupt import INTERRUPTED
from judges.printing import say

if TYPE_CHECKING:
    from omegaconf import DictConfig


def sweep(overrides: Sequence[str], config_dir: str | None, *, flags: Sequence[str]) -> int:
    """Runs every job of a sweep; 0 when all succeeded.

    Args:
        overrides: Hydra overrides; `key=a,b` is swept over.
        config_dir: a folder of the user's own YAML files.
        flags: passed on to every job, such as `--dry-run`.

    Raises:
        ConfigError: bad overrides.
        RunError: a job failed.
    """
    import hydra
    from hydra.core.hydra_config import HydraConfig
    from hydra.errors import HydraException

    folders: list[Path] = []

    def job(_: DictConfig) -> int:
        hydra_config = HydraConfig.get()
        task = [o.removeprefix("++") for o in hydra_config.overrides.task]
        folder = Path(hydra_config.sweep.dir) / job_name(task)
        command = [sys.executable, "-m", "cgpo", "train", *task]
        if not any(o.startswith("run_dir=") for o in task):
            command.append(f"run_dir={folder}")
            folders.append(folder)
        if config_dir is not None:
            command += ["--config-dir", config_dir]
        command += flags
        say(f"sweep: {' '.join(command[3:])}", file=sys.stderr)
        return run_job(command)

    with hydra.initialize_config_module(CONFIG_MODULE, version_base="1.3"):
        try:
            forced = force_values(overrides, config_dir)
        except HydraException as error:
            raise ConfigError(f"override: {error}") from error
    _multirun(job, forced)
    if len(folders) > 1 and "--dry-run" not in flags:
        say(f"sweep: compare the runs with: cgpo tradeoff {folders[0].parent}", file=sys.stderr)
    return 0


def run_job(command: Sequence[str]) -> int:
    """Runs a job to its end and returns its status. A signal ends the job, cleanly, and then the sweep.

    Raises:
        KeyboardInterrupt: the job was stopped by a signal.
    """
    process = subprocess.Popen(command)
    before = signal.signal(signal.SIGTERM, lambda *_: process.terminate())
    try:
        while True:
            try:
                status = process.wait()
                break
            except KeyboardInterrupt:
                continue  # the terminal told the job too; it writes its checkpoint first
    finally:
        signal.signal(signal.SIGTERM, before)
    if status == INTERRUPTED:
        raise KeyboardInterrupt
    return status


def job_name(overrides: Sequence[str]) -> str:
    """A folder's name for a job: its overrides but for the experiment, without what shells and Hydra would read."""
    distinctive = [o for o in overrides if not o.startswith("experiment=")]
    return "+".join(re.sub(r"[^\w.-]+", "-", o) for o in distinctive) or "only"


def _multirun(job: Callable[[DictConfig], int], overrides: list[str]) -> None:
    # Hydra's public entry, hydra.main, returns nothing of its jobs and prints tracebacks of those that fail.
    from hydra._internal.hydra import Hydra
    from hydra._internal.utils import create_config_search_path
    from hydra.core.global_hydra import GlobalHydra
    from hydra.core.utils import JobReturn
    from hydra.errors import HydraException

    GlobalHydra.instance().clear()
    search_path = create_config_search_path(f"pkg://{CONFIG_MODULE}")
    engine = Hydra.create_main_hydra2(task_name="cgpo", config_search_path=search_path)
    try:
        batches = engine.multirun(
            config_name="config", task_function=job, overrides=overrides, with_log_configuration=False
        )
    except HydraException as error:
        raise ConfigError(f"sweep: {error}") from error
    finally:
        GlobalHydra.instance().clear()
    returns: list[JobReturn] = [r for batch in batches or [] for r in batch]
    failed = [r for r in returns if r.return_value != 0]
    if failed:
        raise RunError(f"sweep: {len(failed)} of {len(returns)} jobs failed; their messages stand above")
