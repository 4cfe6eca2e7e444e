"""The types of options that are numbers: each reads a text, or says what the number must be."""

from __future__ import annotations

import argparse


def count(text: str) -> int:
    """A whole number above 0."""
    return int(_checked(int(text), int(text) >= 1, text, "a whole number above 0"))


def share(text: str) -> float:
    """A number from 0 to 1."""
    return _checked(float(text), 0 <= float(text) <= 1, text, "between 0 and 1")


def share_below_one(text: str) -> float:
    """A number from 0 to 1, but not 1."""
    return _checked(float(text), 0 <= float(text) < 1, text, "between 0 and 1 (1 excluded)")


def open_share(text: str) -> float:
    """A number above 0 and below 1."""
    return _checked(float(text), 0 < float(text) < 1, text, "strictly between 0 and 1")


def positive(text: str) -> float:
    """A finite number above 0."""
    return _checked(float(text), 0 < float(text) < float("inf"), text, "a number above 0")


def not_negative(text: str) -> float:
    """A finite number that is not negative."""
    return _checked(float(text), 0 <= float(text) < float("inf"), text, "a number that is not negative")


def _checked(value: float, right: bool, text: str, wanted: str) -> float:
    if not right:
        raise argparse.ArgumentTypeError(f"{text} is not {wanted}")
    return value
