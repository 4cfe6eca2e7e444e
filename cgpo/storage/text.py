"""Text for files, pages and terminals; that of models may hold lone surrogates, control characters, direction marks."""

from __future__ import annotations

import re

_UNSHOWABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def storable(text: str) -> str:
    """The text with lone surrogates, which UTF-8 cannot hold, written out as `\\udXXX`; all else unchanged."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def showable(text: str) -> str:
    """The text with control characters, direction overrides and surrogates written out, for a page or a terminal.

    Newlines and tabs stay.
    """
    return _UNSHOWABLE.sub(lambda match: match.group().encode("unicode_escape").decode("ascii"), text)


def percent(share: float, decimals: int = 0) -> str:
    """`43 %`, `1.7 %`."""
    return f"{share:.{decimals}%}"[:-1] + " %"
