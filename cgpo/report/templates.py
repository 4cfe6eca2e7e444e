"""The templates of all pages, `*.j2` in this folder, and their one rule for text.

Responses are hostile text, and so is whatever quotes them: everything is escaped, the filter `shown` cuts it and writes
out control characters, and only our own charts, style sheet and script are markup.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from judges.printing import showable

if TYPE_CHECKING:
    from jinja2 import Environment

LONGEST_TEXT = 3000
"""Characters of a text that are shown; the run's files hold all of it."""


def render(template: str, **values: Any) -> str:
    """A template filled in."""
    return _environment().get_template(template).render(values)


def shown(text: str, longest: int = LONGEST_TEXT) -> str:
    """A text as a page has it: cut, with a word on how much was, and with control characters written out."""
    cut = showable(text[:longest])
    return cut if len(text) <= longest else f"{cut} […{len(text) - longest:,} more characters]"


@cache
def _environment() -> Environment:
    import jinja2
    from markupsafe import Markup

    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_file),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["shown"] = shown
    environment.globals["svg"] = Markup  # our own charts, which escape what they write
    return environment


def _file(name: str) -> str:
    return files("cgpo.report").joinpath(name).read_text(encoding="utf-8")
