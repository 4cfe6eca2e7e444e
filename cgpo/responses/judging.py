"""The judges of a run: the runtime they share, with the verdict cache that the settings name."""

from __future__ import annotations

from pathlib import Path

from cgpo.config import RunSettings
from cgpo.errors import ConfigError
from cgpo.storage.file_names import VERDICTS_NAME
from judges.errors import JudgesError
from judges.running.runtime import JudgeRuntime


def open_judges(settings: RunSettings, run_dir: Path) -> JudgeRuntime:
    """The runtime on which the run's judges run; to be used as a context manager.

    Raises:
        ConfigError: the verdict cache cannot be used.
    """
    judging = settings.judging
    files = {"run": run_dir / VERDICTS_NAME, "off": None}
    cache = files[judging.cache] if judging.cache in files else Path(judging.cache)
    try:
        return JudgeRuntime(judging.processes, memory_gib=judging.memory_gib, cache=cache)
    except JudgesError as error:
        raise ConfigError(f"judging.cache: {error}") from error
