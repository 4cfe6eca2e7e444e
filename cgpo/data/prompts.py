"""Prompts of a stratum, from a generator of this project or from a data set, checked before anything is trained."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from cgpo.config import PromptSettings
from cgpo.data.filter import rows_where
from cgpo.data.generators import generate
from cgpo.data.ids import content_hash, prompt_ids
from cgpo.data.messages import messages_of
from cgpo.data.rows import RawRow, kind_of, read_rows
from cgpo.errors import DataError, nearest, unknown_name
from cgpo.types import Prompt

Lacks = Callable[[Mapping[str, Any]], Mapping[str, Sequence[str]]]
"""A row's metadata → judge → the keys it lacks (`judges.mixture.Mixture.missing_metadata`)."""


def load_prompts(settings: PromptSettings, *, stratum: str, heldout: bool, seed: int, lacks: Lacks) -> list[Prompt]:
    """All prompts of a stratum, in the order of the data set or as a generator made them.

    Args:
        settings: where the prompts come from. `size` takes the first so many rows of a data set.
        stratum: name of the stratum, for messages.
        heldout: whether these are the stratum's held-out prompts. A generator makes them disjoint from its training
            prompts; a data set is read as it is (see `check_disjoint`).
        seed: seed of the generator; a data set does not depend on it.
        lacks: says of a row's metadata which judge cannot judge it for lack of which keys.

    Raises:
        DataError: the source cannot be read or is empty or too small, a row is malformed, or lacks metadata that one
            of the judges needs. The message names file and row.
        ConfigError: the generator or one of its options does not exist.
    """
    where = f"strata.{stratum}.{'heldout' if heldout else 'prompts'}"
    if settings.generator is not None:
        assert settings.size is not None
        options = settings.options
        prompts = generate(settings.generator, settings.size, seed=seed, heldout=heldout, options=options, where=where)
    else:
        prompts = _read_prompts(settings, where)
    _check_metadata(prompts, stratum, lacks)
    return prompts


def check_disjoint(training: Iterable[Prompt], heldout: Iterable[Prompt], *, stratum: str) -> None:
    """Makes sure that no held-out prompt is trained on.

    Raises:
        DataError: some are in both sets; names how many, and the first.
    """
    trained = {content_hash(prompt.messages): prompt for prompt in training}
    shared = [(prompt, trained.get(content_hash(prompt.messages))) for prompt in heldout]
    both = [(held, train) for held, train in shared if train is not None]
    if both:
        held, train = both[0]
        raise DataError(
            f"stratum {stratum!r}: {len(both)} of {len(shared)} held-out prompts are also training prompts, "
            f"the first: {held.source} and {train.source}"
        )


def _read_prompts(settings: PromptSettings, where: str) -> list[Prompt]:
    matching = rows_where(read_rows(settings, where), settings.where, f"{where}.where")
    rows = list(itertools.islice(matching, settings.size))
    if not rows:
        raise DataError(f"{where}: {settings.path!r} is empty, it has no rows")
    if settings.size is not None and len(rows) < settings.size:
        such = f" where {settings.where}" if settings.where else ""
        raise DataError(
            f"{where}.size: {settings.size} prompts asked for, but {settings.path!r} has {len(rows)} rows{such}"
        )
    _check_optional_columns(settings, rows, where)
    conversations = [messages_of(_cell(row, settings.prompt_column, "prompt_column", where), row.where) for row in rows]
    return [
        Prompt(
            id=prompt_id,
            messages=messages,
            metadata=_metadata(row, settings),
            baseline=_baseline(row, settings),
            source=row.where,
        )
        for row, messages, prompt_id in zip(rows, conversations, prompt_ids(conversations), strict=True)
    ]


def _cell(row: RawRow, column: str, setting: str, where: str) -> Any:
    if column not in row.values:
        raise DataError(f"{unknown_name('column', column, map(str, row.values), row.where)} (set by {where}.{setting})")
    return row.values[column]


def _check_optional_columns(settings: PromptSettings, rows: Sequence[RawRow], where: str) -> None:
    """A column that the user named must be there in at least one row; the default metadata column need not be."""
    default = PromptSettings.model_fields["metadata_column"].default
    named = {"baseline_column": settings.baseline_column}
    if settings.metadata_column != default:
        named["metadata_column"] = settings.metadata_column
    for setting, column in named.items():
        if column is not None and not any(column in row.values for row in rows):
            _cell(rows[0], column, setting, where)


def _metadata(row: RawRow, settings: PromptSettings) -> dict[str, Any]:
    """Every column that is not prompt or baseline, overruled by the metadata column; a key without a value is absent.

    Nulls further inside are the row's own: a JSON schema may have them.
    """
    named = {settings.prompt_column, settings.metadata_column, settings.baseline_column}
    others = {column: value for column, value in row.values.items() if column not in named}
    explicit = _decoded(row.values.get(settings.metadata_column), f"{row.where}: column {settings.metadata_column!r}")
    return _without_none(others | _without_none(explicit))


def _decoded(value: Any, what: str) -> dict[str, Any]:
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except json.JSONDecodeError as error:
            raise DataError(f"{what} is text, but not a JSON object ({error})") from error
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise DataError(f"{what} must be an object, not {kind_of(value)}")
    return dict(value)


def _without_none(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}


def _baseline(row: RawRow, settings: PromptSettings) -> str | None:
    """The golden response; a row without one (null or empty) leaves the baseline to the reference."""
    if settings.baseline_column is None:
        return None
    value = row.values.get(settings.baseline_column)
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise DataError(f"{row.where}: column {settings.baseline_column!r} must be text, not {kind_of(value)}")
    return value


def _check_metadata(prompts: Sequence[Prompt], stratum: str, lacks: Lacks) -> None:
    lacking = [(prompt, *lack) for prompt in prompts for lack in lacks(prompt.metadata).items()]
    if not lacking:
        return
    prompt, judge, missing = lacking[0]
    rows = len({p.source for p, _, _ in lacking})
    keys = ", ".join(f"{key!r}{_similar(key, prompt.metadata)}" for key in missing)
    has = ", ".join(sorted(map(str, prompt.metadata))) or "none"
    raise DataError(
        f"{prompt.source}: stratum {stratum!r} uses the judge {judge!r}, which needs the metadata {keys}; "
        f"this row has: {has}. Rows that lack something: {rows} of {len(prompts)}"
    )


def _similar(key: str, metadata: Mapping[str, Any]) -> str:
    close = nearest(key, map(str, metadata))
    return f" (a misspelling of it: {close!r}?)" if close else ""
