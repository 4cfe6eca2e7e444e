"""Points with interval bars as inline SVG, drawn as the run report's curves are (`cgpo.report.charts`)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

from cgpo.report.charts import BOTTOM, COLOURS, HEIGHT, LEFT, RIGHT, TOP, WIDTH, Chart, ticks, value_text
from cgpo.storage.text import showable

AXIS_LABEL = 14
"""Pixels that the name of the x axis takes under the chart."""


@dataclass(frozen=True, slots=True)
class Point:
    """A point; bounds of its interval on either axis, where there are any.

    `label` is said when it is pointed at, `mark` is written beside it.
    """

    x: float
    y: float
    low: float | None = None
    high: float | None = None
    x_low: float | None = None
    x_high: float | None = None
    label: str = ""
    mark: str = ""


@dataclass(frozen=True, slots=True)
class PointSeries:
    """Points of one colour; `joined` by a line or not."""

    name: str
    points: Sequence[Point]
    joined: bool = False


@dataclass(frozen=True, slots=True)
class Axis:
    """A numeric axis.

    Attributes:
        name: shown at the x axis, and in what a point says when pointed at.
        rate: shares, shown in percent.
        zero: the axis starts at 0.
        names: in place of numbers: text at 0, 1, 2 …
    """

    name: str
    rate: bool = False
    zero: bool = False
    names: tuple[str, ...] = ()


def points_chart(
    title: str, series: Sequence[PointSeries], x: Axis, y: Axis, diagonal: bool = False, level: float | None = None
) -> Chart | None:
    """A chart of points, or None when there is none to draw.

    Args:
        title: what is drawn.
        series: the points.
        x: horizontal axis.
        y: vertical axis.
        diagonal: a line where x = y; both axes then have one scale.
        level: a horizontal line, e.g. at a lift of 1.
    """
    every = [point for one in series for point in one.points]
    if not every:
        return None
    xs = _extent([v for p in every for v in (p.x, p.x_low, p.x_high)], x)
    ys = _extent([v for p in every for v in (p.y, p.low, p.high)] + [level], y)
    if diagonal:
        xs = ys = (min(xs[0], ys[0]), max(xs[1], ys[1]))
    frame = _Frame(xs, ys, x, y)
    parts = [*_grid(frame)]
    if diagonal:
        parts.append(_line(frame, (xs[0], ys[0]), (xs[1], ys[1])))
    if level is not None:
        parts.append(_line(frame, (xs[0], level), (xs[1], level)))
    for number, one in enumerate(series):
        parts += _series(frame, one, number)
    height = HEIGHT + AXIS_LABEL
    label = escape(showable(f"{title}: {y.name} by {x.name}"), quote=True)
    svg = f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{label}">{"".join(parts)}</svg>'
    legend = tuple((f"c{i % COLOURS}", showable(one.name)) for i, one in enumerate(series)) if len(series) > 1 else ()
    return Chart(title, svg, legend, "")


@dataclass(frozen=True, slots=True)
class _Frame:
    xs: tuple[float, float]
    ys: tuple[float, float]
    x_axis: Axis
    y_axis: Axis

    def x(self, value: float) -> float:
        return LEFT + (value - self.xs[0]) / (self.xs[1] - self.xs[0]) * (WIDTH - LEFT - RIGHT)

    def y(self, value: float) -> float:
        return HEIGHT - BOTTOM - (value - self.ys[0]) / (self.ys[1] - self.ys[0]) * (HEIGHT - TOP - BOTTOM)


def _extent(values: Sequence[float | None], axis: Axis) -> tuple[float, float]:
    known = [v for v in values if v is not None and math.isfinite(v)]
    if axis.names:
        return -0.5, max(len(axis.names), 1) - 0.5
    low, high = min(known), max(known)
    if axis.zero:
        low = min(low, 0.0)
    margin = (high - low) * 0.06 or abs(high) * 0.1 or 1.0
    return (low if axis.zero and low == 0 else low - margin), high + margin


def _grid(frame: _Frame) -> Iterator[str]:
    for value in ticks(*frame.ys):
        at = frame.y(value)
        yield f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>'
        yield _text(LEFT - 6, at + 3.5, "end", value_text(round(value, 12), rate=frame.y_axis.rate))
    names = frame.x_axis.names
    marks = [(float(i), showable(n)) for i, n in enumerate(names)] or [
        (v, value_text(round(v, 12), rate=frame.x_axis.rate)) for v in ticks(*frame.xs)
    ]
    for value, text in marks:
        yield _text(frame.x(value), HEIGHT - 8, "middle", text)
    yield _text((LEFT + WIDTH - RIGHT) / 2, HEIGHT + AXIS_LABEL - 4, "middle", showable(frame.x_axis.name))


def _text(x: float, y: float, anchor: str, text: str) -> str:
    return f'<text class="tick" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _line(frame: _Frame, start: tuple[float, float], end: tuple[float, float]) -> str:
    places = [frame.x(start[0]), frame.y(start[1]), frame.x(end[0]), frame.y(end[1])]
    x1, y1, x2, y2 = (f"{place:.1f}" for place in places)
    style = 'class="tick" style="stroke:var(--soft)" stroke-dasharray="4 4"'
    return f'<line {style} x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}"/>'


def _series(frame: _Frame, one: PointSeries, number: int) -> Iterator[str]:
    style = f"c{number % COLOURS}"
    if one.joined and len(one.points) > 1:
        path = " ".join(f"{frame.x(p.x):.1f},{frame.y(p.y):.1f}" for p in one.points)
        yield f'<polyline class="curve {style}" points="{path}"/>'
    for point in one.points:
        x, y = f"{frame.x(point.x):.1f}", f"{frame.y(point.y):.1f}"
        if point.low is not None and point.high is not None:
            low, high = frame.y(point.low), frame.y(point.high)
            yield f'<line class="curve {style}" x1="{x}" x2="{x}" y1="{low:.1f}" y2="{high:.1f}"/>'
        if point.x_low is not None and point.x_high is not None:
            low, high = frame.x(point.x_low), frame.x(point.x_high)
            yield f'<line class="curve {style}" x1="{low:.1f}" x2="{high:.1f}" y1="{y}" y2="{y}"/>'
        said = escape(showable(_said(frame, one, point)))
        yield f'<circle class="dot {style}" cx="{x}" cy="{y}" r="3"><title>{said}</title></circle>'
        if point.mark:
            # Every other series has its marks below, so that points side by side can both be read.
            yield _text(
                frame.x(point.x) + 5, frame.y(point.y) + (12 if number % 2 else -5), "start", showable(point.mark)
            )


def _said(frame: _Frame, one: PointSeries, point: Point) -> str:
    x, y = frame.x_axis, frame.y_axis
    at = [] if x.names else [f"{x.name} {value_text(point.x, rate=x.rate)}"]
    at.append(f"{y.name} {value_text(point.y, rate=y.rate)}")
    if point.low is not None and point.high is not None:
        at[-1] += f" ({value_text(point.low, rate=y.rate)} to {value_text(point.high, rate=y.rate)})"
    return ", ".join([point.label or one.name, *at])
