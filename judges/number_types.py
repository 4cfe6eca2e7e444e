"""The types of options that are numbers: each reads a text, or says what the number must be."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable

LONGEST_SECONDS = 86400
"""A day."""


def whole(text: str) -> int:
    """A whole number."""
    return int(_read(int, text, lambda value: True, "a whole number"))


def natural(text: str) -> int:
    """A whole number that is not negative."""
    return int(_read(int, text, lambda value: value >= 0, "a whole number of at least 0"))


def count(text: str) -> int:
    """A whole number above 0."""
    return int(_read(int, text, lambda value: value >= 1, "a whole number of at least 1"))


def number(text: str) -> float:
    """A finite number."""
    return _read(float, text, lambda value: True, "a number")


def share(text: str) -> float:
    """A number from 0 to 1."""
    return _read(float, text, lambda value: 0 <= value <= 1, "a number from 0 to 1")


def share_below_one(text: str) -> float:
    """A number from 0 to 1, but not 1."""
    return _read(float, text, lambda value: 0 <= value < 1, "a number from 0 to 1 (1 excluded)")


def open_share(text: str) -> float:
    """A number above 0 and below 1."""
    return _read(float, text, lambda value: 0 < value < 1, "a number strictly between 0 and 1")


def positive(text: str) -> float:
    """A finite number above 0."""
    return _read(float, text, lambda value: value > 0, "a number above 0")


def not_negative(text: str) -> float:
    """A finite number that is not negative."""
    return _read(float, text, lambda value: value >= 0, "a number of at least 0")


def seconds(text: str) -> float:
    """A time to wait."""
    wanted = f"a number of seconds above 0 and below {LONGEST_SECONDS}"
    return _read(float, text, lambda value: 0 < value < LONGEST_SECONDS, wanted)


def _read(kind: Callable[[str], float], text: str, right: Callable[[float], bool], wanted: str) -> float:
    """Raises ArgumentTypeError, in whose words argparse names the option."""
    try:
        value = kind(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and right(value)):
        raise argparse.ArgumentTypeError(f"must be {wanted}, not {text!r}")
    return value
