"""Ctrl-C and the scheduler's SIGTERM: end the run cleanly, with a checkpoint."""

from __future__ import annotations

import signal
from collections.abc import Callable
from types import FrameType

from cgpo.errors import CgpoError

INTERRUPTED = 130
"""Exit status after SIGINT or SIGTERM, as shells have it."""


class Interrupted(CgpoError):  # noqa: N818 - an outcome, not a fault
    """The run was asked to stop."""


class StopSignal:
    """Remembers that SIGINT or SIGTERM came; a second SIGINT breaks off at once.

    Use as a context manager in the main thread. The handlers that were there before are put back at the end.

    Args:
        announce: told once, in words, when the first signal comes.
    """

    def __init__(self, announce: Callable[[str], None]) -> None:
        self.requested = False
        self._announce = announce
        self._before: dict[int, object] = {}

    def __enter__(self) -> StopSignal:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def check(self) -> None:
        """Raises Interrupted if a signal came."""
        if self.requested:
            raise Interrupted("stopped by a signal")

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.requested and number == signal.SIGINT:
            raise KeyboardInterrupt
        first = not self.requested
        self.requested = True
        if first:
            self._announce("stopping: a checkpoint is written first (Ctrl-C again breaks off without one)")
