"""DeepSpeed's part of a checkpoint, written by all ranks or by none."""

from __future__ import annotations

from typing import Any

from cgpo import distributed


def save_engine(engine: Any, folder: str, **options: Any) -> None:
    """Writes weights and optimiser state under `folder/state`; every rank must call it.

    DeepSpeed's ranks meet once more when each has written: one whose disk is full has to come there like the others.

    Args:
        engine: DeepSpeed's engine.
        folder: exists on every rank.
        options: of its `save_checkpoint`.

    Raises:
        OSError, RuntimeError: this rank could not write. CgpoError: another could not.
    """
    failures: list[Exception] = []
    write = engine.checkpoint_engine.save

    def save(*args: Any, **kwargs: Any) -> Any:
        try:
            return write(*args, **kwargs)
        except (OSError, RuntimeError) as error:  # raised below, when all ranks have written
            failures.append(error)
            return False

    engine.checkpoint_engine.save = save
    try:
        engine.save_checkpoint(folder, tag="state", save_latest=False, **options)
    finally:
        engine.checkpoint_engine.save = write
    with distributed.together():
        if failures:
            raise failures[0]
