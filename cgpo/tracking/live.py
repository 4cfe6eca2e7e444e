"""The live display: step, phase, time left, and one line a stratum, redrawn in place with rich."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TextIO

from cgpo.tracking.lines import (
    Clock,
    PhaseTimes,
    StepTimes,
    StratumLine,
    duration,
    number,
    sparkline,
    stratum_lines,
)
from cgpo.tracking.metrics import Metrics
from cgpo.tracking.run_log import is_diverted, show_notices_by

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

FOOTER = {
    "train/loss": ("loss", ".4g"),
    "train/grad_norm": ("gradient norm", ".3g"),
    "sync/logprob_gap": ("log-prob gap", ".1e"),
}
"""Metrics of the whole run that are shown under the strata: name → label, format."""


class LiveDisplay:
    """Redraws a small panel at the bottom of the terminal; everything else printed meanwhile scrolls above it.

    Where libraries write to a log, nothing else is printed, and their streams are left alone.
    """

    def __init__(self, stream: TextIO, clock: Clock = time.monotonic) -> None:
        from rich.live import Live

        from judges.terminal import open_console

        self._clock = clock
        self._console = open_console(stream)
        self._streams: list[tuple[logging.StreamHandler[TextIO], TextIO]] = []
        self._strata: tuple[str, ...] = ()
        self._lines: dict[str, StratumLine] = {}
        self._rates: dict[str, list[float | None]] = {}
        self._metrics: Metrics = {}
        self._total = self._step = 0
        self._left: float | None = None
        self._times = StepTimes(0, clock)
        self._phase: tuple[str, int | None, int | None] = ("starting", None, None)
        self._phase_times = PhaseTimes(clock)
        self._opened = False
        # Last, because it draws once when it is made.
        self._live = Live(
            console=self._console,
            get_renderable=self._render,
            refresh_per_second=4,
            redirect_stdout=not is_diverted(),
            redirect_stderr=not is_diverted(),
        )

    def start(self, total_steps: int, strata: Sequence[str], first_step: int = 0) -> None:
        self._total, self._step, self._strata = total_steps, first_step, tuple(strata)
        self._rates = {name: [] for name in strata}
        self._times = StepTimes(total_steps, self._clock)
        self._open()

    def phase(self, name: str, done: int | None = None, total: int | None = None) -> None:
        new = self._phase_times.tell(name, done, total)
        self._phase = (name, done, total)
        self._open()
        if new:
            # At once, because loading a model may keep the drawing thread from running.
            self._live.refresh()

    def step(self, step: int, metrics: Metrics, strata_lines: Mapping[str, StratumLine] | None = None) -> None:
        self._lines = dict(stratum_lines(self._strata, metrics) if strata_lines is None else strata_lines)
        for name, line in self._lines.items():
            self._rates.setdefault(name, []).append(line.rate)
        _, self._left = self._times.record(step, metrics)
        self._step, self._metrics = step, metrics
        self._live.refresh()

    def message(self, text: str) -> None:
        self._console.print(text, markup=False)

    def stop(self) -> None:
        self._live.stop()
        show_notices_by(None)
        for handler, stream in self._streams:
            handler.setStream(stream)
        self._streams.clear()

    def _open(self) -> None:
        """Shows the panel, from the first phase on; after `stop` it stays away."""
        if not self._opened:
            self._opened = True
            before = (sys.stdout, sys.stderr)
            self._live.start()
            self._redirect_log_handlers(before)

    def _redirect_log_handlers(self, before: tuple[TextIO, TextIO]) -> None:
        """Lets loggers made earlier print above the panel: they hold the streams from before rich replaced them."""
        replaced = {id(before[0]): sys.stdout, id(before[1]): sys.stderr}
        loggers = [logging.getLogger(), *logging.root.manager.loggerDict.values()]
        for logger in loggers:
            for handler in getattr(logger, "handlers", ()):
                if isinstance(handler, logging.StreamHandler) and id(handler.stream) in replaced:
                    self._streams.append((handler, handler.stream))
                    handler.setStream(replaced[id(handler.stream)])

    def _render(self) -> RenderableType:
        from rich.console import Group
        from rich.text import Text

        parts: list[RenderableType] = [self._progress()]
        if self._strata:
            parts.append(self._table())
        footer = [
            f"{label} {value:{form}}"
            for name, (label, form) in FOOTER.items()
            if (value := self._metrics.get(name)) is not None
        ]
        if footer:
            parts.append(Text(" · ".join(footer), style="dim"))
        return Group(*parts)

    def _progress(self) -> Table:
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        name, done, total = self._phase
        count = "" if done is None else f"{done}" if total is None else f"{done}/{total}"
        left = "" if self._left is None or self._step >= self._total else f", about {duration(self._left)} left"
        grid = Table.grid(padding=(0, 1))
        grid.add_column(no_wrap=True)
        grid.add_column(width=24)
        grid.add_column()
        if self._total:
            grid.add_row(
                f"[bold]step {self._step}/{self._total}[/]",
                ProgressBar(total=self._total, completed=self._step, width=24),
                f"{duration(self._times.elapsed)}{left}",
            )
        bar = ProgressBar(total=total or None, completed=done or 0, width=24, pulse=not total)
        grid.add_row(Text(name), bar, f"{count} {self._phase_times.text}".strip())
        return grid

    def _table(self) -> Table:
        from rich.table import Table

        table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
        table.add_column("stratum", no_wrap=True)
        table.add_column("satisfied", no_wrap=True)
        table.add_column("reward", justify="right")
        table.add_column("log_ratio", justify="right")
        table.add_column("trend", no_wrap=True)
        for name in self._strata:
            line = self._lines.get(name)
            if line is None:
                table.add_row(name, "–", "–", "–", "")
                continue
            trend = sparkline(self._rates[name])
            table.add_row(
                name,
                line.satisfied_text,
                number(line.calibrated_reward, ".2f"),
                number(line.log_ratio, "+.2f"),
                f"{trend}  {line.note}".rstrip(),
            )
        return table
