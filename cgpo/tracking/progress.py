"""Progress of a stage: a bar with the time left in a terminal, a line now and then elsewhere; on stderr."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal, TextIO

from cgpo.tracking.lines import duration
from cgpo.tracking.run_log import is_diverted, show_notices_by, user_stderr
from judges.printing import say

if TYPE_CHECKING:
    from rich.console import Console

Mode = Literal["auto", "live", "plain", "off"]

Update = Callable[[int, str], None]
"""Called with (done, note)."""

QUIET_SECONDS = 10.0
"""Without a terminal, a line at most this often."""

TRUSTED_SHARE = 0.1
"""The time left is estimated once this share is done: responses come in waves, the first one late."""


def make_progress(mode: Mode, rank: int) -> StageProgress:
    """The progress of a command, through which its notices are shown too."""
    progress = StageProgress(mode, rank)
    if rank != 0 or mode == "off":
        show_notices_by(None, warnings_only=True)
    else:
        show_notices_by(progress.message)
    return progress


class StageProgress:
    """Shows the tasks of a stage, one after the other.

    Args:
        mode: `tracking.display`; `auto` is live when stderr is a terminal.
        rank: only rank 0 shows anything.
        stream: where to; stderr by default.
    """

    def __init__(self, mode: Mode = "auto", rank: int = 0, stream: TextIO | None = None) -> None:
        self._stream = user_stderr() if stream is None else stream
        self._console: Console | None = None
        self._silent = rank != 0 or mode == "off"
        self._live = not self._silent and (mode == "live" or (mode == "auto" and self._stream.isatty()))

    def message(self, text: str) -> None:
        """One line."""
        if self._console is not None:
            self._console.print(text, markup=False, highlight=False)
        elif not self._silent:
            say(text, file=self._stream)

    def phase(self, name: str) -> None:
        """Work begins that has no count."""
        self.message(name)

    @contextmanager
    def task(self, title: str, total: int, before: int = 0) -> Iterator[Update]:
        """A task of `total` parts, of which `before` were done earlier. The update it yields may be called for each."""
        if self._live:
            with self._bar(title, total, before) as update:
                yield update
        else:
            yield self._lines(title, total, before)

    @contextmanager
    def _bar(self, title: str, total: int, before: int) -> Iterator[Update]:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        from judges.terminal import open_console

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        note = TextColumn("{task.fields[note]}")
        diverted = is_diverted()
        self._console = open_console(self._stream)
        try:
            with Progress(
                *columns, note, console=self._console, redirect_stdout=not diverted, redirect_stderr=not diverted
            ) as progress:
                bar = progress.add_task(title, total=total, completed=before, note="")
                yield lambda done, note: progress.update(bar, completed=done, note=note)
        finally:
            self._console = None

    def _lines(self, title: str, total: int, before: int) -> Update:
        started = spoke = time.monotonic()

        def update(done: int, note: str) -> None:
            nonlocal spoke
            now = time.monotonic()
            if done < total and now - spoke < QUIET_SECONDS:
                return
            spoke = now
            parts = [f"{title} {done}/{total}"]
            if done >= total:
                parts.append(f"took {duration(now - started)}")
            elif done - before >= (total - before) * TRUSTED_SHARE:
                parts.append(f"about {duration((now - started) / (done - before) * (total - done))} left")
            self.message(", ".join(filter(None, [*parts, note])))

        return update
