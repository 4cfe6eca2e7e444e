"""What a log's reaction, time and ids mean, value by value."""

from __future__ import annotations

import datetime
import sys
from collections import Counter
from collections.abc import Collection
from typing import Any

from cgpo.errors import DataError, nearest

LONGEST_VALUE = 40
_WORDS = {"true": 1, "1": 1, "1.0": 1, "false": 0, "0": 0, "0.0": 0}


class BadRowError(DataError):
    """A row of a log that cannot be used.

    Attributes:
        reason: the kind of problem, the same words for every row that has it.
        detail: what this row has.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason, self.detail = reason, detail


class Reactions:
    """Tells positive reactions from none, and counts the values it meets.

    Args:
        positive: words that are positive; where there are some, every other word is a reaction of another kind: 0.
    """

    def __init__(self, positive: Collection[str]) -> None:
        self.positive = {word.strip().lower() for word in positive}
        self.found: Counter[str] = Counter()

    def label(self, value: Any) -> int:
        """1 for a positive reaction, 0 for none (null) or another.

        Raises:
            BadRowError: the value cannot be understood.
        """
        shown = value_text(value)
        self.found[shown] += 1
        if value is None:
            return 0
        if isinstance(value, (bool, int, float)) and value in (0, 1):
            return int(value)
        if isinstance(value, str):
            word = value.strip().lower()
            if word in self.positive:
                return 1
            if word in _WORDS:  # a CSV has no other form for true and false
                return _WORDS[word]
            if self.positive:
                return 0
        raise BadRowError(
            "reaction not understood", f"{shown} is none of true, false, 1, 0 and null{self._hint(value)}"
        )

    def values_text(self) -> str:
        """`null 940, 'like' 60`, most frequent first."""
        shown = [f"{value} {count:,}" for value, count in self.found.most_common(8)]
        more = len(self.found) - len(shown)
        return ", ".join(shown) + (f", {more} more" if more > 0 else "")

    def nearest_positive(self) -> str:
        """A sentence with the values that are closest to the positive words; empty where there is none."""
        words = [value.strip("'") for value in self.found if value.startswith("'")]
        close = {word: nearest(word, words) for word in sorted(self.positive)}
        pairs = [f"{found!r} instead of {word!r}" for word, found in close.items() if found and found != word]
        if pairs:
            return f" Did you mean --positive with {', '.join(pairs)}?"
        return f" Name the positive ones: --positive {words[0]}" if words and not self.positive else ""

    def _hint(self, value: Any) -> str:
        return "; name positive words with --positive" if isinstance(value, str) else ""


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
