"""Errors meant for the person at the keyboard: one clear message, no traceback, exit status 2."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence


class CgpoError(Exception):
    """Something the user can mend. The message says what is wrong, where, and what is allowed."""


class ConfigError(CgpoError):
    """The configuration is wrong."""


class DataError(CgpoError):
    """A data set, a row or a file is wrong."""


class RunError(CgpoError):
    """The run cannot go on: a limit was passed, a directory does not fit, the disk is full."""


class LimitError(RunError):
    """More is unknown than the settings allow; nothing was learnt from it."""


def nearest(word: str, allowed: Iterable[str]) -> str | None:
    """The allowed word that `word` was probably meant to be, or None."""
    matches = difflib.get_close_matches(word, list(allowed), n=1, cutoff=0.6)
    return matches[0] if matches else None


def unknown_name(what: str, word: str, allowed: Iterable[str], where: str = "") -> str:
    """A message for a name that does not exist: what, where, the allowed values and the nearest match."""
    names = sorted(allowed)
    close = nearest(word, names)
    at = f" at {where}" if where else ""
    meant = f" Did you mean {close!r}?" if close else ""
    return f"unknown {what} {word!r}{at}.{meant} Allowed: {', '.join(names) or '(none)'}"


def listed(names: Sequence[str], most: int = 10) -> str:
    """The first `most` names for a message, and how many more there are; `none` of none."""
    shown = ", ".join(names[:most]) or "none"
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"
