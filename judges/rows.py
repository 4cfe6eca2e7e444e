"""Judges a JSON Lines file row by row: rows in, the same rows with verdicts out, in order and in bounded memory."""

from __future__ import annotations

import json
import os
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from judges.errors import JudgesError
from judges.judge import Message, Row
from judges.mixture import Mixture
from judges.verdict import Judgement, Verdict

_IN_FLIGHT_PER_PROCESS = 32
_RAW_CHARS = 1000


@dataclass(frozen=True, slots=True)
class InputRow:
    """One line of the input.

    Attributes:
        line: its number, from 1.
        size: its length in bytes.
        content: the JSON object as it was read; for a line that holds none, `{"raw": the line's beginning}`.
        row: what is judged, or None when the line is malformed.
        problem: what is wrong with a malformed line.
    """

    line: int
    size: int
    content: dict[str, Any]
    row: Row | None
    problem: str = ""


@dataclass(slots=True)
class Summary:
    """What came of a file.

    Attributes:
        rows: number of rows.
        malformed: (line number, problem) of the first malformed rows.
        malformed_rows: how many there are.
        outcomes: verdicts by judge name and outcome.
        satisfied: rows by their `satisfied` field: True, False, None.
    """

    rows: int = 0
    malformed: list[tuple[int, str]] = field(default_factory=list)
    malformed_rows: int = 0
    outcomes: dict[str, Counter[str]] = field(default_factory=dict)
    satisfied: Counter[bool | None] = field(default_factory=Counter)

    def unknown_rate(self, judge: str) -> float:
        """Share of rows on which the judge's verdict is unknown."""
        return self.outcomes[judge]["unknown"] / self.rows if self.rows else 0.0

    def add(self, source: InputRow, judgement: Judgement) -> None:
        self.rows += 1
        self.satisfied[judgement.satisfied] += 1
        for name, verdict in judgement.verdicts.items():
            self.outcomes.setdefault(name, Counter())[verdict.outcome.value] += 1
        if source.problem:
            self.malformed_rows += 1
            if len(self.malformed) < 10:
                self.malformed.append((source.line, source.problem))


def read_rows(file: IO[bytes]) -> Iterator[InputRow]:
    """The rows of a JSON Lines file; blank lines are passed over, malformed ones come with their problem."""
    for number, line in enumerate(file, start=1):
        if not line.strip():
            continue
        yield _input_row(number, line)


def judge_rows(rows: Iterator[InputRow], mixture: Mixture, in_flight: int) -> Iterator[tuple[InputRow, Judgement]]:
    """Judges rows side by side, at most `in_flight` at once, and gives them back in order.

    A malformed row gets `unknown` from every judge, with the problem as reason.
    """
    waiting: deque[tuple[InputRow, Future[Judgement]]] = deque()
    for row in rows:
        waiting.append((row, _submitted(row, mixture)))
        if len(waiting) >= in_flight:
            source, future = waiting.popleft()
            yield source, future.result()
    while waiting:
        source, future = waiting.popleft()
        yield source, future.result()


def output_line(source: InputRow, judgement: Judgement) -> bytes:
    """The row with `verdicts` and `satisfied` added (older ones of that name are replaced), as a line of JSON."""
    verdicts = {name: verdict.as_json() for name, verdict in judgement.verdicts.items()}
    row = {**source.content, "verdicts": verdicts, "satisfied": judgement.satisfied}
    try:
        return json.dumps(row, ensure_ascii=False).encode("utf-8") + b"\n"
    except UnicodeEncodeError:  # a lone surrogate cannot be UTF-8, but it can be a JSON escape
        return json.dumps(row).encode("ascii") + b"\n"


def in_flight(processes: int) -> int:
    """How many rows are in memory at once: enough that no worker ever waits."""
    return _IN_FLIGHT_PER_PROCESS * processes


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """A file beside `path` that takes its place when the block ends well, and is removed otherwise.

    Raises:
        JudgesError: `path` is a folder, a device or the like, or in no folder.
        OSError: the folder cannot be written to, or the disk is full; it names `path`.
    """
    try:
        target = path.resolve()  # through symbolic links, which stay as they are
    except RuntimeError as error:  # before Python 3.13, what a loop of links raises
        raise JudgesError(f"{path}: {error}") from error
    if not target.parent.is_dir():
        raise JudgesError(f"{path}: there is no folder {target.parent}")
    if target.exists() and not target.is_file():
        raise JudgesError(f"{path}: is not a regular file")
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
    except OSError as error:
        if error.filename not in (None, str(temporary)):
            raise
        raise type(error)(error.errno, error.strerror, str(path)) from error
    finally:
        temporary.unlink(missing_ok=True)


def _input_row(number: int, line: bytes) -> InputRow:
    content: dict[str, Any] = {"raw": line[:_RAW_CHARS].decode("utf-8", "replace").strip()}
    try:
        content = _parse(line)
        return InputRow(number, len(line), content, _row(content))
    except JudgesError as error:
        return InputRow(number, len(line), content, None, str(error))


def _submitted(source: InputRow, mixture: Mixture) -> Future[Judgement]:
    if source.row is not None:
        return mixture.submit(source.row)
    malformed: Future[Judgement] = Future()
    malformed.set_result(Judgement(dict.fromkeys(mixture.names, Verdict.unknown(f"malformed row: {source.problem}"))))
    return malformed


def _parse(line: bytes) -> dict[str, Any]:
    try:
        found = json.loads(line.decode("utf-8-sig"), parse_constant=_refuse_constant)
    except UnicodeDecodeError as error:
        raise JudgesError(f"not UTF-8 text ({error.reason} at byte {error.start})") from None
    except JudgesError:
        raise
    except (ValueError, RecursionError) as error:
        raise JudgesError(f"not JSON: {error}") from None
    if not isinstance(found, dict):
        raise JudgesError(f"not a JSON object but {_json_type(found)}")
    return found


def _refuse_constant(name: str) -> None:
    raise JudgesError(f"not JSON: {name} is no JSON number")


def _row(found: Mapping[str, Any]) -> Row:
    """Raises JudgesError when a field is missing or of the wrong type."""
    for key in ("prompt", "response"):
        if found.get(key) is None:
            raise JudgesError(f"no `{key}`")
    if not isinstance(found["response"], str):
        raise JudgesError(f"`response` must be text, not {_json_type(found['response'])}")
    metadata = found.get("metadata")
    if metadata is not None and not isinstance(metadata, dict):
        raise JudgesError(f"`metadata` must be an object, not {_json_type(metadata)}")
    return Row(_prompt(found["prompt"]), found["response"], metadata or {})


def _prompt(prompt: Any) -> str | tuple[Message, ...]:
    if isinstance(prompt, str):
        return prompt
    if not isinstance(prompt, list) or not prompt:
        raise JudgesError(f"`prompt` must be text or a list of messages, not {_json_type(prompt)}")
    for number, message in enumerate(prompt, start=1):
        if not isinstance(message, dict) or not all(isinstance(message.get(k), str) for k in ("role", "content")):
            raise JudgesError(f'message {number} of `prompt` must be {{"role": text, "content": text}}')
    return tuple(prompt)


def _json_type(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    names: tuple[tuple[type, str], ...] = ((str, "text"), (list, "a list"), (dict, "an object"))
    if value == []:
        return "an empty list"
    return next((name for kind, name in names if isinstance(value, kind)), "a number")
