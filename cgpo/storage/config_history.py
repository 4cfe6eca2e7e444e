"""Settings that change while a run goes on: which ones are allowed to by name, and what is kept of it.

config-history.jsonl    {"schema": 1, "time", "step", "changes": {key: {"old", "new"}}}, one line a start that
                        changed anything; `step` is the newest checkpoint's, from which the run went on
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cgpo.errors import ConfigError, unknown_name
from cgpo.storage.disk import append_line

SCHEMA = 1
FILE_NAME = "config-history.jsonl"
_CHECKPOINT = re.compile(r"step-(\d{6,})")


def within(key: str, names: Iterable[str]) -> bool:
    """Whether a dotted key is one of `names` or inside one of them: `train.betas` is inside `train`."""
    return any(key == name or key.startswith(f"{name}.") for name in names)


def check_allowed_names(allow: Sequence[str], keys: Iterable[str]) -> None:
    """Makes sure that what may change are settings.

    Args:
        allow: keys, or groups of them, as given to `--allow-changes`.
        keys: the flattened keys of the old and the new configuration.

    Raises:
        ConfigError: one is neither a key nor a group.
    """
    groups = {key.rsplit(".", cut)[0] for key in keys for cut in range(key.count(".") + 1)}
    for name in allow:
        if name not in groups:
            raise ConfigError(unknown_name("setting", name, _beside(name, groups), "--allow-changes"))


def _beside(name: str, groups: set[str]) -> set[str]:
    """The groups a name may have meant: what stands in the innermost group around it that exists."""
    around = name.rpartition(".")[0]
    while around and around not in groups:
        around = around.rpartition(".")[0]
    return {group for group in groups if group.rpartition(".")[0] == around}


def record_changes(folder: Path, old: Mapping[str, Any], new: Mapping[str, Any], absent: Any) -> None:
    """Adds a line with every key whose value differs.

    Args:
        folder: the run directory.
        old: the flattened configuration so far.
        new: the flattened one that takes its place.
        absent: stands for a key one of them lacks.

    Raises:
        RunError: the file cannot be written.
    """
    changes = {
        key: {"old": old.get(key, absent), "new": new.get(key, absent)}
        for key in sorted(old.keys() | new.keys())
        if old.get(key, absent) != new.get(key, absent)
    }
    steps = [int(m[1]) for path in folder.glob("checkpoints/step-*") if (m := _CHECKPOINT.fullmatch(path.name))]
    time = datetime.now(UTC).isoformat(timespec="seconds")
    line = {"schema": SCHEMA, "time": time, "step": max(steps, default=0), "changes": changes}
    append_line(folder / FILE_NAME, json.dumps(line), "the history of the configuration")
