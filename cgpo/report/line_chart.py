"""Curves over steps. A value that is not known breaks the line: a gap is shown as a gap."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeGuard

from cgpo.report.charts import (
    BOTTOM,
    COLOURS,
    HEIGHT,
    TOP,
    Chart,
    Frame,
    dot,
    polyline,
    quoted,
    svg,
    tick_text,
    ticks,
    value_grid,
    value_text,
)

MAX_POINTS = 200
"""Longer curves are drawn as means over equal stretches of steps, so that the file stays small."""

MAX_DOTS = 40
"""Values of a curve up to which each is marked; of longer ones the dots show only when they are pointed at."""

SMALLEST, LARGEST = 1e-200, 1e200
"""Beyond these the arithmetic of an axis would under- or overflow: no number of a run lies there in earnest."""


@dataclass(frozen=True, slots=True)
class Series:
    """One curve.

    Attributes:
        name: for the legend.
        points: (step, value) in the order of steps; a value may be None.
    """

    name: str
    points: Sequence[tuple[int, float | None]]

    @property
    def known(self) -> list[tuple[int, float]]:
        """The points that can be drawn."""
        return [(step, value) for step, value in self.points if _drawable(value)]


def line_chart(
    title: str, series: Sequence[Series], *, rate: bool = False, marks: Sequence[tuple[int, str]] = ()
) -> Chart | None:
    """A chart of the curves over steps, or None when no value of any is known.

    Args:
        title: what is drawn, with its unit.
        series: the curves; the first is the main one.
        rate: values are shares in [0, 1]: the axis starts at 0 and is in percent.
        marks: (step, what happened there); a line across the chart.
    """
    drawn = [(_averaged(curve), _style(number)) for number, curve in enumerate(series) if curve.known]
    if not drawn:
        return None
    steps = [step for curve, _ in drawn for step, _ in curve.points]
    first, last = min(steps), max(steps)
    frame = Frame((first, last), _value_range([value for curve, _ in drawn for _, value in curve.known], rate=rate))
    parts = [*value_grid(frame, rate=rate), *_step_texts(frame, first, last), *_marks(frame, marks)]
    for curve, style in drawn:
        parts += _curve(frame, curve, style, rate=rate)
    legend = tuple((style, curve.name) for curve, style in drawn) if len(drawn) > 1 else ()
    longest = max(len(curve.points) for curve in series)
    note = f"each point is a mean over about {math.ceil(longest / MAX_POINTS)} steps" if longest > MAX_POINTS else ""
    last_value = value_text(drawn[0][0].known[-1][1], rate=rate)
    return Chart(title, svg(f"{title} over steps {first} to {last}", parts), legend, last_value, note)


def _value_range(values: Sequence[float], *, rate: bool) -> tuple[float, float]:
    if rate:
        # The whole scale, unless everything happens in a corner of it.
        return 0.0, 1.0 if max(values) > 0.25 else max(0.05, max(values) * 1.15)
    low, high = min(values), max(values)
    if high - low <= max(abs(low), abs(high)) * 1e-9 or high - low < SMALLEST:
        margin = abs(low) * 0.1 if abs(low) > SMALLEST else 1.0
        return low - margin, high + margin
    # An axis that is nearly at zero starts there: otherwise noise looks like movement.
    if 0 < low < (high - low):
        low = 0.0
    margin = (high - low) * 0.06
    return (low if low == 0 else low - margin), high + margin


def _step_texts(frame: Frame, first: int, last: int) -> Iterator[str]:
    for step in sorted({round(tick) for tick in ticks(first, max(last, first + 1), least=4)}):
        if first <= step <= last:
            yield tick_text(frame.x(step), HEIGHT - 8, "middle", str(step))


def _marks(frame: Frame, marks: Sequence[tuple[int, str]]) -> Iterator[str]:
    for step, what in marks:
        if frame.xs[0] <= step <= frame.xs[1]:
            x = f"{frame.x(step):.1f}"
            title = f"<title>{quoted(f'step {step}: {what}')}</title>"
            yield f'<line class="mark" x1="{x}" x2="{x}" y1="{TOP}" y2="{HEIGHT - BOTTOM}">{title}</line>'
            yield tick_text(frame.x(step), TOP + 2, "middle", f"step {step}")


def _curve(frame: Frame, curve: Series, style: str, *, rate: bool) -> Iterator[str]:
    for stretch in _stretches(curve):
        yield polyline(frame, stretch, style)
    shown = "dot" if len(curve.points) <= MAX_DOTS else "dot hidden"
    for step, value in curve.known:
        text = f"{curve.name}, step {step}: {value_text(value, rate=rate)}"
        yield dot(frame, step, value, f"{shown} {style}", text)


def _stretches(curve: Series) -> Iterator[list[tuple[int, float]]]:
    """The parts of a curve between unknown values."""
    stretch: list[tuple[int, float]] = []
    for step, value in curve.points:
        if _drawable(value):
            stretch.append((step, value))
        elif stretch:
            yield stretch
            stretch = []
    if stretch:
        yield stretch


def _averaged(curve: Series) -> Series:
    size = math.ceil(len(curve.points) / MAX_POINTS)
    if size <= 1:
        return curve
    points: list[tuple[int, float | None]] = []
    for start in range(0, len(curve.points), size):
        part = curve.points[start : start + size]
        known = [value for _, value in part if _drawable(value)]
        points.append((part[-1][0], sum(known) / len(known) if known else None))
    return Series(curve.name, points)


def _drawable(value: float | None) -> TypeGuard[float]:
    return value is not None and abs(value) < LARGEST


def _style(number: int) -> str:
    """The first curve is the widest, so that another one with the same values does not hide it."""
    if number == 0:
        return "c0 main"
    return f"c{number % COLOURS}" + (" dashed" if number >= COLOURS else "")
