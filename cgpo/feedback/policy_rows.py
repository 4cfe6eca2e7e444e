"""The rows that `cgpo feedback correlate` reads: the policies' responses, and each policy's observed number."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cgpo.config import PromptSettings
from cgpo.data.messages import content, messages_of
from cgpo.data.rows import RawRow, read_rows
from cgpo.errors import ConfigError, DataError, unknown_name
from cgpo.statistics.intervals import Interval, normal_quantile, rate_interval
from cgpo.statistics.resampling import Floats
from judges import Message

LARGEST = 1e100
"""The square of a larger number may not be one."""


@dataclass(frozen=True, slots=True)
class PolicyResponse:
    """A response of a policy; `score` where the rows have one."""

    policy: str
    prompt: tuple[Message, ...]
    response: str
    score: float | None = None


@dataclass(frozen=True, slots=True)
class Observed:
    """The number that was observed of a policy online.

    Attributes:
        value: the rate, or the change of it.
        positives: of a rate whose n is known, how many.
        n: responses shown; None: unknown.
        error: standard error of a change; None: unknown.
        is_change: whether the value is a change, not a rate.
    """

    value: float
    positives: float | None = None
    n: int | None = None
    error: float | None = None
    is_change: bool = False

    def interval(self, confidence: float) -> Interval:
        """Wilson's interval of a rate, the normal one of a change; no bounds where its uncertainty is unknown."""
        if self.positives is not None and self.n is not None:
            return rate_interval(self.positives, self.n, confidence)
        if self.error is None:
            return Interval(self.value, None, None, 1)
        half = normal_quantile(confidence) * self.error
        return Interval(self.value, self.value - half, self.value + half, 1)

    def draws(self, generator: np.random.Generator, n: int) -> Floats:
        """The number as it might have come out, [n]: Beta(positives + ½, others + ½), or normal; itself if unknown."""
        if self.positives is not None and self.n is not None:
            return generator.beta(self.positives + 0.5, self.n - self.positives + 0.5, size=n)
        return self.value + (self.error or 0.0) * generator.standard_normal(n)


def read_responses(responses: str | None, policies: Sequence[str], score: str | None) -> list[PolicyResponse]:
    """All responses.

    Args:
        responses: `--responses`.
        policies: `--policy`, NAME=ROWS each.
        score: `--score-column`.

    Raises:
        ConfigError: no source is named, or one not as it should be.
        DataError: a row is wrong.
    """
    if responses is None and not policies:
        raise ConfigError("name the responses: --responses ROWS with a `policy` column, or --policy NAME=ROWS for each")
    rows = [] if responses is None else list(_responses(responses, "--responses", None, score))
    for text in policies:
        name, equals, path = text.partition("=")
        if not (equals and name and path):
            raise ConfigError(f"--policy {text}: must be NAME=ROWS, e.g. --policy sft=sft.jsonl")
        rows += _responses(path, f"--policy {name}", name, score)
    if not rows:
        raise DataError("there are no responses: the files are empty")
    return rows


def read_observed(path: str) -> dict[str, Observed]:
    """Policy → what was observed.

    Raises:
        DataError: a row is wrong, or a policy stands there twice.
    """
    policies: dict[str, Observed] = {}
    for row in read_rows(PromptSettings(path=path), "--observed"):
        name = _name(row)
        if name in policies:
            raise DataError(f"{row.where}: the policy {name!r} stands there twice")
        policies[name] = _observed(row)
    if len({observed.is_change for observed in policies.values()}) > 1:
        raise DataError(f"--observed {path}: some policies have a rate, others a change; these cannot be compared")
    return policies


def _responses(path: str, where: str, policy: str | None, score: str | None) -> Iterator[PolicyResponse]:
    for row in read_rows(PromptSettings(path=path), where):
        name = _name(row) if policy is None else policy
        prompt = messages_of(_value(row, "prompt"), row.where)
        response = content(_value(row, "response"), row.where, "the response")
        yield PolicyResponse(name, prompt, response, None if score is None else _score(row, score))


def _observed(row: RawRow) -> Observed:
    values = row.values
    if values.get("change") is not None:
        return Observed(_number(row, "change"), error=_error(row), is_change=True)
    n = None if values.get("n") is None else _number(row, "n")
    if n is not None and (n < 1 or n != int(n)):
        raise DataError(f"{row.where}: n is {n:g}; it must be a number of responses, 1 or more")
    if values.get("positives") is not None:
        positives = _number(row, "positives")
        if n is None or not 0 <= positives <= n:
            raise DataError(f"{row.where}: {positives:g} positives need an `n` that is at least as large")
        return Observed(positives / n, positives, int(n))
    if values.get("rate") is None:
        raise DataError(
            f"{row.where}: there is no positives + n, rate or change. Its columns: {', '.join(sorted(values))}"
        )
    rate = _number(row, "rate")
    if not 0 <= rate <= 1:
        raise DataError(f"{row.where}: rate is {rate:g}; it must be a share between 0 and 1, not percent")
    return Observed(rate) if n is None else Observed(rate, rate * n, int(n))


def _error(row: RawRow) -> float | None:
    if row.values.get("se") is not None:
        error = _number(row, "se")
    elif row.values.get("low") is not None and row.values.get("high") is not None:
        error = (_number(row, "high") - _number(row, "low")) / (2 * normal_quantile(0.95))
    else:
        return None
    if error < 0:
        raise DataError(f"{row.where}: the standard error of the change is {error:g}; it cannot be negative")
    return error


def _name(row: RawRow) -> str:
    name = _value(row, "policy")
    if not isinstance(name, str) or not name.strip():
        raise DataError(f"{row.where}: `policy` must be a name, not {name!r}")
    return name


def _score(row: RawRow, column: str) -> float | None:
    if column not in row.values:
        raise DataError(unknown_name("column", column, row.values, f"{row.where} (--score-column)"))
    # A missing score is missing; text is a mistake.
    value = row.values[column]
    if value is None:
        return None
    try:
        score = float(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise DataError(f"{row.where}: `{column}` must be a number, not {value!r:.60}") from error
    if LARGEST < abs(score) < math.inf:
        raise DataError(f"{row.where}: `{column}` is {score:g}; it must be at most {LARGEST:g} in size")
    return score if math.isfinite(score) else None


def _number(row: RawRow, column: str) -> float:
    try:
        value = float(row.values[column])
    except (TypeError, ValueError, OverflowError) as error:
        raise DataError(f"{row.where}: `{column}` must be a number, not {row.values[column]!r:.60}") from error
    if not abs(value) <= LARGEST:
        raise DataError(f"{row.where}: `{column}` is {value:g}; it must be finite, at most {LARGEST:g} in size")
    return value


def _value(row: RawRow, column: str) -> Any:
    values: Mapping[str, Any] = row.values
    if values.get(column) is None:
        raise DataError(f"{row.where}: there is no `{column}`. Its columns: {', '.join(sorted(values))}")
    return values[column]
