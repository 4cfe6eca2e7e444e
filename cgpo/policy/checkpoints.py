"""Checkpoints of a run: written beside, renamed when whole, the newest ones kept.

    checkpoints/step-000050/state/*.pt      what DeepSpeed writes: weights, optimiser state
                            state.json      everything else that influences what comes next

A checkpoint without `state.json`, or under a temporary name, was never finished and is ignored.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cgpo import distributed
from cgpo.errors import RunError

SCHEMA = 1
STATE_NAME = "state.json"
_NAME = re.compile(r"step-(\d{6,})")


@dataclass(frozen=True)
class Checkpoint:
    """A whole checkpoint on disk."""

    step: int
    folder: Path

    def read_state(self) -> dict[str, Any]:
        """The contents of its `state.json`.

        Raises:
            RunError: it cannot be read, or was written by another version.
        """
        file = self.folder / STATE_NAME
        try:
            state: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise RunError(f"{file} cannot be read: {error}. Remove the folder to go on from an older one") from error
        if state.get("schema") != SCHEMA:
            raise RunError(f"{file}: schema {state.get('schema')!r} instead of {SCHEMA}; another version wrote it")
        return state


class Checkpoints:
    """The checkpoints of one run.

    Args:
        folder: `<run_dir>/checkpoints`.
        keep: how many of the newest to keep.
    """

    def __init__(self, folder: Path, keep: int) -> None:
        self.folder = folder
        self.keep = keep

    def all(self) -> list[Checkpoint]:
        """Whole checkpoints, oldest first."""
        if not self.folder.is_dir():
            return []
        found = [
            Checkpoint(int(match[1]), path)
            for path in self.folder.iterdir()
            if (match := _NAME.fullmatch(path.name)) and (path / STATE_NAME).is_file()
        ]
        return sorted(found, key=lambda c: c.step)

    def latest(self) -> Checkpoint | None:
        """The newest whole checkpoint, or None."""
        found = self.all()
        return found[-1] if found else None

    def save(self, step: int, write: Callable[[str], None], state: dict[str, Any]) -> None:
        """Writes a checkpoint; every rank must call it.

        Args:
            step: steps done so far.
            write: writes the policy's part into the folder it is given, on every rank.
            state: JSON-ready; `schema` and `step` are added.

        Raises:
            RunError: the disk is full or not writable; earlier checkpoints are untouched.
        """
        target = self.folder / f"step-{step:06d}"
        temporary = self.folder / f".step-{step:06d}.tmp"
        first = distributed.rank() == 0
        try:
            if first:
                shutil.rmtree(temporary, ignore_errors=True)
                temporary.mkdir(parents=True)
            distributed.barrier()
            write(str(temporary))
            distributed.barrier()
            if first:
                text = json.dumps({"schema": SCHEMA, "step": step, **state}, indent=1)
                (temporary / STATE_NAME).write_text(text, encoding="utf-8")
                if target.exists():
                    shutil.rmtree(target)
                temporary.rename(target)
                for old in self.all()[: -self.keep]:
                    shutil.rmtree(old.folder)
            distributed.barrier()
        except (OSError, RuntimeError) as error:
            if isinstance(error, RuntimeError) and "PytorchStreamWriter" not in str(error):
                raise  # torch.save reports a full disk as RuntimeError, but so is much else
            shutil.rmtree(temporary, ignore_errors=True)
            free = shutil.disk_usage(self.folder if self.folder.exists() else Path.cwd()).free
            raise RunError(
                f"the checkpoint of step {step} could not be written to {self.folder} ({free / 2**30:.2f} GiB free): "
                f"{str(error).splitlines()[0]}. Earlier checkpoints are untouched; make room and start the same "
                "command again"
            ) from error
