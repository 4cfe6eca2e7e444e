"""Charts as inline SVG: a few kilobytes each, no script, colours from the pages' style sheet.

This file holds what curves (`cgpo.report.line_chart`) and points (`cgpo.report.points_chart`) are drawn with. All text
goes through `quoted`: names come from users and models.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from html import escape

from judges.printing import showable

WIDTH, HEIGHT = 340, 180
LEFT, RIGHT, TOP, BOTTOM = 46, 12, 10, 24

COLOURS = 8
"""Colours in the style sheet (`.c0` … `.c7`); further series use them again."""


@dataclass(frozen=True, slots=True)
class Chart:
    """A finished chart.

    Attributes:
        title: what is drawn, with its unit.
        svg: markup, safe to put into a page as it is.
        legend: (style class, name) of each series; empty when there is only one.
        last: the last known value of the first curve, as text; empty where points are drawn.
        note: e.g. that curves are averaged; may be empty.
    """

    title: str
    svg: str
    legend: tuple[tuple[str, str], ...]
    last: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Frame:
    """Where numbers lie in the picture: lowest and highest value of either axis, at the edges of the drawing."""

    xs: tuple[float, float]
    ys: tuple[float, float]

    def x(self, value: float) -> float:
        """Pixels from the left; a single value is in the middle."""
        span = self.xs[1] - self.xs[0]
        return LEFT + ((value - self.xs[0]) / span if span else 0.5) * (WIDTH - LEFT - RIGHT)

    def y(self, value: float) -> float:
        """Pixels from the top."""
        return HEIGHT - BOTTOM - (value - self.ys[0]) / (self.ys[1] - self.ys[0]) * (HEIGHT - TOP - BOTTOM)


def svg(label: str, parts: Iterable[str], height: int = HEIGHT) -> str:
    """The picture; `label` says what is drawn to those who cannot see it."""
    return f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{quoted(label)}">{"".join(parts)}</svg>'


def quoted(text: str) -> str:
    """Anyone's text as text of a page."""
    return escape(showable(text))


def value_grid(frame: Frame, *, rate: bool) -> Iterator[str]:
    """Lines across the chart at round values, with their numbers."""
    for value in ticks(*frame.ys):
        y = frame.y(value)
        yield f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        yield tick_text(LEFT - 6, y + 3.5, "end", value_text(round(value, 12), rate=rate))


def tick_text(x: float, y: float, anchor: str, text: str) -> str:
    """A small text at a place; `anchor`: `start`, `middle` or `end` of it is there."""
    return f'<text class="tick" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{quoted(text)}</text>'


def polyline(frame: Frame, points: Iterable[tuple[float, float]], style: str) -> str:
    """Points joined by a line."""
    path = " ".join(f"{frame.x(x):.1f},{frame.y(y):.1f}" for x, y in points)
    return f'<polyline class="curve {style}" points="{path}"/>'


def dot(frame: Frame, x: float, y: float, style: str, text: str) -> str:
    """A point that says a text when it is pointed at."""
    place = f'cx="{frame.x(x):.1f}" cy="{frame.y(y):.1f}"'
    return f'<circle class="{style}" {place} r="3"><title>{quoted(text)}</title></circle>'


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


def value_text(value: float, *, rate: bool = False) -> str:
    """`43 %`, `0.512`, `1.3e-05`, `3,300`."""
    if rate:
        return f"{value * 100:.3g} %"
    if value == 0 or 1e-3 <= abs(value) < 1000:
        return f"{value:.3g}"
    return f"{value:,.0f}" if 1000 <= abs(value) < 1e7 else f"{value:.1e}"
