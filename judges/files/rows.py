"""Rows of a file of responses: what is read, what is judged, what is written, what came of them all."""

from __future__ import annotations

import json
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from dataclasses import asdict, dataclass, field
from typing import Any

from judges.errors import JudgesError
from judges.judge import Message, Row
from judges.messages import judged_messages, plain_content
from judges.mixture import Mixture
from judges.printing import escaped_json
from judges.verdict import Cost, Judgement, Outcome, Verdict

NOTHING_MORE = -1
"""Where a file ends that cannot be read any further (`InputRow.end`)."""

_IN_FLIGHT_PER_PROCESS = 32
_IN_FLIGHT_WITH_MODELS = 512
_IN_FLIGHT_BYTES = 32 * 2**20
_SHOWN_PROBLEMS = 10
_KEPT_REASONS = 200
_REASON_CHARS = 200


@dataclass(frozen=True, slots=True)
class InputRow:
    """One row of the input.

    Attributes:
        line: the number of its line, or of the row in a Parquet file, from 1.
        size: its length in bytes, roughly where the format has no lines.
        content: the row as it was read; for a line that holds no JSON object, `{"raw": the line's beginning}`.
        row: what is judged, or None when the row is malformed.
        problem: what is wrong with a malformed row.
        end: where reading goes on after it: a position that the file's reader understands, or NOTHING_MORE.
        done: how much of the reader's `total` has been read with it.
    """

    line: int
    size: int
    content: dict[str, Any]
    row: Row | None
    problem: str = ""
    end: int = 0
    done: int = 0


@dataclass(frozen=True, slots=True)
class Fields:
    """Where a row has what is judged.

    Attributes:
        prompt: the field of the prompt, text or messages.
        response: the field of the response: text, or messages of which the assistant's last one counts.
        metadata: metadata key → dotted path of a field that becomes metadata, besides those in `metadata`.
        without_prompt: a row without a prompt is one with an empty prompt.
    """

    prompt: str = "prompt"
    response: str = "response"
    metadata: Mapping[str, str] = field(default_factory=dict)
    without_prompt: bool = False


USUAL_FIELDS = Fields()


@dataclass(slots=True)
class Summary:
    """What came of a file.

    Attributes:
        rows: number of rows.
        malformed: (line number, problem) of the first malformed rows.
        malformed_rows: how many there are.
        unreadable: why the file was not read to its end; empty when it was.
        outcomes: verdicts by judge name and outcome.
        satisfied: rows by their `satisfied` field: True, False, None.
        costs: what the verdicts took, by judge name.
        unknown_reasons: unknown verdicts by judge name and reason; of many different reasons the first 200, and of a
            long one the beginning, so that memory stays bounded.
    """

    rows: int = 0
    malformed: list[tuple[int, str]] = field(default_factory=list)
    malformed_rows: int = 0
    unreadable: str = ""
    outcomes: dict[str, Counter[str]] = field(default_factory=dict)
    satisfied: Counter[bool | None] = field(default_factory=Counter)
    costs: dict[str, Cost] = field(default_factory=dict)
    unknown_reasons: dict[str, Counter[str]] = field(default_factory=dict)

    def undecided(self, judge: str) -> bool:
        """Was the judge unknown on every well-formed row that it concerned, and was there one?"""
        counts = self.outcomes[judge]
        return not (counts["satisfied"] or counts["violated"]) and counts["unknown"] > self.malformed_rows

    def unknown_rate(self, judge: str) -> float:
        """Share of rows on which the judge's verdict is unknown."""
        return self.outcomes[judge]["unknown"] / self.rows if self.rows else 0.0

    def add(self, source: InputRow, judgement: Judgement) -> None:
        self.rows += 1
        self.satisfied[judgement.satisfied] += 1
        for name, verdict in judgement.verdicts.items():
            self.outcomes.setdefault(name, Counter())[verdict.outcome.value] += 1
            if verdict.outcome is Outcome.UNKNOWN:
                self._add_reason(name, verdict.reason[:_REASON_CHARS])
            if verdict.cost is not None:
                self.costs[name] = self.costs.get(name, Cost(verdicts=0)) + verdict.cost
        if source.problem:
            self.malformed_rows += 1
            if len(self.malformed) < _SHOWN_PROBLEMS:
                self.malformed.append((source.line, source.problem))
        if source.end == NOTHING_MORE:
            self.unreadable = source.problem

    def _add_reason(self, judge: str, reason: str) -> None:
        reasons = self.unknown_reasons.setdefault(judge, Counter())
        if reason in reasons or len(reasons) < _KEPT_REASONS:
            reasons[reason] += 1

    def as_json(self) -> dict[str, Any]:
        """Plain data that `from_json` reads back."""
        counts = {json.dumps(key): count for key, count in self.satisfied.items()}
        return {
            "rows": self.rows,
            "malformed": self.malformed,
            "malformed_rows": self.malformed_rows,
            "unreadable": self.unreadable,
            "outcomes": self.outcomes,
            "satisfied": counts,
            "costs": {name: asdict(cost) for name, cost in self.costs.items()},
            "unknown_reasons": self.unknown_reasons,
        }

    @classmethod
    def from_json(cls, saved: Mapping[str, Any]) -> Summary:
        """The summary that `as_json` wrote."""
        return cls(
            rows=saved["rows"],
            malformed=[(line, problem) for line, problem in saved["malformed"]],
            malformed_rows=saved["malformed_rows"],
            unreadable=saved["unreadable"],
            outcomes={name: Counter(counts) for name, counts in saved["outcomes"].items()},
            satisfied=Counter({json.loads(key): count for key, count in saved["satisfied"].items()}),
            costs={name: Cost(**cost) for name, cost in saved["costs"].items()},
            unknown_reasons={name: Counter(counts) for name, counts in saved["unknown_reasons"].items()},
        )


def judge_rows(rows: Iterator[InputRow], mixture: Mixture, in_flight: int) -> Iterator[tuple[InputRow, Judgement]]:
    """Judges rows side by side, at most `in_flight` and about 32 MiB at once, and gives them back in order.

    A malformed row gets `unknown` from every judge, with the problem as reason.
    """
    waiting: deque[tuple[InputRow, Future[Judgement]]] = deque()
    held = 0
    for row in rows:
        waiting.append((row, _submitted(row, mixture)))
        held += row.size
        while waiting and (len(waiting) >= in_flight or held > _IN_FLIGHT_BYTES):
            source, future = waiting.popleft()
            held -= source.size
            yield source, future.result()
    while waiting:
        source, future = waiting.popleft()
        yield source, future.result()


def in_flight(processes: int, *, models: bool = False) -> int:
    """How many rows are in memory at once: enough that no worker ever waits.

    Args:
        processes: worker processes.
        models: are there judges that ask a model? They wait side by side for longer than a rule takes.
    """
    rows = _IN_FLIGHT_PER_PROCESS * processes
    return max(rows, _IN_FLIGHT_WITH_MODELS) if models else rows


def output_line(source: InputRow, judgement: Judgement) -> bytes:
    """The row with `verdicts` and `satisfied` added (older ones of that name are replaced), as a line of JSON."""
    return json_line({**source.content, **added(judgement)})


def added(judgement: Judgement) -> dict[str, Any]:
    """The fields that judging adds to a row."""
    return {"verdicts": judgement.as_json(), "satisfied": judgement.satisfied}


def json_line(content: Mapping[str, Any]) -> bytes:
    """A line of JSON in UTF-8; what a terminal would obey stands in it as JSON's escapes, for whoever looks at it."""
    try:
        return escaped_json(json.dumps(content, ensure_ascii=False)).encode("utf-8") + b"\n"
    except UnicodeEncodeError:  # a lone surrogate cannot be UTF-8, but it can be a JSON escape
        return escaped_json(json.dumps(content)).encode("ascii") + b"\n"


def row_of(content: Mapping[str, Any], fields: Fields = USUAL_FIELDS) -> Row:
    """What is judged of a row that was read.

    Raises:
        JudgesError: a field is missing or of the wrong type.
    """
    prompt, response = content.get(fields.prompt), content.get(fields.response)
    if prompt is None and not fields.without_prompt:
        raise JudgesError(f"no `{fields.prompt}`")
    if response is None:
        raise JudgesError(f"no `{fields.response}`")
    metadata = content.get("metadata")
    if metadata is not None and not isinstance(metadata, dict):
        raise JudgesError(f"`metadata` must be an object, not {json_type(metadata)}")
    beside = {key: field_of(content, path) for key, path in fields.metadata.items()}
    found = [item for values in (metadata or {}, beside) for item in values.items() if item[1] is not None]
    prompt = "" if prompt is None else _prompt(prompt, fields.prompt)
    return Row(prompt, _response(response, fields.response), dict(found))


def field_of(content: Mapping[str, Any], path: str) -> Any:
    """The value at a dotted path, through objects that are given as JSON text too; None where there is none."""
    value: Any = content
    for part in path.split("."):
        if isinstance(value, str) and value.startswith("{"):
            value = _parsed(value)
        if not isinstance(value, Mapping):
            return None
        value = value.get(part)
    return value


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def json_type(value: Any) -> str:
    """What a JSON value is, for messages."""
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    names: tuple[tuple[type, str], ...] = ((str, "text"), (list, "a list"), (dict, "an object"))
    if value == []:
        return "an empty list"
    return next((name for kind, name in names if isinstance(value, kind)), "a number")


def _submitted(source: InputRow, mixture: Mixture) -> Future[Judgement]:
    if source.row is not None:
        return mixture.submit(source.row)
    malformed: Future[Judgement] = Future()
    malformed.set_result(Judgement(dict.fromkeys(mixture.names, Verdict.unknown(f"malformed row: {source.problem}"))))
    return malformed


def _prompt(prompt: Any, name: str) -> str | tuple[Message, ...]:
    if isinstance(prompt, str):
        return prompt
    if not isinstance(prompt, list) or not prompt:
        raise JudgesError(f"`{name}` must be text or a list of messages, not {json_type(prompt)}")
    return _messages(prompt, name)


def _response(response: Any, name: str) -> str:
    """The text of a response; of messages that of the assistant's last one, which must have one."""
    if isinstance(response, str):
        return response
    if not isinstance(response, list):
        raise JudgesError(f"`{name}` must be text, not {json_type(response)}")
    own = [message for message in response if isinstance(message, dict) and message.get("role") == "assistant"]
    _messages(response, name)
    if not own:
        raise JudgesError(f"`{name}` has no message of the role assistant")
    text = plain_content(own[-1].get("content"))
    if own[-1].get("content") is None or not isinstance(text, str):
        raise JudgesError(f"`{name}`: the assistant's last message has no text")
    return text


def _messages(messages: list[Any], name: str) -> tuple[Message, ...]:
    return judged_messages(messages, f"`{name}`")
