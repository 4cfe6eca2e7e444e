"""The result of an evaluation on held-out prompts: estimates with intervals, by stratum and quantity.

`Evaluation.as_json` is a line of `evaluation.jsonl`, and `cgpo.statistics.evaluation_json` reads it back:

    {"schema", "step", "strata": {name: summary}, "sides": {side: [{"stratum", "judge", **rate}]},
     "changes": {name: measures}}                 changes: from the second evaluation of a run on

A summary is `{"n", "prompts", "unknown", **measures, "by_prompt"}`; measures have a key for each field of `Measures`
that there is something to say of. A rate is `{"count", "n", "rate", "low", "high", "unknown"}`, a win `{"wins", "ties",
"losses", "n", "rate", "low", "high", "unknown"}`, a mean `{"mean", "low", "high", "n"}`, a change `{"change", "low",
"high", "n"}`. Estimates without data are null.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Generic, TypeVar

from cgpo.statistics.intervals import Interval

SCHEMA = 1
"""Version of the form of an evaluation's line."""

R = TypeVar("R")
M = TypeVar("M")
W = TypeVar("W")
R2 = TypeVar("R2")
M2 = TypeVar("M2")
W2 = TypeVar("W2")


@dataclass(frozen=True, slots=True)
class Rate(Interval):
    """A share of responses, or of prompts, over those with a known value.

    Attributes:
        count: how many of `n` it holds for; None in a line that does not say.
        unknown: how many had no known value.
    """

    count: int | None = None
    unknown: int = 0

    def as_json(self) -> dict[str, Any]:
        """Plain data."""
        return {"count": self.count, "n": self.n, **_numbers("rate", self), "unknown": self.unknown}


@dataclass(frozen=True, slots=True)
class Win(Interval):
    """A win rate, ties counting half.

    Attributes:
        wins: responses that are better than the reference's.
        ties: as good as the reference's.
        losses: worse.
        unknown: how many comparisons could not be made.
    """

    wins: int = 0
    ties: int = 0
    losses: int = 0
    unknown: int = 0

    def as_json(self) -> dict[str, Any]:
        """Plain data."""
        counts = {"wins": self.wins, "ties": self.ties, "losses": self.losses, "n": self.n}
        return {**counts, **_numbers("rate", self), "unknown": self.unknown}


@dataclass(frozen=True, slots=True)
class Mean(Interval):
    """A mean over responses."""

    def as_json(self) -> dict[str, Any]:
        """Plain data."""
        return {**_numbers("mean", self), "n": self.n}


@dataclass(frozen=True, slots=True)
class Change(Interval):
    """After − before, in the unit of what changed; `n` pairs, 0 where responses were not paired."""

    def as_json(self) -> dict[str, Any]:
        """Plain data."""
        return {**_numbers("change", self), "n": self.n}


@dataclass(frozen=True, kw_only=True)
class Measures(Generic[R, M, W]):
    """One thing of type R for each rate, M for each mean, W for each win rate of a stratum; None: not measured.

    Attributes:
        judges: judge → satisfied with the response.
        satisfied: every judge is.
        calibrated_reward: R_calib in (0, 1).
        rewards: reward → raw score.
        win_rate: better than the reference's response, by the weighted rewards.
        win_rates: the same by each of several rewards.
        preference_win_rate: the same by the preference judge.
        probes: probe → violated.
        truncated: cut off at the token limit.
        kl: log ratio of policy and reference, nats per response.
        response_tokens: length.
        response_words: length.
        satisfied_once: over prompts with several responses: at least one is satisfied.
    """

    judges: Mapping[str, R] = field(default_factory=dict)
    satisfied: R | None = None
    calibrated_reward: M | None = None
    rewards: Mapping[str, M] = field(default_factory=dict)
    win_rate: W | None = None
    win_rates: Mapping[str, W] = field(default_factory=dict)
    preference_win_rate: W | None = None
    probes: Mapping[str, R] = field(default_factory=dict)
    truncated: R | None = None
    kl: M | None = None
    response_tokens: M | None = None
    response_words: M | None = None
    satisfied_once: R | None = None

    def map(
        self, rate: Callable[[R], R2 | None], mean: Callable[[M], M2 | None], win: Callable[[W], W2 | None]
    ) -> Measures[R2, M2, W2]:
        """Something else in the place of each; what a function says None of is left out."""
        return Measures(
            judges=_each(rate, self.judges),
            satisfied=_one(rate, self.satisfied),
            calibrated_reward=_one(mean, self.calibrated_reward),
            rewards=_each(mean, self.rewards),
            win_rate=_one(win, self.win_rate),
            win_rates=_each(win, self.win_rates),
            preference_win_rate=_one(win, self.preference_win_rate),
            probes=_each(rate, self.probes),
            truncated=_one(rate, self.truncated),
            kl=_one(mean, self.kl),
            response_tokens=_one(mean, self.response_tokens),
            response_words=_one(mean, self.response_words),
            satisfied_once=_one(rate, self.satisfied_once),
        )

    def named(self) -> dict[str, R | M | W]:
        """Name → what there is, in the order of the fields: `satisfied`, `judges/math`, `rewards/love` …"""
        named: dict[str, R | M | W] = {}
        for each in fields(self):
            value = getattr(self, each.name)
            if isinstance(value, Mapping):
                named |= {f"{each.name}/{name}": part for name, part in value.items()}
            elif value is not None:
                named[each.name] = value
        return named


StratumMeasures = Measures[Rate, Mean, Win]
StratumChanges = Measures[Change, Change, Change]


@dataclass(frozen=True, slots=True)
class Sample:
    """A quantity of a set of responses, by prompt: responses to one prompt resemble each other.

    Attributes:
        mean: over prompts of the prompt's mean.
        prompts: how many prompts had a known value.
        squares: Σ (prompt's mean − mean)².
    """

    mean: float
    prompts: int
    squares: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Sample | None:
        """From the mean of each prompt; None when there is none."""
        if not values:
            return None
        mean = math.fsum(values) / len(values)
        return cls(mean, len(values), math.fsum((value - mean) ** 2 for value in values))


@dataclass(frozen=True, slots=True)
class StratumSummary:
    """What is known of the held-out responses of a stratum.

    Attributes:
        n: responses; None in a line that does not say.
        prompts: how many prompts they answer; None in a line that does not say.
        unknown: responses that some judge gave no verdict on; None in a line that does not say.
        measures: the estimates.
        by_prompt: name of a measure (`Measures.named`) → the same quantity by prompt, of `satisfied`,
            `calibrated_reward` and the probes; empty in lines of earlier versions.
    """

    n: int | None = None
    prompts: int | None = None
    unknown: int | None = None
    measures: StratumMeasures = field(default_factory=StratumMeasures)
    by_prompt: Mapping[str, Sample] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Plain data."""
        counts = {"n": self.n, "prompts": self.prompts, "unknown": self.unknown}
        by_prompt = {name: asdict(sample) for name, sample in self.by_prompt.items()}
        return {**counts, **_measures_json(self.measures), **({"by_prompt": by_prompt} if by_prompt else {})}


@dataclass(frozen=True, slots=True)
class SideRate:
    """The share of a stratum's responses that a judge of one side found violated."""

    stratum: str
    judge: str
    rate: Rate

    def as_json(self) -> dict[str, Any]:
        """Plain data."""
        return {"stratum": self.stratum, "judge": self.judge, **self.rate.as_json()}


@dataclass(frozen=True, slots=True)
class Evaluation:
    """An evaluation.

    Attributes:
        step: optimiser steps done; 0 is before training.
        strata: stratum → summary.
        sides: `safety` and `refusal` → the rates of their judges.
        changes: stratum → changes against the run's first evaluation; None where this is the first.
    """

    step: int
    strata: Mapping[str, StratumSummary]
    sides: Mapping[str, Sequence[SideRate]] = field(default_factory=dict)
    changes: Mapping[str, StratumChanges] | None = None

    def as_json(self) -> dict[str, Any]:
        """A line of `evaluation.jsonl`."""
        line: dict[str, Any] = {
            "schema": SCHEMA,
            "step": self.step,
            "strata": {name: summary.as_json() for name, summary in self.strata.items()},
            "sides": {side: [rate.as_json() for rate in rates] for side, rates in self.sides.items()},
        }
        if self.changes is not None:
            line["changes"] = {name: _measures_json(changes) for name, changes in self.changes.items()}
        return line


def _measures_json(measures: StratumMeasures | StratumChanges) -> dict[str, Any]:
    """By the names of the fields; a mapping without entries is left out, but for the judges."""
    tree: dict[str, Any] = {"judges": {}}
    for name, value in measures.named().items():
        key, slash, part = name.partition("/")
        if slash:
            tree.setdefault(key, {})[part] = value.as_json()
        else:
            tree[key] = value.as_json()
    return tree


def _numbers(name: str, interval: Interval) -> dict[str, float | None]:
    return {name: interval.estimate, "low": interval.low, "high": interval.high}


def _one(function: Callable[[Any], Any], value: Any) -> Any:
    return None if value is None else function(value)


def _each(function: Callable[[Any], Any], values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: made for name, value in values.items() if (made := function(value)) is not None}
