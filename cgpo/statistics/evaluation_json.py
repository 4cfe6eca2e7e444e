"""Reads a line of `evaluation.jsonl` back as an `Evaluation`.

What a line lacks is not measured: earlier versions wrote less. What is there but of another form is a problem in words;
whoever reads for people shows the rest, and whoever goes on with a run does not (`evaluation_from_json`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any, TypeVar

from cgpo.statistics.evaluation import (
    Change,
    Evaluation,
    Mean,
    Measures,
    Rate,
    Sample,
    SideRate,
    StratumChanges,
    StratumMeasures,
    StratumSummary,
    Win,
)

NAMED = frozenset({"judges", "rewards", "win_rates", "probes"})
"""Fields of `Measures` that hold a mapping."""

Placed = tuple[str, Any]
"""Where in the line something stands, and what it is."""

T = TypeVar("T")


def evaluation_from_json(line: Mapping[str, Any]) -> Evaluation:
    """The evaluation of a line.

    Raises:
        ValueError: something in it is of another form; says what and where.
    """
    evaluation, problems = read_evaluation(line)
    if problems:
        raise ValueError("; ".join(problems))
    return evaluation


def read_evaluation(line: Mapping[str, Any]) -> tuple[Evaluation, list[str]]:
    """What can be read of a line, and a few words on each part that cannot: such a part is left out."""
    reader = _Reader()
    step = reader.count(line, "step", "")
    if line.get("step") is None:
        reader.problems.append("it has no step")
    if "strata" not in line:
        reader.problems.append("it has no strata")
    changes = None if line.get("changes") is None else reader.mapping(line, "changes", "")
    evaluation = Evaluation(
        step=step or 0,
        strata=_present(reader.summary, reader.mapping(line, "strata", "")),
        sides={side: reader.side(placed) for side, placed in reader.mapping(line, "sides", "").items()},
        changes=None if changes is None else _present(reader.changes, changes),
    )
    return evaluation, reader.problems


class _Reader:
    """Takes a line apart and keeps what is wrong with it."""

    def __init__(self) -> None:
        self.problems: list[str] = []

    def mapping(self, tree: Mapping[str, Any], key: str, where: str) -> dict[str, Placed]:
        """The entries of an object, each with its place; none where it is absent or no object."""
        entries = self.object((f"{where}{key}", tree.get(key, {}))) or {}
        return {str(name): (f"{where}{key}.{name}", value) for name, value in entries.items()}

    def object(self, placed: Placed) -> Mapping[str, Any] | None:
        """An object, or None where it is something else."""
        where, value = placed
        if isinstance(value, Mapping):
            return value
        self.problems.append(f"{where} is {value!r:.40}, not an object")
        return None

    def number(self, tree: Mapping[str, Any], key: str, where: str) -> float | None:
        """A finite number, or None where it is absent, null or something else."""
        value = tree.get(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            self.problems.append(f"{where}{key} is {value!r:.40}, not a finite number")
            return None
        return value

    def count(self, tree: Mapping[str, Any], key: str, where: str) -> int | None:
        """A whole number, or None where it is absent, null or something else."""
        value = tree.get(key)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
            self.problems.append(f"{where}{key} is {value!r:.40}, not a whole number")
            return None
        return value

    def summary(self, placed: Placed) -> StratumSummary | None:
        tree = self.object(placed)
        if tree is None:
            return None
        where = f"{placed[0]}."
        measures: StratumMeasures = self._measures(tree, where).map(self.rate, self.mean, self.win)
        by_prompt = _present(self.sample, self.mapping(tree, "by_prompt", where))
        n, prompts, unknown = (self.count(tree, key, where) for key in ("n", "prompts", "unknown"))
        return StratumSummary(n, prompts, unknown, measures, by_prompt)

    def changes(self, placed: Placed) -> StratumChanges | None:
        tree = self.object(placed)
        if tree is None:
            return None
        return self._measures(tree, f"{placed[0]}.").map(self.change, self.change, self.change)

    def _measures(self, tree: Mapping[str, Any], where: str) -> Measures[Placed, Placed, Placed]:
        parts: dict[str, Any] = {}
        for each in fields(Measures):
            if each.name in NAMED:
                parts[each.name] = self.mapping(tree, each.name, where)
            elif tree.get(each.name) is not None:
                parts[each.name] = (f"{where}{each.name}", tree[each.name])
        return Measures(**parts)

    def rate(self, placed: Placed) -> Rate | None:
        tree, where = self.object(placed), f"{placed[0]}."
        if tree is None:
            return None
        count, unknown = self.count(tree, "count", where), self.count(tree, "unknown", where)
        return Rate(*self._interval(tree, "rate", where), count=count, unknown=unknown or 0)

    def win(self, placed: Placed) -> Win | None:
        tree, where = self.object(placed), f"{placed[0]}."
        if tree is None:
            return None
        counts = [self.count(tree, key, where) or 0 for key in ("wins", "ties", "losses", "unknown")]
        return Win(*self._interval(tree, "rate", where), *counts)

    def mean(self, placed: Placed) -> Mean | None:
        tree = self.object(placed)
        return None if tree is None else Mean(*self._interval(tree, "mean", f"{placed[0]}."))

    def change(self, placed: Placed) -> Change | None:
        tree = self.object(placed)
        return None if tree is None else Change(*self._interval(tree, "change", f"{placed[0]}."))

    def _interval(
        self, tree: Mapping[str, Any], key: str, where: str
    ) -> tuple[float | None, float | None, float | None, int]:
        estimate, low, high = (self.number(tree, name, where) for name in (key, "low", "high"))
        return estimate, low, high, self.count(tree, "n", where) or 0

    def sample(self, placed: Placed) -> Sample | None:
        tree, where = self.object(placed), f"{placed[0]}."
        if tree is None:
            return None
        mean, squares = self.number(tree, "mean", where), self.number(tree, "squares", where)
        prompts = self.count(tree, "prompts", where)
        return None if mean is None or squares is None or not prompts else Sample(mean, prompts, squares)

    def side(self, placed: Placed) -> list[SideRate]:
        where, rates = placed
        if not isinstance(rates, list):
            self.problems.append(f"{where} is {rates!r:.40}, not a list")
            return []
        read = (self._side_rate((f"{where}[{number}]", rate)) for number, rate in enumerate(rates))
        return [rate for rate in read if rate is not None]

    def _side_rate(self, placed: Placed) -> SideRate | None:
        rate = self.rate(placed)
        if rate is None:
            return None
        tree = placed[1]
        stratum, judge = tree.get("stratum"), tree.get("judge")
        if not isinstance(stratum, str) or not isinstance(judge, str):
            self.problems.append(f"{placed[0]} names no stratum or no judge")
            return None
        return SideRate(stratum, judge, rate)


def _present(read: Callable[[Placed], T | None], entries: Mapping[str, Placed]) -> dict[str, T]:
    """What could be read of each entry."""
    return {name: value for name, placed in entries.items() if (value := read(placed)) is not None}
