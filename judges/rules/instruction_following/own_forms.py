"""Instructions of our own about data formats: CSV, YAML, JSON with keys, a Markdown table, one code block.

For CSV, YAML and JSON the whole response is the data, perhaps in one fenced code block.
"""

from __future__ import annotations

import csv
import io
import json
import re
from typing import Annotated, Any

from pydantic import StringConstraints

from judges.rules.blocks import PYTHON_TAGS
from judges.rules.instruction_following.arguments import Count, Ordinal, Text, Words

Delimiter = Annotated[str, StringConstraints(min_length=1, max_length=1, pattern=r'[^"\r\n]')]

_FENCED = re.compile(r"```[\w+-]*[ \t]*\n(.*)\n[ \t]*```", re.DOTALL)
_BAR = re.compile(r"(?<!\\)\|")
_RULE = re.compile(r":?-+:?")
_MAX_YAML_CHARS = 50_000
"""A longer text does not follow: YAML's parser is slow, and nobody asks for that much."""


def csv_form(
    text: str,
    *,
    columns: Ordinal | None = None,
    rows: Count | None = None,
    delimiter: Delimiter = ",",
    header: Words | None = None,
) -> bool:
    """The response is CSV: a header, then `rows` rows, all with the same number of columns (two unless told)."""
    try:
        table = list(csv.reader(io.StringIO(_unfenced(text), newline=""), delimiter=delimiter, strict=True))
    except csv.Error:
        return False
    width = len(table[0]) if table else 0
    if any(len(row) != width for row in table) or (width < 2 if columns is None else width != columns):
        return False
    names = [name.strip() for name in table[0]]
    return (rows is None or len(table) == rows + 1) and (header is None or names == [name.strip() for name in header])


def yaml_form(text: str, *, required_keys: Words | None = None) -> bool:
    """The response is one YAML mapping or list (plain prose is neither); a mapping has the required keys."""
    data = _yaml(_unfenced(text))
    if required_keys is None:
        return isinstance(data, (dict, list))
    return isinstance(data, dict) and set(required_keys) <= data.keys()


def json_keys(text: str, *, required_keys: Words, only: bool = False) -> bool:
    """The response is one JSON object with the required keys; with `only`, with no others."""
    try:
        data = json.loads(_unfenced(text))
    except (ValueError, RecursionError):
        return False
    if not isinstance(data, dict):
        return False
    return data.keys() == set(required_keys) if only else set(required_keys) <= data.keys()


def markdown_table(text: str, *, columns: Ordinal | None = None, rows: Count | None = None) -> bool:
    """There is a Markdown table with so many columns and so many rows below its header."""
    return any(
        (columns is None or width == columns) and (rows is None or height == rows) for width, height in _tables(text)
    )


def code_block(text: str, *, language: Text | None = None) -> bool:
    """There is exactly one fenced code block, closed, not empty and, if asked for, marked with the language."""
    lines = text.splitlines()
    fences = [number for number, line in enumerate(lines) if line.lstrip().startswith("```")]
    if len(fences) != 2 or not "".join(lines[fences[0] + 1 : fences[1]]).strip():
        return False
    marked = lines[fences[0]].strip().removeprefix("```").strip()
    return language is None or _plain_language(marked) == _plain_language(language)


def _plain_language(tag: str) -> str:
    tag = tag.strip().casefold()
    return "python" if tag in PYTHON_TAGS else tag


def _unfenced(text: str) -> str:
    text = text.strip()
    fence = _FENCED.fullmatch(text)
    return fence[1] if fence and "```" not in fence[1] else text


def _yaml(text: str) -> Any:
    """The data with every scalar left as text, or None. Nothing but plain data can come out of this loader."""
    import yaml

    if len(text) > _MAX_YAML_CHARS:
        return None
    try:
        return yaml.load(text, Loader=yaml.BaseLoader)
    except (yaml.YAMLError, RecursionError, ValueError):
        return None


def _tables(text: str) -> list[tuple[int, int]]:
    """Ordinal and rows of every table: a line of cells, a rule with as many, then lines of cells."""
    tables: list[tuple[int, int]] = []
    before: list[str] = []
    inside = False
    for line in text.splitlines():
        cells = _cells(line)
        if inside and cells:
            width, height = tables[-1]
            tables[-1] = (width, height + 1)
        elif before and len(before) == len(cells) and all(map(_RULE.fullmatch, cells)):
            tables.append((len(cells), 0))
            inside = True
        else:
            inside = False
        before = cells
    return tables


def _cells(line: str) -> list[str]:
    """The cells of one line of a table; empty when the line has no bar."""
    parts = [part.strip() for part in _BAR.split(line.strip())]
    if len(parts) == 1:
        return []
    return parts[not parts[0] : len(parts) - (not parts[-1])]
