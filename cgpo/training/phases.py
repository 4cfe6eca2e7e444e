"""The phases of a run – rollout, learning, evaluation … – shown in the display and timed for the metrics."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

from cgpo.responses.collection import Progress
from cgpo.tracking.display import Display


class Phases:
    """Names the phase a run is in, and adds up what the phases of a step take.

    Args:
        display: shows the phase.
    """

    def __init__(self, display: Display) -> None:
        self._display = display
        self._seconds: defaultdict[str, float] = defaultdict(float)
        self._step_started = time.monotonic()

    def begin_step(self) -> None:
        """A step begins: `time/step` counts from here."""
        self._step_started = time.monotonic()

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Work inside belongs to the phase `name`."""
        self._display.phase(name)
        started = time.monotonic()
        try:
            yield
        finally:
            self._seconds[name.replace(" ", "_").replace("-", "")] += time.monotonic() - started

    def progress(self, name: str) -> Progress:
        """Tells the display how far a phase is."""
        return lambda done, total: self._display.phase(name, done, total)

    def take_times(self) -> dict[str, float | None]:
        """`time/<phase>` and `time/step` in seconds, from zero again afterwards.

        Phases between steps (evaluation, checkpoint) count towards the next step's metrics.
        """
        times: dict[str, float | None] = {f"time/{phase}": seconds for phase, seconds in self._seconds.items()}
        self._seconds.clear()
        return times | {"time/step": time.monotonic() - self._step_started}
