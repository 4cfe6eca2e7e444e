"""Line charts as inline SVG: a few kilobytes each, no script, colours from the page's style sheet.

A value that is not known breaks the line: a gap is shown as a gap.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import TypeGuard

WIDTH, HEIGHT = 340, 180
LEFT, RIGHT, TOP, BOTTOM = 46, 12, 10, 24
MAX_POINTS = 200
"""Longer curves are drawn as means over equal stretches of steps, so that the file stays small."""

COLOURS = 8
"""Colours in the style sheet (`.c0` … `.c7`); further series reuse them with a dashed line."""

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
        return [(step, value) for step, value in self.points if _drawable(value)]


@dataclass(frozen=True, slots=True)
class Chart:
    """A finished chart.

    Attributes:
        title: what is drawn, with its unit.
        svg: markup, safe to put into a page as it is.
        legend: (style class, name) of each curve; empty when there is only one.
        last: the last known value of the first curve, as text.
        note: e.g. that curves are averaged; may be empty.
    """

    title: str
    svg: str
    legend: tuple[tuple[str, str], ...]
    last: str
    note: str = ""


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
    drawn = [(_averaged(curve), number) for number, curve in enumerate(series) if curve.known]
    if not drawn:
        return None
    steps = [step for curve, _ in drawn for step, _ in curve.points]
    values = [value for curve, _ in drawn for _, value in curve.known]
    frame = _Frame(min(steps), max(steps), *_value_range(values, rate=rate), rate=rate)
    body = "".join(
        [
            *_grid(frame),
            *_marks(frame, marks),
            *(part for curve, number in drawn for part in _curve(frame, curve, number)),
        ]
    )
    label = escape(f"{title} over steps {frame.first} to {frame.last}")
    svg = f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}">{body}</svg>'
    legend = tuple((_style(number), curve.name) for curve, number in drawn) if len(drawn) > 1 else ()
    longest = max(len(curve.points) for curve in series)
    note = f"each point is a mean over about {math.ceil(longest / MAX_POINTS)} steps" if longest > MAX_POINTS else ""
    return Chart(title, svg, legend, value_text(drawn[0][0].known[-1][1], rate=rate), note)


def value_text(value: float, *, rate: bool = False) -> str:
    """`43 %`, `0.512`, `1.3e-05`, `3,300`."""
    if rate:
        return f"{value * 100:.3g} %"
    if value == 0 or 1e-3 <= abs(value) < 1000:
        return f"{value:.3g}"
    return f"{value:,.0f}" if 1000 <= abs(value) < 1e7 else f"{value:.1e}"


@dataclass(frozen=True, slots=True)
class _Frame:
    first: int
    last: int
    low: float
    high: float
    rate: bool

    def x(self, step: float) -> float:
        span = self.last - self.first
        share = (step - self.first) / span if span else 0.5
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    def y(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)


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


def ticks(low: float, high: float, least: int = 3) -> list[float]:
    """Round numbers within [low, high], at least `least` of them and as few as that allows."""
    unit = 10.0 ** math.floor(math.log10(high - low))
    marks: list[float] = []
    for step in (unit * factor for factor in (5, 2, 1, 0.5, 0.2)):
        first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
        marks = [number * step for number in range(first, last + 1)]
        if len(marks) >= least:
            break
    return marks


def _grid(frame: _Frame) -> Iterator[str]:
    for value in ticks(frame.low, frame.high):
        y = frame.y(value)
        yield f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        text = value_text(round(value, 12), rate=frame.rate)
        yield f'<text class="tick" x="{LEFT - 6}" y="{y + 3.5:.1f}" text-anchor="end">{text}</text>'
    steps = sorted({round(tick) for tick in ticks(frame.first, max(frame.last, frame.first + 1), least=4)})
    for step in steps:
        if frame.first <= step <= frame.last:
            place = f'x="{frame.x(step):.1f}" y="{HEIGHT - 8}"'
            yield f'<text class="tick" {place} text-anchor="middle">{step}</text>'


def _marks(frame: _Frame, marks: Sequence[tuple[int, str]]) -> Iterator[str]:
    for step, what in marks:
        if frame.first <= step <= frame.last:
            x = f"{frame.x(step):.1f}"
            title = f"<title>{escape(f'step {step}: {what}')}</title>"
            yield f'<line class="mark" x1="{x}" x2="{x}" y1="{TOP}" y2="{HEIGHT - BOTTOM}">{title}</line>'
            yield f'<text class="tick" x="{x}" y="{TOP + 2}" text-anchor="middle">step {step}</text>'


def _curve(frame: _Frame, curve: Series, number: int) -> Iterator[str]:
    style = _style(number)
    for stretch in _stretches(curve):
        path = " ".join(f"{frame.x(step):.1f},{frame.y(value):.1f}" for step, value in stretch)
        yield f'<polyline class="curve {style}" points="{path}"/>'
    name = escape(curve.name)
    shown = "dot" if len(curve.points) <= 40 else "dot hidden"
    for step, value in curve.known:
        text = f"{name}, step {step}: {value_text(value, rate=frame.rate)}"
        place = f'cx="{frame.x(step):.1f}" cy="{frame.y(value):.1f}"'
        yield f'<circle class="{shown} {style}" {place} r="3"><title>{text}</title></circle>'


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
