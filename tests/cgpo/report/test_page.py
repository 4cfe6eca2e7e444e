"""Pages and charts: what is drawn is where it belongs, and nobody's text becomes markup."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from cgpo.errors import RunError
from cgpo.report.charts import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH
from cgpo.report.head_metrics import pairwise_report, pointwise_report, regression_report
from cgpo.report.head_report import report_section
from cgpo.report.page import Page, Section, Table, render_page, write_page
from cgpo.report.points_chart import Axis, Point, PointSeries, points_chart

HOSTILE = "<img src=x onerror=alert(1)>\x1b[31m\u202e"


def circles(svg: str) -> list[tuple[float, float]]:
    root = ElementTree.fromstring(svg)
    return [(float(c.attrib["cx"]), float(c.attrib["cy"])) for c in root.iter("circle")]


def test_points_lie_where_their_numbers_say() -> None:
    points = [Point(0.0, 0.0), Point(1.0, 1.0), Point(0.5, 0.25, low=0.0, high=0.5)]
    chart = points_chart("t", [PointSeries("s", points)], Axis("x"), Axis("y"), diagonal=True)
    assert chart is not None
    (x0, y0), (x1, y1), (x2, y2) = circles(chart.svg)
    assert x2 == pytest.approx((x0 + x1) / 2, abs=0.1)
    assert y2 == pytest.approx(y0 + 0.25 * (y1 - y0), abs=0.1)
    assert LEFT < x0 < x1 < WIDTH - RIGHT
    assert HEIGHT - BOTTOM > y0 > y1 > TOP
    bar = re.search(r'<line class="curve c0" x1="([\d.]+)" x2="\1" y1="([\d.]+)" y2="([\d.]+)"', chart.svg)
    assert bar is not None
    assert float(bar[2]) == pytest.approx(y0, abs=0.1)
    assert float(bar[3]) == pytest.approx((y0 + y1) / 2, abs=0.1)


def test_nothing_to_draw_is_no_chart() -> None:
    assert points_chart("t", [PointSeries("s", [])], Axis("x"), Axis("y")) is None


@pytest.mark.parametrize("value", [0.0, 1.0, -3.0, 1e-12])
def test_a_single_point_has_axes(value: float) -> None:
    chart = points_chart("t", [PointSeries("s", [Point(value, value)])], Axis("x", zero=True), Axis("y"))
    assert chart is not None
    assert all(0 < x < WIDTH and 0 < y < HEIGHT for x, y in circles(chart.svg))


def test_text_never_becomes_markup() -> None:
    chart = points_chart(
        HOSTILE,
        [PointSeries(HOSTILE, [Point(0, 0, label=HOSTILE)]), PointSeries("b", [Point(1, 1)])],
        Axis(HOSTILE, names=(HOSTILE, "b")),
        Axis(HOSTILE),
    )
    section = Section(HOSTILE, [HOSTILE], [HOSTILE], [Table([HOSTILE, HOSTILE], [[HOSTILE, HOSTILE]])], [chart])
    text = render_page(Page(HOSTILE, HOSTILE, [(HOSTILE, HOSTILE)], [HOSTILE], [section]))
    seen: list[str] = []

    class Tags(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            seen.append(tag)

    Tags().feed(text)
    assert "img" not in seen
    assert "script" not in seen
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "http://" not in text.replace("http://www.w3.org", "")
    assert "https://" not in text


def test_every_report_has_its_section(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    scores, other = generator.normal(size=80).tolist(), generator.normal(size=80).tolist()
    lengths = generator.integers(5, 200, 80).astype(float).tolist()
    labels = (generator.random(80) < 0.3).astype(int).tolist()
    sections = [
        report_section("love", pointwise_report(scores, labels, lengths), scores, lengths, labels),
        report_section("helpfulness", pairwise_report(scores, other, lengths, lengths), scores, lengths),
        report_section("rating", regression_report(scores, other, lengths), scores, lengths),
    ]
    assert [sum(chart is not None for chart in s.charts) for s in sections] == [4, 3, 1]
    write_page(tmp_path / "page.html", Page("Reports", sections=sections))
    text = (tmp_path / "page.html").read_text()
    assert text.count("<svg") == 8
    assert "AUROC" in text
    assert ">auroc<" not in text
    assert '<td class="judge">  if calibrated</td>' in text  # set in below the ECE that it belongs to


def test_a_page_that_cannot_be_written_is_an_error_in_words(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="could not write the page"):
        write_page(tmp_path / "file" / "page.html", Page("t"))
