"""The claim on a run directory by all ranks of a command: locked, of this configuration, and the same answer on each.

`cgpo.storage.run_directory` says whose a directory is; this module asks it on one rank and tells the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from cgpo import distributed
from cgpo.errors import ConfigError
from cgpo.storage.run_config import first_difference
from cgpo.storage.run_directory import claim_run_directory, lock_run_directory, may_be_locked, move_aside

_LOCKS: dict[Path, IO[bytes]] = {}
"""The run directories this process has locked, until it ends or claims them again."""


def claim(run_dir: str, config: dict[str, Any], *, fresh: bool, allow: Sequence[str] = (), adopt: bool = True) -> bool:
    """Claims and locks the run directory on rank 0 and lets every rank know how it went; every rank calls it.

    Args:
        run_dir: the run directory.
        config: this rank's whole configuration as plain data.
        fresh: start anew; an existing directory is moved aside.
        allow: settings, or groups of them, that may differ from the run's so far.
        adopt: as in `claim_run_directory`.

    Returns:
        True when a run of this configuration goes on, False when it begins.

    Raises:
        CgpoError: the same on every rank.
    """
    _check_ranks_agree(config)

    def lock_and_claim() -> bool:
        _lock(Path(run_dir), fresh=fresh)
        return claim_run_directory(run_dir, config, allow=allow, adopt=adopt)

    return distributed.on_first_rank(lock_and_claim)


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
        if difference := first_difference(everyone[0], theirs):
            key, first, other = difference
            raise ConfigError(
                f"the ranks were started with different settings: {key} is {first} on rank 0 and {other} on rank "
                f"{rank}. Start every rank with the same command"
            )
