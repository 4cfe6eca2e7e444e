"""DeepSpeed's part of a checkpoint, written by all ranks or by none, at once or beside what comes next."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from cgpo import distributed

Write = Callable[[], list[Path]]
"""Writes what was collected for a checkpoint, on this rank alone, and returns the files."""


def collect_engine(engine: Any, folder: str, **options: Any) -> Write:
    """Collects what DeepSpeed would write under `folder/state`; every rank must call it.

    Nothing is copied: what is collected are the tensors themselves. Until it is written neither the weights nor the
    optimiser's state may change; forward and backward passes change neither.

    Args:
        engine: DeepSpeed's engine.
        folder: exists on every rank.
        options: of its `save_checkpoint`.

    Returns:
        Writes it, in any thread. Raises OSError or RuntimeError where it cannot.
    """
    collected: list[tuple[Any, str]] = []
    write = engine.checkpoint_engine.save

    def collect(state_dict: Any, path: str) -> bool:
        collected.append((state_dict, path))
        return True

    engine.checkpoint_engine.save = collect
    try:
        engine.save_checkpoint(folder, tag="state", save_latest=False, **options)
    finally:
        engine.checkpoint_engine.save = write

    def write_collected() -> list[Path]:
        files = []
        while collected:  # what is written is let go
            state_dict, path = collected.pop(0)
            write(state_dict, path)
            files.append(Path(path))
        return files

    return write_collected


def save_engine(engine: Any, folder: str, **options: Any) -> None:
    """Writes weights and optimiser state under `folder/state`; every rank must call it.

    Args:
        engine: DeepSpeed's engine.
        folder: exists on every rank.
        options: of its `save_checkpoint`.

    Raises:
        OSError, RuntimeError: this rank could not write. CgpoError: another could not.
    """
    write = collect_engine(engine, folder, **options)
    with distributed.together():
        write()
