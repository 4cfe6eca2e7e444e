"""How long steps take, for the displays."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from cgpo.tracking.metrics import Metrics

Clock = Callable[[], float]

RECENT_STEPS = 10
"""The time left is estimated from the mean of this many last steps: early ones warm caches up."""


class StepTimes:
    """How long steps take and, from that, how long the rest will take."""

    def __init__(self, total_steps: int, clock: Clock = time.monotonic) -> None:
        self._total = total_steps
        self._clock = clock
        self._started = self._last = clock()
        self._recent: deque[float] = deque(maxlen=RECENT_STEPS)

    def record(self, step: int, metrics: Metrics) -> tuple[float, float | None]:
        """Seconds of this step, and seconds left after it."""
        now = self._clock()
        seconds = metrics.get("time/step")
        seconds = now - self._last if seconds is None else seconds
        self._last = now
        self._recent.append(seconds)
        return seconds, sum(self._recent) / len(self._recent) * max(self._total - step, 0)

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return self._clock() - self._started
