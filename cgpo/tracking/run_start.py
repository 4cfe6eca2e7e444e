"""The start of a command in its run directory: claimed, its log open, the process group joined."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from cgpo import distributed
from cgpo.storage.claim import claim
from cgpo.tracking.run_log import open_log


class Shown(Protocol):
    """What a start tells the person."""

    def phase(self, name: str) -> None:
        """Work on `name` begins."""

    def message(self, text: str) -> None:
        """One line."""


def start_run(
    run_dir: str,
    config: dict[str, Any],
    shown: Shown,
    *,
    fresh: bool = False,
    allow: Sequence[str] = (),
    adopt: bool = True,
) -> bool:
    """Claims the run directory and joins the process group; every rank calls it, after `distributed.read_ranks`.

    A process alone claims first: a refusal comes at once, and what libraries say from then on is in the run's log.
    Several ranks have to meet before they can agree whose the directory is.

    Args:
        run_dir: the run directory.
        config: this rank's whole configuration as plain data.
        shown: told where the log is, and that the process group starts.
        fresh: start anew; an existing directory is moved aside.
        allow: settings, or groups of them, that may differ from the run's so far.
        adopt: as in `claim_run_directory`.

    Returns:
        True when a run of this configuration goes on, False when it begins.

    Raises:
        CgpoError: the same on every rank.
    """
    ranks = distributed.world_size()
    if ranks > 1:
        shown.phase(f"starting DeepSpeed on {ranks} ranks")
        distributed.init_distributed()
    goes_on = claim(run_dir, config, fresh=fresh, allow=allow, adopt=adopt)
    with distributed.together():
        log = open_log(Path(run_dir), distributed.rank(), ranks)
    if log is not None:
        shown.message(f"{'going on' if goes_on else 'beginning'} in {run_dir}; what libraries say is in {log}")
    if ranks == 1:
        shown.phase("starting DeepSpeed")
        distributed.init_distributed()
    return goes_on
