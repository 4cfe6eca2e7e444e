"""`report.html`: one file, no network, made from the run directory alone, so that a killed run has one too.

Responses are hostile text: everything is escaped, control characters are written out, and the page's own policy
forbids every script but its own and every request.
"""

from __future__ import annotations

import base64
import hashlib
from importlib.resources import files
from pathlib import Path

from cgpo.errors import RunError
from cgpo.report.changes import change_text, interval_text, measure_text
from cgpo.report.overoptimisation import phrase_cells
from cgpo.report.report_data import Report, collect
from cgpo.report.sides import TITLES
from cgpo.storage.disk import write_atomically
from cgpo.storage.text import showable
from cgpo.tracking.lines import duration, number

LONGEST_TEXT = 3000
"""Characters of a prompt or response that are shown; the Parquet files hold all of it."""

LONGEST_REASON = 500
"""Characters of a judge's reason that are shown."""


def write_report(run_dir: Path) -> Path:
    """Makes or renews `<run_dir>/report.html` and returns its path.

    Raises:
        RunError: there is no such directory, or the file cannot be written.
    """
    if not run_dir.is_dir():
        raise RunError(f"{run_dir} is not a run directory: no such folder")
    page = render(collect(run_dir))
    path = run_dir / "report.html"
    write_atomically(path, page.encode("utf-8", "backslashreplace"), "the report")
    return path


def render(report: Report) -> str:
    """The page."""
    import jinja2
    from markupsafe import Markup

    def shown(text: str, longest: int = LONGEST_TEXT) -> str:
        cut = showable(text[:longest])
        return cut if len(text) <= longest else f"{cut} […{len(text) - longest:,} more characters]"

    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_file),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"shown": shown, "duration": duration, "number": number}
    environment.globals |= {
        "measure_text": measure_text,
        "interval_text": interval_text,
        "change_text": change_text,
        "phrase_cells": phrase_cells,
        "LONGEST_REASON": LONGEST_REASON,
        "SIDE_TITLES": TITLES,
    }
    script = environment.get_template("report.js.j2").render()
    return environment.get_template("report.html.j2").render(
        report=report,
        # Our own script and charts, not the run's texts: the only markup that is not escaped.
        script=Markup(script),
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        svg=Markup,
    )


def _file(name: str) -> str:
    return files("cgpo.report").joinpath(name).read_text(encoding="utf-8")
