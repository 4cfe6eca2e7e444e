"""A function that fails on one of several ranks."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from cgpo import distributed

FULL = OSError(errno.ENOSPC, "No space left on device")


def another(error: Exception) -> Exception:
    """An equal error: one that was raised carries that all ranks know it."""
    return type(error)(*error.args)


@contextmanager
def failing_on(rank: int, owner: Any, name: str, outcome: Any) -> Iterator[None]:
    """`owner.name` raises `outcome`, or gives it if it is no exception, when it is called on that rank."""
    before = getattr(owner, name)

    def fail(*_: Any, **__: Any) -> Any:
        if isinstance(outcome, Exception):
            raise another(outcome)
        return outcome

    if distributed.rank() == rank:
        setattr(owner, name, fail)
    try:
        yield
    finally:
        setattr(owner, name, before)
