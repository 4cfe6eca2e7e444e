"""Parquet: read and written a batch at a time.

A Parquet file cannot be gone on with after a kill, so verdicts are kept as JSON lines until the last row is judged;
then the output is written in one go. Rows that came from Parquet keep their columns, types and schema metadata. Rows
that came from JSON get a column a field: text, whole numbers, numbers and booleans where every row has that type (or
null), everything else as JSON text. Added are `verdicts` (JSON text, as in a run's rollout files) and `satisfied`
(boolean).
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Iterator, Mapping
from datetime import date, time, timedelta
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any

from judges.errors import JudgesError
from judges.files.jsonl import metadata_object
from judges.files.rows import USUAL_FIELDS, Fields, InputRow, added, json_line, output_line, row_of
from judges.files.structs import as_given, has_struct
from judges.judge import Row
from judges.verdict import Judgement

try:
    import pyarrow as pa
    import pyarrow.parquet as pq
except ModuleNotFoundError as error:
    raise JudgesError("Parquet files need the package pyarrow: pip install pyarrow") from error

ADDED = ("verdicts", "satisfied")
SCHEMA_KEY, SCHEMA = b"cgpo.judged.schema", b"1"

_READ_ROWS = 256
_GROUP_ROWS = 65536
_BATCH_BYTES = 2**25
_INT64 = 2**63


class ParquetSource:
    """The rows of a Parquet file, numbered from 1; a row's position is the number of rows before the next one.

    Null fields of structs count as absent, in messages too (`judges.files.structs`). `metadata` may also be a map, or
    text that holds a JSON object.

    Raises:
        JudgesError: the file is no Parquet file.
    """

    def __init__(self, path: Path, fields: Fields = USUAL_FIELDS) -> None:
        self._path = path
        self._fields = fields
        self._file = _opened(path)

    @property
    def total(self) -> int:
        """Rows of the file."""
        return int(self._file.metadata.num_rows)

    def rows(self, line: int = 0, end: int = 0) -> Iterator[InputRow]:
        """The rows after row number `end`."""
        number = 0
        structs = {field.name: field.type for field in self._file.schema_arrow if has_struct(field.type)}
        for batch in _batches(self._file, self._path, end):
            first = end if number == 0 else number
            for number, content in enumerate(batch.to_pylist(), start=first + 1):
                yield _input_row(number, content, structs, self._fields)


class ParquetSink:
    """Parquet output of rows that came as JSON."""

    def line(self, source: InputRow, judgement: Judgement) -> bytes:
        return output_line(source, judgement)

    def finish(self, spool: Path, target: Path) -> None:
        types: dict[str, str] = {}
        for content in _lines(spool):
            for name, value in content.items():
                types[name] = _wider(types.get(name, "null"), value)
        types |= {"verdicts": "json", "satisfied": "bool"}
        arrow = {"null": pa.null(), "bool": pa.bool_(), "int": pa.int64(), "float": pa.float64()}
        schema = pa.schema([(name, arrow.get(kind, pa.string())) for name, kind in types.items()])
        _write(target, schema.with_metadata({SCHEMA_KEY: SCHEMA}), _columns(spool, types, schema))


class ParquetCopySink:
    """Parquet output of rows that came from Parquet: the same columns, with the verdicts beside them."""

    def __init__(self, source: Path) -> None:
        self._source = source

    def line(self, source: InputRow, judgement: Judgement) -> bytes:
        return json_line(added(judgement))

    def finish(self, spool: Path, target: Path) -> None:
        file = _opened(self._source)
        columns = [field for field in file.schema_arrow if field.name not in ADDED]
        metadata = {**(file.schema_arrow.metadata or {}), SCHEMA_KEY: SCHEMA}
        schema = pa.schema([*columns, pa.field("verdicts", pa.string()), pa.field("satisfied", pa.bool_())], metadata)
        _write(target, schema, self._judged(file, spool, schema))

    def _judged(self, file: pq.ParquetFile, spool: Path, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        verdicts = _lines(spool)
        for batch in _batches(file, self._source, 0):
            rows = list(islice(verdicts, batch.num_rows))
            columns = [batch.column(name) for name in schema.names[: -len(ADDED)]]
            columns.append(pa.array([_json_text(row["verdicts"]) for row in rows], pa.string()))
            columns.append(pa.array([row["satisfied"] for row in rows], pa.bool_()))
            yield pa.record_batch(columns, schema=schema)


def _opened(path: Path) -> pq.ParquetFile:
    with path.open("rb"):  # a missing file in the usual words
        pass
    try:
        return pq.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        raise JudgesError(f"{path} is no Parquet file that can be read: {error}") from error


def _batches(file: pq.ParquetFile, path: Path, skip: int) -> Iterator[pa.RecordBatch]:
    """The rows after the first `skip`, a few at a time; row groups before them are not read."""
    before = 0
    for group in range(file.num_row_groups):
        size = file.metadata.row_group(group).num_rows
        if before + size > skip:
            yield from _group_batches(file, path, group, max(0, skip - before))
        before += size


def _group_batches(file: pq.ParquetFile, path: Path, group: int, skip: int) -> Iterator[pa.RecordBatch]:
    described = file.metadata.row_group(group)
    rows = max(1, min(_READ_ROWS, described.num_rows * _BATCH_BYTES // max(1, described.total_byte_size)))
    try:
        for batch in file.iter_batches(batch_size=rows, row_groups=[group]):
            if skip < batch.num_rows:
                yield batch.slice(skip)
            skip = max(0, skip - batch.num_rows)
    except (pa.ArrowException, OSError) as error:
        raise JudgesError(f"{path}: row group {group} cannot be read: {error}") from error


def _input_row(number: int, record: dict[str, Any], structs: Mapping[str, pa.DataType], fields: Fields) -> InputRow:
    content = {name: _plain(value) for name, value in record.items()}
    size = sum(len(value) for value in content.values() if isinstance(value, str))
    metadata = record.get("metadata")
    try:
        if isinstance(metadata, str):
            content["metadata"] = metadata_object(metadata)
        elif isinstance(metadata, list):  # a map's entries
            content["metadata"] = {str(key): _plain(value) for key, value in metadata}
        given = {name: _plain(as_given(record[name], kind, name)) for name, kind in structs.items()}
        row: Row | None = row_of({**content, **given}, fields)
        problem = ""
    except JudgesError as error:
        row, problem = None, str(error)
    return InputRow(number, size, content, row, problem, number, number)


def _plain(value: Any) -> Any:
    """A value as JSON has it: times as ISO text, bytes as base64, decimals as text, NaN and infinities as null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, (date, time)):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    return str(value) if isinstance(value, Decimal) else value


def _write(target: Path, schema: pa.Schema, batches: Iterator[pa.RecordBatch]) -> None:
    """Writes a file whose row groups are neither tiny nor too large for memory."""
    with pq.ParquetWriter(target, schema) as writer:
        held: list[pa.RecordBatch] = []
        for batch in batches:
            held.append(batch)
            if sum(b.nbytes for b in held) > _BATCH_BYTES or sum(b.num_rows for b in held) >= _GROUP_ROWS:
                writer.write_table(pa.Table.from_batches(held, schema))
                held = []
        if held:
            writer.write_table(pa.Table.from_batches(held, schema))


def _columns(spool: Path, types: Mapping[str, str], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    lines = _lines(spool)
    while rows := list(islice(lines, _READ_ROWS)):
        arrays = [
            pa.array([_cell(row.get(name), kind) for row in rows], schema.field(name).type)
            for name, kind in types.items()
        ]
        yield pa.record_batch(arrays, schema=schema)


def _lines(spool: Path) -> Iterator[dict[str, Any]]:
    with spool.open("rb") as file:
        for line in file:
            yield json.loads(line)


def _wider(known: str, value: Any) -> str:
    """The kind of column that holds this value beside those before it."""
    if value is None:
        return known
    kind = _kind(value)
    if known in ("null", kind):
        return kind
    return "float" if {known, kind} == {"int", "float"} else "json"


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int):
        return "int" if -_INT64 <= value < _INT64 else "json"
    if isinstance(value, float):
        return "float"
    return "text" if isinstance(value, str) else "json"


def _cell(value: Any, kind: str) -> Any:
    if value is None or kind in ("bool", "int"):
        return value
    if kind == "float":
        return float(value)
    return _storable(value) if kind == "text" else _json_text(value)


def _json_text(value: Mapping[str, Any] | Any) -> str:
    return _storable(json.dumps(value, ensure_ascii=False))


def _storable(text: str) -> str:
    """Parquet's text is UTF-8, which has no lone surrogates."""
    return text.encode("utf-8", "backslashreplace").decode()
