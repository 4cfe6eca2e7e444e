"""Preference pairs from responses that somebody graded: single ratings, or the best of several.

{"prompt": text or messages, "response": text, "rating": number}        form `ratings`; rows of one prompt go together
{"prompt", "responses": [texts], "scores": [numbers]}                   form `best_of_n`
{"prompt", "responses": [texts], "ranks": [1 is the best]}
{"prompt", "responses": [texts], "best": position of the best, from 0}

Of two responses with ratings (or scores) the higher one is chosen where they differ by `min_rating_difference` or more,
and the difference is the pair's margin. Ranks and `best` have no unit: their pairs have the margin 0. Of a prompt the
pairs with the largest differences are kept, at most `pairs_per_prompt`.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from cgpo.config import PairDataSettings
from cgpo.data.messages import content, messages_of
from cgpo.data.rows import RawRow, kind_of
from cgpo.data.stage_rows import column, parse_rows
from cgpo.errors import DataError
from cgpo.pairs.pair import PreferencePair, prompt_key
from judges import Message

RATED = "rated"
"""Kind of these pairs."""


class RowPairs(NamedTuple):
    """The pairs of a data set's rows.

    Attributes:
        pairs: each with its source: file and row.
        bad: a sentence for each row that cannot be used.
        without_contrast: prompts whose responses make no pair.
    """

    pairs: list[tuple[PreferencePair, str]]
    bad: list[str]
    without_contrast: int = 0


@dataclass(frozen=True, slots=True)
class Graded:
    """A response with its grade; higher is better."""

    prompt: tuple[Message, ...]
    response: str
    grade: float
    source: str
    heldout: bool
    measured: bool = True
    """The grade has a unit, so that a difference is a margin."""


def rating_pairs(rows: Sequence[RawRow], settings: PairDataSettings, where: str, unreadable: Sequence[str]) -> RowPairs:
    """Pairs of responses to one prompt whose ratings differ.

    Raises:
        DataError: a row is bad and `bad_rows` is `stop`, or all are.
    """

    def parse(row: RawRow) -> Graded:
        return Graded(
            messages_of(column(row, settings.prompt_column), row.where),
            content(column(row, settings.response_column), row.where, f"{settings.response_column!r}"),
            _number(column(row, settings.rating_column), row.where, settings.rating_column),
            row.where,
            row.values.get("split") == "heldout",
        )

    graded, bad = parse_rows(rows, parse, settings, where, unreadable)
    groups: dict[str, list[Graded]] = defaultdict(list)
    for item in graded:
        groups[prompt_key(item.prompt)].append(item)
    return _pairs_of_groups(list(groups.values()), settings, bad)


def best_of_n_pairs(
    rows: Sequence[RawRow], settings: PairDataSettings, where: str, unreadable: Sequence[str]
) -> RowPairs:
    """Pairs of the responses of each row.

    Raises:
        DataError: a row is bad and `bad_rows` is `stop`, or all are.
    """
    groups, bad = parse_rows(rows, lambda row: _several(row, settings), settings, where, unreadable)
    return _pairs_of_groups(groups, settings, bad)


def _pairs_of_groups(groups: Sequence[Sequence[Graded]], settings: PairDataSettings, bad: list[str]) -> RowPairs:
    of_groups = [_pairs(group, settings) for group in groups]
    return RowPairs([pair for pairs in of_groups for pair in pairs], bad, sum(not pairs for pairs in of_groups))


def _pairs(group: Sequence[Graded], settings: PairDataSettings) -> list[tuple[PreferencePair, str]]:
    couples = [(a, b) if a.grade > b.grade else (b, a) for i, a in enumerate(group) for b in group[i + 1 :]]
    differing = [
        (better, worse)
        for better, worse in couples
        if better.grade - worse.grade >= max(settings.min_rating_difference, math.ulp(0.0))
        and better.response.split() != worse.response.split()
    ]
    differing.sort(key=lambda couple: couple[1].grade - couple[0].grade)  # stable: equal ones as they stand
    return [(_pair(better, worse), _sources(better, worse)) for better, worse in differing[: settings.pairs_per_prompt]]


def _pair(better: Graded, worse: Graded) -> PreferencePair:
    return PreferencePair(
        prompt=better.prompt,
        chosen=better.response,
        rejected=worse.response,
        kind=RATED,
        heldout=better.heldout or worse.heldout,
        margin=better.grade - worse.grade if better.measured else 0.0,
    )


def _sources(better: Graded, worse: Graded) -> str:
    return better.source if better.source == worse.source else f"{better.source} and {worse.source}"


def _several(row: RawRow, settings: PairDataSettings) -> list[Graded]:
    prompt = messages_of(column(row, settings.prompt_column), row.where)
    name = settings.responses_column
    responses = [content(text, row.where, f"{name!r}") for text in _list(column(row, name), row.where, name)]
    grades, measured = _grades(row, len(responses), settings)
    heldout = row.values.get("split") == "heldout"
    return [Graded(prompt, t, g, row.where, heldout, measured) for t, g in zip(responses, grades, strict=True)]


def _grades(row: RawRow, count: int, settings: PairDataSettings) -> tuple[list[float], bool]:
    """A grade for each response, higher is better, and whether it has a unit."""
    names = {"scores": settings.scores_column, "ranks": settings.ranks_column, "best": settings.best_column}
    given = [key for key, name in names.items() if row.values.get(name) is not None]
    if len(given) != 1:
        raise DataError(
            f"{row.where}: exactly one of {', '.join(repr(n) for n in names.values())} must say which responses are "
            f"better; it has {', '.join(repr(names[key]) for key in given) or 'none of them'} "
            f"(columns: {', '.join(sorted(map(str, row.values)))})"
        )
    (key,) = given
    value = row.values[names[key]]
    if key == "best":
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < count:
            raise DataError(f"{row.where}: {names[key]!r} must be a position from 0 to {count - 1}; got {value!r}")
        return [float(i == value) for i in range(count)], False
    numbers = [_number(item, row.where, names[key]) for item in _list(value, row.where, names[key])]
    if len(numbers) != count:
        raise DataError(f"{row.where}: {len(numbers)} {names[key]} for {count} responses")
    return (numbers, True) if key == "scores" else ([-number for number in numbers], False)


def _list(value: Any, where: str, name: str) -> list[Any]:
    if not isinstance(value, (list, tuple)) or len(value) < 2:
        given = f"it has {len(value)}" if isinstance(value, (list, tuple)) else f"not {kind_of(value)}"
        raise DataError(f"{where}: {name!r} must be a list of at least two, {given}")
    return list(value)


def _number(value: Any, where: str, name: str) -> float:
    """A grade; the words of CSV files too.

    Raises:
        DataError: it is no finite number.
    """
    try:
        number = math.nan if value is None or isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise DataError(f"{where}: {name!r} must be a finite number; got {value!r}")
    return number
