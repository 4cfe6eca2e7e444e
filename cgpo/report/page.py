"""A small self-contained HTML page: tables and charts, in the clothes of the run report. All text is escaped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from cgpo.report.charts import Chart
from cgpo.storage.disk import write_atomically
from cgpo.storage.text import showable

LONGEST_TEXT = 2000
"""Characters of a text that are shown."""


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
    import jinja2
    from markupsafe import Markup

    def shown(text: str) -> str:
        cut = showable(text[:LONGEST_TEXT])
        return cut if len(text) <= LONGEST_TEXT else f"{cut} […{len(text) - LONGEST_TEXT:,} more characters]"

    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_file),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["shown"] = shown
    # Our own charts escape what they write; nothing else is put in unescaped.
    return environment.get_template("page.html.j2").render(page=page, svg=Markup)


def _file(name: str) -> str:
    return files("cgpo.report").joinpath(name).read_text(encoding="utf-8")
