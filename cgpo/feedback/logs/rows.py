"""One row of a log, checked: its texts, and what its reaction, time and ids mean."""

from __future__ import annotations

import datetime
import json
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from cgpo.data.messages import content, message_list, messages_of
from cgpo.data.rows import RawRow
from cgpo.errors import DataError, nearest
from cgpo.feedback.settings import COLUMNS, LogSettings
from cgpo.feedback.values import BadRowError, id_of, seconds_of, value_text
from judges import Message

_WORDS = {"true": 1, "1": 1, "1.0": 1, "false": 0, "0": 0, "0.0": 0}


class Reactions:
    """Tells positive reactions from none, and counts the values it meets.

    Args:
        positive: words that are positive; where there are some, every other word is a reaction of another kind: 0.
    """

    def __init__(self, positive: Collection[str]) -> None:
        self.positive = {word.strip().lower() for word in positive}
        self.counts: Counter[str] = Counter()

    def label(self, value: Any) -> int:
        """1 for a positive reaction, 0 for none (null) or another.

        Raises:
            BadRowError: the value cannot be understood.
        """
        shown = value_text(value)
        self.counts[shown] += 1
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
        shown = [f"{value} {count:,}" for value, count in self.counts.most_common(8)]
        more = len(self.counts) - len(shown)
        return ", ".join(shown) + (f", {more} more" if more > 0 else "")

    def nearest_positive(self) -> str:
        """A sentence with the values that are closest to the positive words; empty where there is none."""
        words = [value.strip("'") for value in self.counts if value.startswith("'")]
        close = {word: nearest(word, words) for word in sorted(self.positive)}
        pairs = [f"{value!r} instead of {word!r}" for word, value in close.items() if value and value != word]
        if pairs:
            return f" Did you mean --positive with {', '.join(pairs)}?"
        return f" Name the positive ones: --positive {words[0]}" if words and not self.positive else ""

    def _hint(self, value: Any) -> str:
        return "; name positive words with --positive" if isinstance(value, str) else ""


@dataclass(frozen=True, slots=True)
class LogRow:
    """A response in a conversation and what its user did.

    Attributes:
        where: file and row.
        prompt: the messages before the response.
        response: what the user saw.
        label: 1: positive reaction.
        time: Unix seconds.
        user: who; None where the log does not say.
        policy: which model answered.
        conversation: id of the conversation.
    """

    where: str
    prompt: tuple[Message, ...]
    response: str
    label: int
    time: float
    user: str | None
    policy: str | None
    conversation: str | None


class RowReader:
    """Reads rows of one log.

    Args:
        settings: names of columns, words of reactions, the clock.
    """

    def __init__(self, settings: LogSettings) -> None:
        self.reactions = Reactions(settings.positive)
        self._settings = settings
        self._milliseconds = settings.time_unit == "ms"
        self._columns = {what: settings.columns.get(what, what) for what in COLUMNS}

    def read(self, row: RawRow) -> LogRow:
        """The row.

        Raises:
            BadRowError: it cannot be used, and why.
        """
        cells = {what: row.values.get(column) for what, column in self._columns.items()}
        prompt, response = _texts(cells)
        return LogRow(
            row.where,
            prompt,
            response,
            self.reactions.label(cells["reaction"]),
            self._time(cells["time"]),
            id_of(cells["user"], "user"),
            id_of(cells["policy"], "policy"),
            id_of(cells["conversation_id"], "conversation_id"),
        )

    def _time(self, value: Any) -> float:
        time = seconds_of(value, self._milliseconds)
        if time <= self._settings.now + self._settings.clock_skew:
            return time
        if time > 1e11 and not self._milliseconds:  # the year 5138
            detail = f"{value_text(value)} seconds; if they are milliseconds: --time-unit ms"
        else:
            later = datetime.timedelta(seconds=round(time - self._settings.now))
            detail = f"{value_text(value)} is {later} later than now (--now, --clock-skew)"
        raise BadRowError("time in the future", detail)


def _texts(cells: Mapping[str, Any]) -> tuple[tuple[Message, ...], str]:
    """Prompt and response; the response may be the last message of `conversation`."""
    response = cells["response"]
    if cells["prompt"] is not None:
        prompt = _prompt(cells["prompt"])
    elif cells["conversation"] is not None:
        messages = _conversation(cells["conversation"])
        if response is None:
            response, messages = _split(messages)
        prompt = _prompt(messages)
    else:
        raise BadRowError("conversation bad", "neither `prompt` nor `conversation` has a value")
    if response is None:
        raise BadRowError("response missing", "no value")
    if isinstance(response, str) and not response.strip():
        raise BadRowError("response empty", "nothing in it")
    try:
        return prompt, content(response, "", "the response")
    except DataError as error:
        raise BadRowError("response bad", str(error).removeprefix(": ")) from error


def _prompt(value: Any) -> tuple[Message, ...]:
    try:
        return messages_of(value, "")
    except DataError as error:
        raise BadRowError("conversation bad", str(error).removeprefix(": ")) from error


def _conversation(value: Any) -> tuple[Message, ...]:
    if isinstance(value, str):  # a cell of a CSV
        try:
            value = json.loads(value)
        except (ValueError, RecursionError) as error:
            raise BadRowError("conversation bad", f"the conversation is text, but no JSON ({error})") from error
    try:
        return message_list(value, "", "the conversation")
    except DataError as error:
        raise BadRowError("conversation bad", str(error).removeprefix(": ")) from error


def _split(messages: tuple[Message, ...]) -> tuple[str, tuple[Message, ...]]:
    if messages[-1]["role"] != "assistant":
        last = messages[-1]["role"]
        raise BadRowError("response missing", f"no `response`, and the conversation ends with the {last}'s message")
    if len(messages) == 1:
        raise BadRowError("conversation bad", "nothing stands before the response")
    if messages[-1].get("tool_calls"):
        raise BadRowError("response bad", "the last message of the conversation calls tools; a response must be text")
    return str(messages[-1]["content"]), messages[:-1]
