"""Values of a log's cells: times and ids, and what is said of those that cannot be used."""

from __future__ import annotations

import datetime
import sys
from typing import Any

from cgpo.errors import DataError

LONGEST_VALUE = 40


class BadRowError(DataError):
    """A row of a log that cannot be used.

    Attributes:
        reason: the kind of problem, the same words for every row that has it.
        detail: what this row has.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason, self.detail = reason, detail


def value_text(value: Any) -> str:
    """A value for messages: `null`, `'love'`, `17`, cut where it is long."""
    if value is None:
        return "null"
    text = repr(value)
    return text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}…"


def seconds_of(value: Any, milliseconds: bool = False) -> float:
    """Unix seconds of a time: ISO 8601 (without a zone: UTC), a date with time of Parquet, or a Unix time.

    Raises:
        BadRowError: it is missing or cannot be read.
    """
    if value is None or value == "":
        raise BadRowError("time missing", "no value")
    if isinstance(value, str):
        return _of_text(value.strip(), milliseconds)
    if isinstance(value, datetime.datetime):
        return _utc(value)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return _of_number(value, value, milliseconds)
    raise BadRowError("time unreadable", f"{value_text(value)} is neither ISO 8601 nor a Unix time")


def _of_text(text: str, milliseconds: bool) -> float:
    try:
        number = float(text)
    except ValueError:
        try:
            return _utc(datetime.datetime.fromisoformat(text))
        except (ValueError, OverflowError) as error:
            raise BadRowError("time unreadable", f"{value_text(text)} is neither ISO 8601 nor a Unix time") from error
    return _of_number(number, text, milliseconds)


def _of_number(number: float, value: Any, milliseconds: bool) -> float:
    if not 0 < number <= sys.float_info.max:  # whole numbers of JSON may be larger than any float
        raise BadRowError("time unreadable", f"{value_text(value)} is no Unix time")
    return number / 1000 if milliseconds else float(number)


def _utc(moment: datetime.datetime) -> float:
    zoned = moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)
    return zoned.timestamp()


def id_of(value: Any, what: str) -> str | None:
    """The id of a user, policy or conversation: text, or a whole number as text; None where there is none.

    Raises:
        BadRowError: it is something else, or empty.
    """
    if value is None:
        return None
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str) or not value.strip():
        raise BadRowError(f"{what} not text", f"{value_text(value)} is neither text nor a whole number")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise BadRowError(f"{what} not text", f"{value_text(value)} is no Unicode text") from error
    return value
