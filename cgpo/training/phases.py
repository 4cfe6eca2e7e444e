"""The phases of a run – rollout, learning, evaluation … – shown in the display and timed for the metrics.

The display says when other processes on the machine slow the run down.
"""

from __future__ import annotations

import os
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

from cgpo import distributed
from cgpo.cpu import LoadMeter
from cgpo.tracking.display import Display
from cgpo.types import Progress


class Phases:
    """Names the phase a run is in, and adds up what the phases of a step take.

    Args:
        display: shows the phase.
    """

    def __init__(self, display: Display) -> None:
        self._display = display
        self._seconds: defaultdict[str, float] = defaultdict(float)
        self._of_inner = 0.0
        self._step_started = time.monotonic()
        # Other ranks on this machine are no strangers: what started them has them all as descendants.
        self._load = LoadMeter(os.getppid() if distributed.world_size() > 1 else None)
        self._loaded = False

    def begin_step(self) -> None:
        """A step begins: `time/step` counts from here."""
        self._step_started = time.monotonic()
        self._load.take()

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Work inside belongs to the phase `name`, but for what a phase within it takes."""
        self._display.phase(name)
        started, before = time.monotonic(), self._of_inner
        self._of_inner = 0.0
        try:
            yield
        finally:
            seconds = time.monotonic() - started
            self._seconds[name.replace(" ", "_").replace("-", "")] += seconds - self._of_inner
            self._of_inner = before + seconds

    def progress(self, name: str) -> Progress:
        """Tells the display how far a phase is."""
        return lambda done, total: self._display.phase(name, done, total)

    def take_times(self) -> dict[str, float | None]:
        """`time/<phase>` and `time/step` in seconds, from zero again afterwards.

        Phases between steps (evaluation, checkpoint) count towards the next step's metrics.
        """
        times: dict[str, float | None] = {f"time/{phase}": seconds for phase, seconds in self._seconds.items()}
        self._seconds.clear()
        self._say_load()
        return times | {"time/step": time.monotonic() - self._step_started}

    def _say_load(self) -> None:
        """Says when the load begins to slow the run down, and when it no longer does."""
        load = self._load.take()
        if load is not None and load.is_high != self._loaded:
            self._loaded = load.is_high
            effect = "steps take longer than on an idle machine" if load.is_high else "not enough to slow the run down"
            self._display.message(f"{load}: {effect}")
