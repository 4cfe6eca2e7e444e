"""A run directory belongs to one run: one process at a time, one configuration (`cgpo.storage.run_config`).

The same command started again sees its own configuration there and goes on. No torch here: plans ask. The claim on a
directory by all ranks together is `cgpo.storage.claim`.
"""

from __future__ import annotations

import fcntl
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from cgpo.errors import CgpoError, RunError
from cgpo.storage.disk import writing
from cgpo.storage.file_names import (
    CONFIG_NAME,
    ENVIRONMENT_NAME,
    HISTORY_NAME,
    LOCK_NAME,
    MODEL_NAME,
    REPORT_NAME,
    is_log,
)
from cgpo.storage.run_config import (
    adopt_configuration,
    check_same_configuration,
    write_config,
)

_BEFORE_THE_RUN = {CONFIG_NAME, HISTORY_NAME, LOCK_NAME, ENVIRONMENT_NAME}
"""What stands in a run directory before anything was computed."""


def claim_run_directory(
    path: str | Path, resolved: Mapping[str, Any], *, fresh: bool = False, allow: Sequence[str] = (), adopt: bool = True
) -> bool:
    """Makes `path` the directory of the run with this configuration, unless it is that already.

    On several ranks, one rank calls this and the others wait.

    Args:
        path: the run directory; made with its parents where it does not exist.
        resolved: the whole configuration as plain data (`Composed.as_dict()`). Secrets are redacted when written.
        fresh: start anew: an existing directory is renamed to `<path>.1` (the next free number), never deleted.
        allow: settings, or groups of them, that may differ from the run's so far.
        adopt: write those that differ down at once; otherwise `adopt_configuration` has to, once the run's state has
            proved to fit them.

    Returns:
        True when a run of this configuration was started here before and goes on, False when it begins.

    Raises:
        ConfigError: the directory belongs to a run with another configuration (each differing key, old → new).
        RunError: it holds something else, cannot be read or written, or the disk is full.
    """
    folder = Path(path)
    if fresh:
        move_aside(folder)
    if not _holds_run(folder):
        write_config(folder, resolved)
        return False
    check_same_configuration(folder, resolved, allow)
    if adopt:
        adopt_configuration(folder, resolved)
    return True


def would_go_on(
    path: str | Path, resolved: Mapping[str, Any], *, fresh: bool = False, allow: Sequence[str] = ()
) -> bool:
    """The answer that `claim_run_directory` would give; changes nothing.

    Raises:
        CgpoError: what it would raise.
    """
    folder = Path(path)
    if fresh or not _holds_run(folder):
        return False
    check_same_configuration(folder, resolved, allow)
    return True


def claim_in_words(
    path: str | Path, resolved: Mapping[str, Any], *, fresh: bool, allow: Sequence[str] = (), existing: str
) -> str:
    """`runs/a (new)`: the run directory and what `claim_run_directory` would make of it, for plans.

    Args:
        path: the run directory.
        resolved: the whole configuration as plain data.
        fresh: start anew.
        allow: settings that may differ.
        existing: the words where the directory holds a run of this configuration.
    """
    try:
        goes_on = would_go_on(path, resolved, fresh=fresh, allow=allow)
    except CgpoError as error:
        return f"{path} (would be refused: {str(error).splitlines()[0]})"
    return f"{path} ({existing if goes_on else 'new'})"


def may_be_locked(path: str | Path) -> bool:
    """Whether the folder is a run's, or nobody's yet: a lock is left in no folder that holds something else."""
    folder = Path(path)
    return not folder.exists() or not _holds_run(folder) or (folder / CONFIG_NAME).is_file()


def lock_run_directory(path: str | Path) -> IO[bytes]:
    """Makes this process the only one that writes into a run directory, until the file is closed or the process ends.

    The directory is made where it does not exist.

    Raises:
        RunError: another process is at it, or the directory cannot be written.
    """
    with writing("the run's lock", Path(path) / LOCK_NAME):
        Path(path).mkdir(parents=True, exist_ok=True)
        file = (Path(path) / LOCK_NAME).open("ab")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.close()
        raise RunError(f"{path}: another process is running in this directory; wait for it or stop it") from error
    return file


def stage_is_done(run_dir: Path) -> bool:
    """Whether a stage that trains a model has ended there."""
    return (run_dir / REPORT_NAME).is_file() and (run_dir / MODEL_NAME / "config.json").is_file()


def move_aside(folder: Path) -> None:
    """Renames a directory that holds anything to `<path>.1`, the next free number.

    Raises:
        RunError: another process is running in it, or it cannot be renamed.
    """
    if not folder.exists() or _is_empty(folder):
        return
    if may_be_locked(folder):
        lock_run_directory(folder).close()
    number = 1
    while (target := folder.with_name(f"{folder.name}.{number}")).exists():
        number += 1
    try:
        folder.rename(target)
    except OSError as error:
        raise RunError(f"--fresh: {folder} cannot be renamed to {target}: {error.strerror}") from error


def _holds_run(folder: Path) -> bool:
    """Whether a run has left anything there: a directory that was only claimed may be claimed anew."""
    if not folder.exists() or _is_empty(folder):
        return False
    return any(entry.name not in _BEFORE_THE_RUN and not is_log(entry.name) for entry in folder.iterdir())


def _is_empty(folder: Path) -> bool:
    """Nothing there but what a killed `write_atomically` leaves."""
    if not folder.is_dir():
        raise RunError(f"{folder} is a file; run_dir must be a folder or not exist")
    return all(entry.name.startswith(f".{CONFIG_NAME}.") for entry in folder.iterdir())
