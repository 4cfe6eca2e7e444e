"""Instructions of our own, a checker each: numbers of things, words and their order, data formats.

For CSV, YAML and JSON the whole response is the data, perhaps in one fenced code block.
"""

from __future__ import annotations

import csv
import io
import json
import re
import unicodedata
from collections.abc import Callable
from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import StringConstraints

from judges.rules.blocks import PYTHON_TAGS
from judges.rules.instruction_following import pieces
from judges.rules.instruction_following.arguments import Count, Ordinal, Text, Words, check_bounds, wanted, within
from judges.rules.instruction_following.instruction_type import Types

TYPES = Types()

# --- numbers of things: exactly, at least or at most so many ---------------------------------------------------------


def _seen(count: Callable[..., int]) -> Callable[..., str]:
    """The number in a text and the bounds that it does not keep; nothing when it keeps them."""

    def seen(
        text: str, *, exactly: int | None = None, at_least: int | None = None, at_most: int | None = None, **given: Any
    ) -> str:
        bounds = (exactly, at_least, at_most)
        number = count(text, **given)
        return "" if within(number, *bounds) else f"{number}, {wanted(*bounds)} wanted"

    return seen


def _counted(id: str, count: Callable[[str], int]) -> None:
    """Declares a type that bounds `count(text)`."""

    @TYPES.add(id, check=check_bounds, seen=_seen(count))
    def checker(
        text: str, *, exactly: Count | None = None, at_least: Count | None = None, at_most: Count | None = None
    ) -> bool:
        return within(count(text), exactly, at_least, at_most)

    checker.__doc__ = count.__doc__


_counted("cgpo:words", pieces.count_words)
_counted("cgpo:sentences", pieces.count_sentences)
_counted("cgpo:paragraphs", pieces.count_paragraphs)
_counted("cgpo:lines", pieces.count_lines)
_counted("cgpo:characters", pieces.count_characters)
_counted("cgpo:bullets", pieces.count_bullets)
_counted("cgpo:headings", pieces.count_headings)
_counted("cgpo:emoji", pieces.count_emoji)


@TYPES.add("cgpo:numbered_list", check=check_bounds, seen=_seen(lambda text: len(pieces.numbered_items(text))))
def numbered_list(
    text: str, *, exactly: Count | None = None, at_least: Count | None = None, at_most: Count | None = None
) -> bool:
    """Top-level items numbered 1, 2, 3 … without a gap, so many of them."""
    numbers = [number for number, _ in pieces.numbered_items(text)]
    return numbers == list(range(1, len(numbers) + 1)) and within(len(numbers), exactly, at_least, at_most)


def _check_bounds_only(word: str, **bounds: int | None) -> None:
    check_bounds(**bounds)


@TYPES.add("cgpo:word_frequency", check=_check_bounds_only, seen=_seen(pieces.count_word))
def word_frequency(
    text: str,
    *,
    word: Text,
    exactly: Count | None = None,
    at_least: Count | None = None,
    at_most: Count | None = None,
) -> bool:
    """How often a word or phrase occurs as whole words; case does not count."""
    return within(pieces.count_word(text, word), exactly, at_least, at_most)


@TYPES.add("cgpo:sentence_length")
def sentence_length(text: str, *, max_words: Ordinal) -> bool:
    """No sentence has more words than this."""
    return all(pieces.count_words(" ".join(sentence)) <= max_words for sentence in pieces.split_sentences(text))


# --- words, their order, line beginnings, script ---------------------------------------------------------------------

Script = Literal[
    "latin", "cyrillic", "greek", "arabic", "hebrew", "devanagari", "bengali", "tamil", "telugu", "thai", "georgian",
    "armenian", "chinese", "japanese", "korean",
]  # fmt: skip
_SCRIPT_NAMES = {
    "chinese": ("CJK", "BOPOMOFO", "IDEOGRAPHIC"),
    "japanese": ("CJK", "HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA", "HALFWIDTH", "IDEOGRAPHIC"),
    "korean": ("HANGUL", "CJK"),
}
"""First words of the letters' Unicode names, where they are not the script's own name."""
_MARKUP = "*_`\"'“”‘’ "
_OPENING = " \t\r\n\"“'*_#"


@TYPES.add("cgpo:start_phrase")
def start_phrase(text: str, *, phrase: Text) -> bool:
    """The response begins with the phrase and the word ends there; case, quotation marks and markup do not count."""
    wanted, start = phrase.strip().casefold(), text.lstrip(_OPENING).casefold()
    end = len(wanted)
    return start.startswith(wanted) and not (wanted[-1].isalnum() and start[end : end + 1].isalnum())


@TYPES.add("cgpo:line_start")
def line_start(text: str, *, prefix: Text) -> bool:
    """Every line that is not blank begins with the prefix, letter for letter; indentation does not count."""
    return all(line.lstrip().startswith(prefix.strip()) for line in pieces.lines(text))


@TYPES.add("cgpo:keyword_order")
def keyword_order(text: str, *, keywords: Words) -> bool:
    """The keywords occur as whole words in this order, each after the one before it; case does not count."""
    position = 0
    for keyword in keywords:
        pattern = re.compile(rf"(?<!\w){re.escape(keyword.strip())}(?!\w)", re.IGNORECASE)
        match = pattern.search(text, position)
        if match is None:
            return False
        position = match.end()
    return True


@TYPES.add("cgpo:alphabetical_list")
def alphabetical_list(text: str, *, descending: bool = False) -> bool:
    """The items of the list, at least two, stand in alphabetical order; case, accents and markup do not count."""
    items = [_sortable(item) for item in pieces.bullets(text) or [item for _, item in pieces.numbered_items(text)]]
    pairs = pairwise(reversed(items) if descending else items)
    return len(items) > 1 and all(a <= b for a, b in pairs)


@TYPES.add("cgpo:no_repeated_words")
def no_repeated_words(text: str, *, min_letters: Ordinal = 1) -> bool:
    """No word of at least so many letters is used twice; case does not count."""
    words = [word for word in pieces.words(text) if len(word) >= min_letters]
    return len(words) == len(set(words))


@TYPES.add("cgpo:no_digits")
def no_digits(text: str) -> bool:
    """No digit of any script."""
    return not any(map(str.isdigit, text))


@TYPES.add("cgpo:script")
def script(text: str, *, script: Script) -> bool:
    """Every letter belongs to the script, and there is one at least; Chinese characters are Japanese and Korean too."""
    names = _SCRIPT_NAMES.get(script, (script.upper(),))
    letters = [letter for letter in set(text) if letter.isalpha()]
    return bool(letters) and all(unicodedata.name(letter, "").split(" ")[0] in names for letter in letters)


def _sortable(item: str) -> str:
    decomposed = unicodedata.normalize("NFKD", item.strip(_MARKUP))
    return "".join(letter for letter in decomposed if not unicodedata.combining(letter)).casefold()


# --- data formats ----------------------------------------------------------------------------------------------------

Delimiter = Annotated[str, StringConstraints(min_length=1, max_length=1, pattern=r'[^"\r\n]')]

_FENCED = re.compile(r"```[\w+-]*[ \t]*\n(.*)\n[ \t]*```", re.DOTALL)
_BAR = re.compile(r"(?<!\\)\|")
_RULE = re.compile(r":?-+:?")
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
    """The response is one YAML mapping or list (plain prose is neither); a mapping has the required keys."""
    data = _yaml(_unfenced(text))
    if required_keys is None:
        return isinstance(data, (dict, list))
    return isinstance(data, dict) and set(required_keys) <= data.keys()


@TYPES.add("cgpo:json_keys")
def json_keys(text: str, *, required_keys: Words, only: bool = False) -> bool:
    """The response is one JSON object with the required keys; with `only`, with no others."""
    try:
        data = json.loads(_unfenced(text))
    except (ValueError, RecursionError):
        return False
    if not isinstance(data, dict):
        return False
    return data.keys() == set(required_keys) if only else set(required_keys) <= data.keys()


@TYPES.add("cgpo:markdown_table")
def markdown_table(text: str, *, columns: Ordinal | None = None, rows: Count | None = None) -> bool:
    """There is a Markdown table with so many columns and so many rows below its header."""
    return any(
        (columns is None or width == columns) and (rows is None or height == rows) for width, height in _tables(text)
    )


@TYPES.add("cgpo:code_block")
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
