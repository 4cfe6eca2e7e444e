"""A small self-contained HTML page of tables and charts, in the clothes of a run's page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cgpo.report.charts import Chart
from cgpo.report.templates import render
from cgpo.storage.disk import write_atomically


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of text; the first column stands left, the others right."""

    headers: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the page, shown in this order: warnings, text, tables, charts."""

    title: str
    text: Sequence[str] = ()
    warnings: Sequence[str] = ()
    tables: Sequence[Table] = ()
    charts: Sequence[Chart | None] = ()


@dataclass(frozen=True, slots=True)
class Page:
    """A page; `facts` are shown at the top."""

    title: str
    status: str = ""
    facts: Sequence[tuple[str, str]] = ()
    warnings: Sequence[str] = ()
    sections: Sequence[Section] = ()


def write_page(path: Path, page: Page) -> None:
    """Writes the page.

    Raises:
        RunError: the disk is full, or the file cannot be written.
    """
    write_atomically(path, render_page(page).encode("utf-8", "backslashreplace"), "the page")


def render_page(page: Page) -> str:
    """The page as HTML."""
    return render("page.html.j2", page=page)
