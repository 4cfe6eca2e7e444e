"""JSON Lines, plain or compressed by gzip (`.gz`): read line by line, whatever the lines hold."""

from __future__ import annotations

import gzip
import json
import math
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from judges.errors import JudgesError
from judges.files.rows import NOTHING_MORE, USUAL_FIELDS, Fields, InputRow, json_type, row_of

MAX_LINE_BYTES = 32 * 2**20
"""A longer line is malformed and never in memory as a whole."""
MAX_DEPTH = 100
"""Deeper nested JSON is malformed: Python's own limits differ between reading, sending and writing."""
_RAW_CHARS = 1000
_SKIP_BYTES = 2**20


class JsonlSource:
    """The rows of a JSON Lines file.

    Args:
        path: the file; None is standard input. A name that ends in `.gz` is decompressed on the way.
        fields: where its rows have what is judged.
    """

    def __init__(self, path: Path | None, fields: Fields = USUAL_FIELDS) -> None:
        self._path = path
        self._fields = fields
        self._compressed = path is not None and path.suffix == ".gz"

    @property
    def total(self) -> int | None:
        """Bytes of the file (on the disk), where that is known."""
        return self._path.stat().st_size if self._path is not None and self._path.is_file() else None

    def rows(self, line: int = 0, end: int = 0) -> Iterator[InputRow]:
        """The rows after a line that ended at byte `end` of the (decompressed) text."""
        if end == NOTHING_MORE:
            return
        with self._opened() as (file, on_disk):
            if end:
                file.seek(end)
            for row in read_rows(file, line, end, self._fields):
                yield row if on_disk is None else _with_progress(row, on_disk.tell())

    @contextmanager
    def _opened(self) -> Iterator[tuple[IO[bytes], IO[bytes] | None]]:
        """The text, and the compressed file behind it if there is one."""
        if self._path is None:
            yield sys.stdin.buffer, None
        elif not self._compressed:
            with self._path.open("rb") as file:
                yield file, None
        else:
            with self._path.open("rb") as on_disk, gzip.GzipFile(fileobj=on_disk) as text:
                yield text, on_disk  # type: ignore[misc]


def read_rows(file: IO[bytes], line: int = 0, end: int = 0, fields: Fields = USUAL_FIELDS) -> Iterator[InputRow]:
    """The rows of a JSON Lines file; blank lines are passed over, malformed ones come with their problem.

    Compressed data that cannot be read come as a malformed row that says so, and as the last one.

    Args:
        file: stands after line number `line`, at byte `end` of the text.
        fields: where rows have what is judged.
    """
    while True:
        line += 1
        try:
            text = file.readline(MAX_LINE_BYTES + 1)
            length = len(text) + (_skip_line(file) if len(text) > MAX_LINE_BYTES and text[-1:] != b"\n" else 0)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            problem = f"the compressed data are damaged from here on: {error}"
            yield InputRow(line, 0, {"raw": ""}, None, problem, NOTHING_MORE, end)
            return
        if not text:
            return
        end += length
        if text.strip():
            yield _input_row(line, text, end, fields)


def parse_object(line: bytes) -> dict[str, Any]:
    """The JSON object of a line.

    Raises:
        JudgesError: the line holds something else; the message says what.
    """
    if len(line) > MAX_LINE_BYTES:
        raise JudgesError(f"longer than {MAX_LINE_BYTES // 2**20} MiB")
    try:
        content = json.loads(line.decode("utf-8-sig"), parse_constant=_refuse_constant, parse_float=_finite)
    except UnicodeDecodeError as error:
        raise JudgesError(f"not UTF-8 text ({error.reason} at byte {error.start})") from None
    except JudgesError:
        raise
    except RecursionError:
        raise JudgesError(f"nested deeper than {MAX_DEPTH} levels") from None
    except ValueError as error:
        raise JudgesError(f"not JSON: {_without_advice(str(error))}") from None
    if not isinstance(content, dict):
        raise JudgesError(f"not a JSON object but {json_type(content)}")
    if line.count(b"[") + line.count(b"{") > MAX_DEPTH and _depth_exceeds(content, MAX_DEPTH):
        raise JudgesError(f"nested deeper than {MAX_DEPTH} levels")
    return content


def metadata_object(metadata: Any) -> Any:
    """The object of metadata that are text with a JSON object; any other value as it is.

    Raises:
        JudgesError: text with something else.
    """
    if not isinstance(metadata, str):
        return metadata
    try:
        return parse_object(metadata.encode("utf-8", "surrogatepass"))
    except JudgesError as error:
        raise JudgesError(f"`metadata` must be an object, or text with one: {error}") from None


def _input_row(number: int, line: bytes, end: int, fields: Fields) -> InputRow:
    content: dict[str, Any] = {"raw": line[: 4 * _RAW_CHARS].decode("utf-8", "replace").strip()[:_RAW_CHARS]}
    try:
        content = parse_object(line)
        row = row_of({**content, "metadata": metadata_object(content.get("metadata"))}, fields)
        return InputRow(number, len(line), content, row, "", end, end)
    except JudgesError as error:
        return InputRow(number, len(line), content, None, str(error), end, end)


def _with_progress(row: InputRow, done: int) -> InputRow:
    return InputRow(row.line, row.size, row.content, row.row, row.problem, row.end, done)


def _skip_line(file: IO[bytes]) -> int:
    """Reads on to the end of the line; returns how many bytes that were."""
    skipped = 0
    while part := file.readline(_SKIP_BYTES):
        skipped += len(part)
        if part.endswith(b"\n"):
            break
    return skipped


def _refuse_constant(name: str) -> None:
    raise JudgesError(f"not JSON: {name} is no JSON number")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise JudgesError(f"the number {text[:30]} is too large")
    return number


def _without_advice(message: str) -> str:
    """Python's advice on its own limit of digits is no help to someone with a file."""
    return message.partition("; use sys.set_int_max_str_digits")[0]


def _depth_exceeds(value: Any, limit: int) -> bool:
    level = [value]
    for _ in range(limit):
        level = [
            item
            for parent in level
            for item in (parent.values() if isinstance(parent, dict) else parent)
            if isinstance(item, (dict, list))
        ]
        if not level:
            return False
    return True
