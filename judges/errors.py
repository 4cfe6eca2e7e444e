"""Errors for the person who configures judges: one message that says what is wrong, where, and what is allowed."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class JudgesError(ValueError):
    """Something the user can mend: a name, an option, a file, a row."""


def unknown_name(what: str, word: str, allowed: Iterable[str], where: str = "") -> str:
    """A message for a name that does not exist: what, where, the nearest match and the allowed values."""
    names = sorted(allowed)
    close = difflib.get_close_matches(word, names, n=1, cutoff=0.6)
    at = f" {where}" if where else ""
    meant = f" Did you mean {close[0]!r}?" if close else ""
    return f"unknown {what} {word!r}{at}.{meant} Allowed: {', '.join(names) or '(none)'}"
