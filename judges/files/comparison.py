"""Compares the verdicts in a judged file with those in another one, or with labels, row by row.

Both files are read once, a row at a time. Rows are matched in order, or by a key; then one of the files lies in a
temporary database on the disk, so that memory stays bounded all the same.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from itertools import islice, zip_longest
from pathlib import Path
from typing import Any

from judges.errors import JudgesError, did_you_mean, unknown_name
from judges.files import open_source
from judges.files.kappa import MISSING, NEUTRAL, SATISFIED, UNKNOWN, VIOLATED, Agreement
from judges.files.rows import field_of

ALL = "all of them"
"""The name under which the `satisfied` field of whole rows is compared."""

_ANSWERS = {
    "satisfied": SATISFIED,
    "violated": VIOLATED,
    "unknown": UNKNOWN,
    "not_applicable": NEUTRAL,
    "not_judged": NEUTRAL,
}
_KEPT_LABELS = 20
_LOOKED_AT_FOR_FIELDS = 100


@dataclass(frozen=True, slots=True)
class Rating:
    """A rater's answer on a row and the reason given with it."""

    answer: str
    reason: str = ""


Read = Callable[[Mapping[str, Any]], dict[str, Rating]]
"""Gives the ratings of a row, by the name of the comparison each belongs to. Raises JudgesError."""


@dataclass(frozen=True, slots=True)
class Rater:
    """A file, and how to read ratings from its rows."""

    path: Path
    read: Read


@dataclass(frozen=True, slots=True)
class Disagreement:
    """A row on which both decided, differently."""

    line_a: int
    line_b: int
    a: Rating
    b: Rating


@dataclass(slots=True)
class Comparison:
    """One judge against its counterpart.

    Attributes:
        agreement: the counts.
        disagreements: the first ones.
    """

    agreement: Agreement = field(default_factory=Agreement)
    disagreements: list[Disagreement] = field(default_factory=list)


@dataclass(slots=True)
class Result:
    """All comparisons by name, and how many rows were in one file only (with a key)."""

    comparisons: dict[str, Comparison] = field(default_factory=dict)
    rows: int = 0
    only_in_a: int = 0
    only_in_b: int = 0


def verdicts_reader(names: Mapping[str, str] | None) -> Read:
    """Reads verdicts: those of `names` (judge → name of the comparison), or of all judges and of the whole row."""

    def read(content: Mapping[str, Any]) -> dict[str, Rating]:
        verdicts = content.get("verdicts")
        if isinstance(verdicts, str):  # a Parquet file's
            verdicts = _json(verdicts)
        if not isinstance(verdicts, dict):
            raise JudgesError("no `verdicts`: is this the output of `judge run`?")
        ratings = {name: _rating(name, verdict) for name, verdict in verdicts.items()}
        if names is None:
            return {**ratings, ALL: _satisfied(content.get("satisfied"))}
        return {shown: ratings[name] for name, shown in names.items() if name in ratings}

    return read


class LabelReader:
    """Reads a label, under the name "": satisfied if it is among `positive`, violated otherwise; null is no label.

    Args:
        key: the field, with dots into objects: `metadata.label`.
        positive: values as text or JSON; none: the label must be true or false, or `satisfied` or `violated`.

    Attributes:
        matched: the positive values that were read.
        others: the first different ones of the other values that were read.
    """

    def __init__(self, key: str, positive: Sequence[str]) -> None:
        self.key = key
        self.positive = positive
        self.matched: set[str] = set()
        self.others: dict[str, None] = {}

    def __call__(self, content: Mapping[str, Any]) -> dict[str, Rating]:
        value = field_of(content, self.key)
        if value is None:
            return {"": Rating(MISSING)}
        text = value if isinstance(value, str) else json.dumps(value)
        if not self.positive and text not in ("true", "false", SATISFIED, VIOLATED):
            raise JudgesError(
                f"the label `{self.key}` is {text!r}, which is neither true nor false; say with --positive which "
                "values mean satisfied"
            )
        if text in (self.positive or ("true", SATISFIED)):
            self.matched.add(text)
            return {"": Rating(SATISFIED, text)}
        if len(self.others) < _KEPT_LABELS:
            self.others[text] = None
        return {"": Rating(VIOLATED, text)}


def fields_of(path: Path) -> list[str]:
    """Dotted paths of the fields in the first rows of a file, verdicts apart."""
    paths: dict[str, None] = {}
    for row in islice(open_source(path).rows(), _LOOKED_AT_FOR_FIELDS):
        paths |= dict.fromkeys(_paths({name: value for name, value in row.content.items() if name != "verdicts"}))
    return list(paths)


def _paths(content: Mapping[str, Any], before: str = "") -> Iterator[str]:
    for name, value in content.items():
        yield f"{before}{name}"
        inner = _json(value) if isinstance(value, str) and value.startswith("{") else value
        if isinstance(inner, Mapping):
            yield from _paths(inner, f"{before}{name}.")


def compare(a: Rater, b: Rater, key: str | None, show: int) -> Result:
    """Compares two raters.

    Args:
        a: the first.
        b: the second. If it gives one answer named "", that is compared with every answer of the first.
        key: dotted path of the field by which rows belong together; None: by their order.
        show: how many disagreements to keep of each comparison.

    Raises:
        JudgesError: rows that belong together have different prompts or responses, a key is missing or there twice,
            a file has more rows than the other, a row cannot be read; it says in which line.
        OSError: a file cannot be read.
    """
    result = Result()
    pairs = _in_order(a, b) if key is None else _by_key(a, b, key, result)
    for line_a, ratings_a, line_b, ratings_b in pairs:
        result.rows += 1
        label = ratings_b.get("")
        for name in ratings_a if label else dict.fromkeys([*ratings_a, *ratings_b]):
            one = ratings_a.get(name, Rating(MISSING))
            other = label or ratings_b.get(name, Rating(MISSING))
            comparison = result.comparisons.setdefault(name, Comparison())
            comparison.agreement.counts[one.answer, other.answer] += 1
            if {one.answer, other.answer} == {SATISFIED, VIOLATED} and len(comparison.disagreements) < show:
                comparison.disagreements.append(Disagreement(line_a, line_b, one, other))
    return result


_Pair = tuple[int, dict[str, Rating], int, dict[str, Rating]]


@dataclass(frozen=True, slots=True)
class _Row:
    line: int
    content: Mapping[str, Any]
    ratings: dict[str, Rating]


def _in_order(a: Rater, b: Rater) -> Iterator[_Pair]:
    last_a = last_b = 0
    for one, other in zip_longest(_rows(a), _rows(b)):
        if one is None or other is None:
            shorter, last, longer, more = (a, last_a, b, other) if one is None else (b, last_b, a, one)
            raise JudgesError(
                f"{shorter.path} ends after line {last}, {longer.path} goes on with line {more.line}: rows are matched "
                "in order; use --key FIELD to match them by a field"
            )
        last_a, last_b = one.line, other.line
        _check_same(a, one.line, _marks(one.content), b, other.line, _marks(other.content))
        yield one.line, one.ratings, other.line, other.ratings


def _by_key(a: Rater, b: Rater, key: str, result: Result) -> Iterator[_Pair]:
    with _database() as database:
        for row in _rows(b):
            ratings = json.dumps({name: [s.answer, s.reason] for name, s in row.ratings.items()})
            values = (_key(b, row, key), row.line, json.dumps(_marks(row.content)), ratings)
            try:
                database.execute("INSERT INTO b VALUES (?, ?, ?, ?, 0)", values)
            except sqlite3.IntegrityError:
                (first,) = database.execute("SELECT line FROM b WHERE key = ?", values[:1]).fetchone()
                raise _twice(b, row.line, first, key, values[0]) from None
        for row in _rows(a):
            value = _key(a, row, key)
            counterpart = database.execute(
                "SELECT line, marks, ratings, used FROM b WHERE key = ?", (value,)
            ).fetchone()
            if counterpart is None:
                result.only_in_a += 1
                continue
            line, marks, ratings, used = counterpart
            if used:
                raise _twice(a, row.line, used, key, value)
            database.execute("UPDATE b SET used = ? WHERE key = ?", (row.line, value))
            _check_same(a, row.line, _marks(row.content), b, line, json.loads(marks))
            yield row.line, row.ratings, line, {name: Rating(*parts) for name, parts in json.loads(ratings).items()}
        (result.only_in_b,) = database.execute("SELECT count(*) FROM b WHERE used = 0").fetchone()


@contextmanager
def _database() -> Iterator[sqlite3.Connection]:
    """A database without a name: SQLite keeps it on the disk, in a file that is gone whatever ends this process."""
    with closing(sqlite3.connect("", isolation_level=None)) as database:
        try:
            database.execute("CREATE TABLE b (key TEXT PRIMARY KEY, line INT, marks TEXT, ratings TEXT, used INT)")
            yield database
        except sqlite3.Error as error:
            raise JudgesError(f"the temporary database of rows: {error} (TMPDIR names the folder for it)") from error


def _rows(rater: Rater) -> Iterator[_Row]:
    for row in open_source(rater.path).rows():
        if row.content.keys() == {"raw"}:  # the line holds no JSON object
            raise JudgesError(f"{rater.path} line {row.line}: {row.problem}")
        try:
            yield _Row(row.line, row.content, rater.read(row.content))
        except JudgesError as error:
            raise JudgesError(f"{rater.path} line {row.line}: {error}") from error


def _key(rater: Rater, row: _Row, key: str) -> str:
    value = field_of(row.content, key)
    if value is None:
        raise JudgesError(
            f"{rater.path} line {row.line}: no `{key}` to match it by.{did_you_mean(key, fields_of(rater.path))}"
        )
    return json.dumps(value, sort_keys=True)


def _twice(rater: Rater, line: int, first: int, key: str, value: str) -> JudgesError:
    return JudgesError(f"{rater.path} line {line}: `{key}` is {value} as in line {first} already")


def _marks(content: Mapping[str, Any]) -> dict[str, str]:
    """Hashes of what two rows must have in common."""
    texts = {name: content[name] for name in ("prompt", "response") if content.get(name) is not None}
    return {name: _hash(value) for name, value in texts.items()}


def _hash(value: Any) -> str:
    if isinstance(value, str) and value.startswith("["):  # messages that one of the files has as JSON text
        parsed = _json(value)
        value = parsed if isinstance(parsed, list) else value
    text = json.dumps(value, sort_keys=True)
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def _check_same(a: Rater, line_a: int, marks_a: dict[str, str], b: Rater, line_b: int, marks_b: dict[str, str]) -> None:
    for name in marks_a.keys() & marks_b.keys():
        if marks_a[name] != marks_b[name]:
            raise JudgesError(
                f"{a.path} line {line_a} and {b.path} line {line_b} have different {name}s: these files do not belong "
                "together, or not in this order (--key FIELD matches rows by a field)"
            )


def _rating(name: str, verdict: Any) -> Rating:
    outcome = verdict.get("verdict") if isinstance(verdict, Mapping) else None
    if not isinstance(outcome, str) or outcome not in _ANSWERS:
        raise JudgesError(unknown_name("verdict", str(outcome), _ANSWERS, f"of judge {name!r}"))
    return Rating(_ANSWERS[outcome], str(verdict.get("reason") or ""))


def _satisfied(value: Any) -> Rating:
    if not isinstance(value, (int, float)) or value not in (True, False):
        return Rating(UNKNOWN)
    return Rating(SATISFIED if value else VIOLATED)


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
