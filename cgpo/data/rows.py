"""Rows of data sets as plain Python values, each with the place it came from.

JSON, JSON Lines, CSV and TSV are read here with the standard library, not by `datasets`: rows keep their exact line
numbers for messages, and their own types (Arrow gives a column one type, and fails when `answer` is a number in one
row and text in the next; it would also turn "007" in a CSV into 7). Parquet, folders and hub names go
through `datasets`.
"""

from __future__ import annotations

import csv
import glob
import gzip
import io
import json
import sys
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import starmap
from pathlib import Path
from typing import Any

from cgpo.config import PromptSettings
from cgpo.data import hub
from cgpo.data.files import similar_file
from cgpo.errors import DataError, unknown_name

Bad = Callable[[str], None]
"""Told why something is no row; the text begins with its place."""

SUFFIXES = (".csv", ".json", ".jsonl", ".ndjson", ".parquet", ".tsv")
"""File types that are read; all but Parquet also with `.gz` after it."""


@dataclass(frozen=True, slots=True)
class RawRow:
    """A row as it was read.

    Attributes:
        where: `prompts.jsonl row 17`; rows count from 1, and in JSONL and CSV files it is the row's line.
        values: column → value, None where there is no value. Objects have the keys that the row gave them: nulls that a
            Parquet file or `datasets` added are left out, those of a JSON file are not.
    """

    where: str
    values: dict[str, Any]


def read_rows(settings: PromptSettings, where: str, bad: Bad | None = None) -> Iterator[RawRow]:
    """Reads a data set row by row.

    Args:
        settings: `path` names the data set: a file, a glob of files, a folder or a hub name; `name` and `split`
            select within hub data sets and folders.
        where: the setting to name in errors, such as `strata.math.prompts`.
        bad: told of each line of a JSON Lines or CSV file that is no row, which is then left out; without it, that is
            an error.

    Raises:
        DataError: not found, unreadable, unknown type or split.
    """
    assert settings.path is not None
    files = _local_files(settings.path, where)
    if files is None:
        yield from starmap(RawRow, hub.load(settings, where))
        return
    if settings.split != "train":
        raise DataError(unknown_name("split", settings.split, ["train"], f"{where}: a file has one split"))
    for file in files:
        yield from _file_rows(file, where, bad)


def _local_files(path: str, where: str) -> list[Path] | None:
    """The files `path` stands for; None when it is for `datasets` to find: a folder or a hub name."""
    expanded = Path(path).expanduser()
    if expanded.is_file():
        return [expanded]
    if expanded.is_dir():
        return None
    if any(char in path for char in "*?["):
        files = sorted(Path(name) for name in glob.glob(str(expanded), recursive=True) if Path(name).is_file())
        if not files:
            raise DataError(f"{where}.path: no file matches {path!r} (looked in {Path.cwd()})")
        return files
    if _looks_like_file(path):
        raise DataError(f"{where}.path: no such file: {path!r}.{similar_file(expanded)}")
    return None


def _looks_like_file(path: str) -> bool:
    return path.startswith(("/", "./", "../", "~")) or path.count("/") > 1 or _suffix(Path(path)) in SUFFIXES


def _suffix(path: Path) -> str:
    """The type of a file: its last suffix in lower case, without `.gz`."""
    return Path(path.name.lower().removesuffix(".gz")).suffix


def _file_rows(file: Path, where: str, bad: Bad | None) -> Iterator[RawRow]:
    lines, cells = partial(_jsonl_rows, bad=bad), partial(_csv_rows, bad=bad)
    readers: dict[str, Callable[[Path], Iterator[RawRow]]] = {
        ".jsonl": lines,
        ".ndjson": lines,
        ".json": _json_rows,
        ".csv": cells,
        ".tsv": cells,
        ".parquet": lambda path: starmap(RawRow, hub.parquet_rows(path)),
    }
    suffix = _suffix(file)
    if suffix not in readers:
        raise DataError(f"{where}.path: {str(file)!r} has no type that can be read. Allowed: {', '.join(SUFFIXES)}")
    try:
        yield from readers[suffix](file)
    except (OSError, EOFError, zlib.error, csv.Error) as error:
        raise DataError(f"{where}.path: {str(file)!r} cannot be read: {error}") from error


def _bytes(file: Path) -> Any:
    return gzip.open(file, "rb") if file.name.lower().endswith(".gz") else file.open("rb")


def _text(data: bytes, where: str) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{where}: not UTF-8 text ({error.reason} at byte {error.start})") from error


def _jsonl_rows(file: Path, bad: Bad | None = None) -> Iterator[RawRow]:
    with _bytes(file) as lines:
        for number, line in enumerate(lines, start=1):
            where = f"{file} row {number}"
            try:
                text = _text(line, where)
                row = _object(_json(text, where), where) if text.strip() else None
            except DataError as error:
                if bad is None:
                    raise
                bad(str(error))
                continue
            if row is not None:
                yield row


def _json_rows(file: Path) -> Iterator[RawRow]:
    """Rows of a file with one JSON list of objects; JSON Lines under the name `.json` are read as such."""
    with _bytes(file) as source:
        text = _text(source.read(), str(file))
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        if text.lstrip().startswith("["):
            raise DataError(f"{file}: not valid JSON ({error})") from error
        yield from _jsonl_rows(file)
        return
    except (ValueError, RecursionError) as error:
        raise DataError(f"{file}: not valid JSON ({error})") from error
    if isinstance(value, dict) and "\n" not in text.strip():
        value = [value]
    if not isinstance(value, list):
        raise DataError(f"{file}: must be a list of objects, or one object a line; found {kind_of(value)}")
    for number, item in enumerate(value, start=1):
        where = f"{file} row {number}"
        yield _object(item, where)


def _csv_rows(file: Path, bad: Bad | None = None) -> Iterator[RawRow]:
    """A CSV has no types: every cell is text, and an empty cell is no value. The first line names the columns."""
    csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
    with _bytes(file) as source:
        text = _text(source.read(), str(file))
    # strict: otherwise a quotation mark that is never closed makes one cell of all that follows.
    reader = csv.reader(io.StringIO(text, newline=""), delimiter="\t" if _suffix(file) == ".tsv" else ",", strict=True)
    columns: list[str] | None = None
    line = 1  # a quoted cell may span lines, so a row starts on the line after the one where the row before it ended
    try:
        for cells in reader:
            where, line = f"{file} row {line}", reader.line_num + 1
            if columns is None:
                columns = _distinct(cells, file) if cells else None
            elif len(cells) == len(columns):
                yield RawRow(where, {column: cell or None for column, cell in zip(columns, cells, strict=True)})
            elif cells:  # one that was cut off says nothing certain of the cells that are missing
                than = "more" if len(cells) > len(columns) else "fewer"
                problem = f"{where}: {than} cells than the {len(columns)} columns of the first line"
                if bad is None:
                    raise DataError(problem)
                bad(problem)
    except csv.Error as error:
        raise DataError(f"{file} row {line}: {error}; cells with quotation marks must be quoted") from error


def _distinct(columns: list[str], file: Path) -> list[str]:
    twice = sorted(name for name, count in Counter(columns).items() if count > 1)
    if twice:
        raise DataError(f"{file}: the first line names the column {twice[0]!r} twice")
    return columns


def _json(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:  # a number of thousands of digits is a plain ValueError
        raise DataError(f"{where}: not valid JSON ({error})") from error


def _object(value: Any, where: str) -> RawRow:
    if not isinstance(value, dict):
        raise DataError(f"{where}: must be an object with named columns; found {kind_of(value)}")
    return RawRow(where, value)


def kind_of(value: Any) -> str:
    """The name of a JSON value's kind, as messages have it."""
    names = {type(None): "null", dict: "an object", list: "a list", str: "text", bool: "a boolean"}
    return names.get(type(value), f"a number ({value})" if isinstance(value, (int, float)) else type(value).__name__)
