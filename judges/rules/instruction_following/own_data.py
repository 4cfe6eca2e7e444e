"""Instructions of our own that ask for data: CSV, YAML, JSON, a table, a code block.

For CSV, YAML and JSON the whole response is the data, perhaps in one fenced code block (`judges.rules.blocks` says what
that is).
"""

from __future__ import annotations

import csv
import io
import json
import re
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import StringConstraints

from judges.rules.blocks import fenced_blocks, lines_outside, whole_block
from judges.rules.info_strings import PYTHON_TAGS
from judges.rules.instruction_following.arguments import Count, Ordinal, Text, Words
from judges.rules.instruction_following.instruction_type import Types

if TYPE_CHECKING:
    from yaml import Node

TYPES = Types()

Delimiter = Annotated[str, StringConstraints(min_length=1, max_length=1, pattern=r'[^"\r\n]')]

_BAR = re.compile(r"(?<!\\)\|")
_RULE = re.compile(r":?-+:?")
_OTHER_TAGS = {
    "js": "javascript",
    "ts": "typescript",
    "yml": "yaml",
    "md": "markdown",
    "c++": "cpp",
    "cs": "csharp",
    "c#": "csharp",
    "golang": "go",
    "rb": "ruby",
    "rs": "rust",
}
_MAX_YAML_CHARS = 50_000
"""A longer text does not follow: YAML's parser is slow, and nobody asks for that much."""


@TYPES.add("cgpo:csv")
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


@TYPES.add("cgpo:yaml")
def yaml_form(text: str, *, required_keys: Words | None = None) -> bool:
    """The response is one YAML mapping or list (plain prose is neither); a mapping has the required keys.

    No key stands twice in a mapping.
    """
    data = _yaml(_unfenced(text))
    if required_keys is None:
        return isinstance(data, (dict, list))
    return isinstance(data, dict) and set(required_keys) <= data.keys()


@TYPES.add("cgpo:json_keys")
def json_keys(text: str, *, required_keys: Words, only: bool = False) -> bool:
    """The response is one JSON object with the required keys; with `only`, with no others. No key stands twice."""
    try:
        data = json.loads(_unfenced(text), parse_constant=_refuse, parse_int=str, object_pairs_hook=_without_twins)
    except (ValueError, RecursionError):
        return False
    if not isinstance(data, dict):
        return False
    return data.keys() == set(required_keys) if only else set(required_keys) <= data.keys()


@TYPES.add("cgpo:markdown_table")
def markdown_table(text: str, *, columns: Ordinal | None = None, rows: Count | None = None) -> bool:
    """There is a Markdown table with so many columns, and so many rows below its header, each as wide as the header."""
    return any(
        (columns is None or len(table[0]) == columns)
        and (rows is None or len(table) == rows + 1)
        and all(len(row) == len(table[0]) for row in table)
        for table in _tables(text)
    )


@TYPES.add("cgpo:code_block")
def code_block(text: str, *, language: Text | None = None) -> bool:
    """There is exactly one fenced code block, closed, not empty and, if asked for, marked with the language."""
    blocks = fenced_blocks(text)
    if len(blocks) != 1 or not blocks[0].closed or not blocks[0].code.strip():
        return False
    return language is None or _plain_language(blocks[0].tag) == _plain_language(language)


def _plain_language(tag: str) -> str:
    tag = tag.strip().casefold()
    return "python" if tag in PYTHON_TAGS else _OTHER_TAGS.get(tag, tag)


def _unfenced(text: str) -> str:
    """The data, without a block around it and without blank lines before and after it."""
    block = whole_block(text)
    lines = (text if block is None else block.code).splitlines(keepends=True)
    filled = [number for number, line in enumerate(lines) if line.strip()]
    return "".join(lines[filled[0] : filled[-1] + 1]) if filled else ""


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def _without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    data = dict(pairs)
    if len(data) < len(pairs):
        raise ValueError("a key stands twice")
    return data


def _yaml(text: str) -> Any:
    """The data with every scalar left as text, or None. Nothing but plain data can come out of this loader."""
    import yaml

    if len(text) > _MAX_YAML_CHARS:
        return None
    try:
        loader = yaml.BaseLoader(text)
        node = loader.get_single_node()
        return loader.construct_document(node) if node is not None and not _has_twins(node) else None
    except (yaml.YAMLError, RecursionError, ValueError):
        return None


def _has_twins(root: Node) -> bool:
    """Does a key stand twice in one mapping?"""
    import yaml

    waiting, met = [root], set()
    while waiting:
        node = waiting.pop()
        if id(node) in met:  # an alias
            continue
        met.add(id(node))
        if isinstance(node, yaml.MappingNode):
            keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
            if len(set(keys)) < len(keys):
                return True
            waiting += [part for pair in node.value for part in pair]
        elif isinstance(node, yaml.SequenceNode):
            waiting += node.value
    return False


def _tables(text: str) -> list[list[list[str]]]:
    """Every table outside fenced code as its rows of cells, the header first.

    A table is a line of cells, a rule with as many, then lines of cells.
    """
    tables: list[list[list[str]]] = []
    before: list[str] = []
    inside = False
    for line in lines_outside(text):
        cells = _cells(line)
        if inside and cells:
            tables[-1].append(cells)
        elif before and len(before) == len(cells) and all(map(_RULE.fullmatch, cells)):
            tables.append([before])
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
