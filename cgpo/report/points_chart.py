"""Points with interval bars."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from cgpo.report.charts import (
    COLOURS,
    HEIGHT,
    LEFT,
    RIGHT,
    WIDTH,
    Chart,
    Frame,
    dot,
    polyline,
    svg,
    tick_text,
    ticks,
    value_grid,
    value_text,
)
from judges.printing import showable

AXIS_LABEL = 14
"""Pixels that the name of the x axis takes under the chart."""


@dataclass(frozen=True, slots=True)
class Point:
    """A point; bounds of its interval on either axis, where there are any.

    `label` is shown when it is pointed at, `mark` is written beside it.
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
    points = [point for group in series for point in group.points]
    if not points:
        return None
    xs = _extent([v for p in points for v in (p.x, p.x_low, p.x_high)], x)
    ys = _extent([v for p in points for v in (p.y, p.low, p.high)] + [level], y)
    if diagonal:
        xs = ys = (min(xs[0], ys[0]), max(xs[1], ys[1]))
    frame = Frame(xs, ys)
    parts = [*value_grid(frame, rate=y.rate), *_x_texts(frame, x)]
    if diagonal:
        parts.append(_guide(frame, (xs[0], ys[0]), (xs[1], ys[1])))
    if level is not None:
        parts.append(_guide(frame, (xs[0], level), (xs[1], level)))
    for number, group in enumerate(series):
        parts += _series(frame, group, number, x, y)
    picture = svg(f"{title}: {y.name} by {x.name}", parts, HEIGHT + AXIS_LABEL)
    names = [(f"c{number % COLOURS}", showable(group.name)) for number, group in enumerate(series)]
    return Chart(title, picture, tuple(names) if len(series) > 1 else ())


def _extent(values: Sequence[float | None], axis: Axis) -> tuple[float, float]:
    known = [v for v in values if v is not None and math.isfinite(v)]
    if axis.names:
        return -0.5, max(len(axis.names), 1) - 0.5
    low, high = min(known), max(known)
    if axis.zero:
        low = min(low, 0.0)
    margin = (high - low) * 0.06 or abs(high) * 0.1 or 1.0
    return (low if axis.zero and low == 0 else low - margin), high + margin


def _x_texts(frame: Frame, axis: Axis) -> Iterator[str]:
    texts = [(float(place), name) for place, name in enumerate(axis.names)] or [
        (value, value_text(round(value, 12), rate=axis.rate)) for value in ticks(*frame.xs)
    ]
    for value, text in texts:
        yield tick_text(frame.x(value), HEIGHT - 8, "middle", text)
    yield tick_text((LEFT + WIDTH - RIGHT) / 2, HEIGHT + AXIS_LABEL - 4, "middle", axis.name)


def _guide(frame: Frame, start: tuple[float, float], end: tuple[float, float]) -> str:
    """A dashed line to compare with."""
    places = [frame.x(start[0]), frame.y(start[1]), frame.x(end[0]), frame.y(end[1])]
    x1, y1, x2, y2 = (f"{place:.1f}" for place in places)
    style = 'class="tick" style="stroke:var(--soft)" stroke-dasharray="4 4"'
    return f'<line {style} x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}"/>'


def _series(frame: Frame, series: PointSeries, number: int, x_axis: Axis, y_axis: Axis) -> Iterator[str]:
    style = f"c{number % COLOURS}"
    if series.joined and len(series.points) > 1:
        yield polyline(frame, [(point.x, point.y) for point in series.points], style)
    for point in series.points:
        yield from _bars(frame, point, style)
        yield dot(frame, point.x, point.y, f"dot {style}", _point_text(series.name, point, x_axis, y_axis))
        if point.mark:
            # Every other series has its marks below, so that points side by side can both be read.
            y = frame.y(point.y) + (12 if number % 2 else -5)
            yield tick_text(frame.x(point.x) + 5, y, "start", point.mark)


def _bars(frame: Frame, point: Point, style: str) -> Iterator[str]:
    x, y = f"{frame.x(point.x):.1f}", f"{frame.y(point.y):.1f}"
    if point.low is not None and point.high is not None:
        low, high = frame.y(point.low), frame.y(point.high)
        yield f'<line class="curve {style}" x1="{x}" x2="{x}" y1="{low:.1f}" y2="{high:.1f}"/>'
    if point.x_low is not None and point.x_high is not None:
        low, high = frame.x(point.x_low), frame.x(point.x_high)
        yield f'<line class="curve {style}" x1="{low:.1f}" x2="{high:.1f}" y1="{y}" y2="{y}"/>'


def _point_text(series: str, point: Point, x: Axis, y: Axis) -> str:
    at = [] if x.names else [f"{x.name} {value_text(point.x, rate=x.rate)}"]
    at.append(f"{y.name} {value_text(point.y, rate=y.rate)}")
    if point.low is not None and point.high is not None:
        at[-1] += f" ({value_text(point.low, rate=y.rate)} to {value_text(point.high, rate=y.rate)})"
    return ", ".join([point.label or series, *at])
