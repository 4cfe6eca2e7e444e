"""The display of a run while it goes on: a live panel in a terminal, plain lines elsewhere.

All of it goes to stderr, so that stdout stays free for what a command answers. Only rank 0 displays.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Literal, Protocol, TextIO

from cgpo.tracking.lines import Clock, PhaseTimes, StepTimes, StratumLine, plain_step, stratum_lines
from cgpo.tracking.metrics import Metrics
from cgpo.tracking.run_log import show_notices_by, user_stderr
from judges.printing import say

Mode = Literal["auto", "live", "plain", "off"]

QUIET_SECONDS = 20.0
"""A phase that lasts longer than this without a line gets one, in plain mode."""


class Display(Protocol):
    """What the loop tells the display. No call fails the run; all may come from any thread.

    `phase` and `message` may come before `start`: loading models takes its time too.
    """

    def start(self, total_steps: int, strata: Sequence[str], first_step: int = 0) -> None:
        """The run begins; `first_step` steps are already done."""

    def phase(self, name: str, done: int | None = None, total: int | None = None) -> None:
        """Work on `name` (rollout, learning, evaluation …) has come this far; the counts may be unknown."""

    def step(self, step: int, metrics: Metrics, strata_lines: Mapping[str, StratumLine] | None = None) -> None:
        """A step is done. Its duration is `time/step` of the metrics, or the time since the last step.

        Without `strata_lines` they are taken from the metrics.
        """

    def message(self, text: str) -> None:
        """One line for the person."""

    def stop(self) -> None:
        """The run ended, in whatever way; the terminal is as before. May be called twice."""


def make_display(mode: Mode = "auto", *, rank: int = 0, stream: TextIO | None = None) -> Display:
    """The display for a mode; `auto` is live when the stream (stderr) is a terminal that can move its cursor."""
    out = user_stderr() if stream is None else stream
    if rank != 0 or mode == "off":
        show_notices_by(None, warnings_only=True)
        return NoDisplay()
    if mode == "auto":
        mode = "live" if out.isatty() and os.environ.get("TERM", "") not in ("", "dumb") else "plain"
    display: Display
    if mode == "plain":
        display = PlainDisplay(out)
    else:
        from cgpo.tracking.live import LiveDisplay

        display = LiveDisplay(out)
    show_notices_by(display.message)
    return display


class NoDisplay:
    """Shows nothing: the other ranks, and `tracking.display=off`."""

    def start(self, total_steps: int, strata: Sequence[str], first_step: int = 0) -> None: ...

    def phase(self, name: str, done: int | None = None, total: int | None = None) -> None: ...

    def step(self, step: int, metrics: Metrics, strata_lines: Mapping[str, StratumLine] | None = None) -> None: ...

    def message(self, text: str) -> None: ...

    def stop(self) -> None: ...


class PlainDisplay:
    """A line a step, and a line about the phase whenever nothing was said for `quiet_seconds`.

    Phases before `start` (loading) get a line each at once.
    """

    def __init__(self, stream: TextIO, clock: Clock = time.monotonic, quiet_seconds: float = QUIET_SECONDS) -> None:
        self._stream = stream
        self._clock = clock
        self._quiet = quiet_seconds
        self._strata: tuple[str, ...] = ()
        self._total = self._step = 0
        self._times = StepTimes(0, clock)
        self._phase: tuple[str, int | None, int | None] | None = None
        self._phase_times = PhaseTimes(clock)
        self._spoke_at = clock()
        self._talker: threading.Thread | None = None
        self._stopped = threading.Event()
        self._lock = threading.RLock()

    def start(self, total_steps: int, strata: Sequence[str], first_step: int = 0) -> None:
        self._total, self._step, self._strata = total_steps, first_step, tuple(strata)
        self._times = StepTimes(total_steps, self._clock)
        goes_on = f", going on after step {first_step}" if first_step else ""
        self.message(f"{total_steps} steps{goes_on}; strata: {', '.join(strata)}")

    def phase(self, name: str, done: int | None = None, total: int | None = None) -> None:
        with self._lock:
            new = self._phase_times.tell(name, done, total)
            self._phase = (name, done, total)
            if new and not self._total:
                self.message(name)
            self._say_phase_if_quiet()
            if self._talker is None:
                # A phase may block for minutes without a call (loading a model): a thread keeps the promise of a line.
                self._talker = threading.Thread(target=self._keep_talking, name="cgpo-display", daemon=True)
                self._talker.start()

    def step(self, step: int, metrics: Metrics, strata_lines: Mapping[str, StratumLine] | None = None) -> None:
        lines = stratum_lines(self._strata, metrics) if strata_lines is None else strata_lines
        with self._lock:
            seconds, left = self._times.record(step, metrics)
            self._step, self._phase = step, None
            self._phase_times.end()
            self.message(plain_step(step, self._total, seconds, left, lines))

    def message(self, text: str) -> None:
        with self._lock:
            self._spoke_at = self._clock()
            # A closed pipe or a full disk behind stderr is no reason to end a run.
            with suppress(OSError, ValueError):
                say(text, file=self._stream)

    def stop(self) -> None:
        self._stopped.set()
        show_notices_by(None)

    def _keep_talking(self) -> None:
        while not self._stopped.wait(self._quiet / 4):
            with self._lock:
                self._say_phase_if_quiet()

    def _say_phase_if_quiet(self) -> None:
        if self._phase is None or self._clock() - self._spoke_at < self._quiet:
            return
        name, done, total = self._phase
        count = "" if done is None else f" {done}" if total is None else f" {done}/{total}"
        steps = f" ({self._step}/{self._total} steps done)" if self._total else ""
        self.message(f"  {name}{count}, for {self._phase_times.text}{steps}")
