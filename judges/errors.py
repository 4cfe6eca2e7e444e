"""Errors for the person who configures judges: one message that says what is wrong, where, and what is allowed."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class JudgesError(ValueError):
    """Something the user can mend: a name, an option, a file, a row."""


def unknown_name(what: str, word: str, allowed: Iterable[str], where: str = "") -> str:
    """A message for a name that does not exist: what, where, the nearest match and the allowed values."""
    names = sorted(allowed)
    at = f" {where}" if where else ""
    return f"unknown {what} {word!r}{at}.{did_you_mean(word, names)} Allowed: {', '.join(names) or '(none)'}"


def did_you_mean(word: str, allowed: Iterable[str]) -> str:
    """A question, with a space before it, for the nearest of the allowed values; empty where none is near."""
    close = difflib.get_close_matches(word, list(allowed), n=1, cutoff=0.6)
    return f" Did you mean {close[0]!r}?" if close else ""
