"""The three-valued verdict of a judge, and what a set of verdicts means for a response.

A judge says of one response whether it satisfies one constraint. Besides *satisfied* and *violated* it may say
*unknown* (timeout, error, missing metadata): unknown is never a number and never one of the other two.
*not_applicable* (the judge declared that it does not concern this row) and *not_judged* (skipped after a
violation) are neutral: they neither satisfy nor violate.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Outcome(StrEnum):
    """What a judge said. The values are the strings of the file formats."""

    SATISFIED = "satisfied"
    VIOLATED = "violated"
    UNKNOWN = "unknown"
    NOT_APPLICABLE = "not_applicable"
    NOT_JUDGED = "not_judged"


NEUTRAL = frozenset({Outcome.NOT_APPLICABLE, Outcome.NOT_JUDGED})
"""Outcomes that neither satisfy nor violate, and count nowhere."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What verdicts took.

    Attributes:
        seconds: wall time of the judging alone, without waiting for a free process or connection.
        calls: requests to a model.
        tokens: prompt and completion tokens of those requests, as far as the model reports them.
        verdicts: how many verdicts this is the cost of.
        cached: how many of them came from the verdict cache, at no other cost.
    """

    seconds: float = 0.0
    calls: int = 0
    tokens: int = 0
    verdicts: int = 1
    cached: int = 0

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.seconds + other.seconds,
            self.calls + other.calls,
            self.tokens + other.tokens,
            self.verdicts + other.verdicts,
            self.cached + other.cached,
        )


@dataclass(frozen=True, slots=True)
class Verdict:
    """One judge's answer about one response.

    Attributes:
        outcome: what was decided.
        reason: why, for a person to read; for `unknown` the cause of the failure.
        score: the judge's margin where it has one (positive means satisfied), else None.
        cost: what it took, filled in by what ran the judge; two verdicts that differ only there are equal.
    """

    outcome: Outcome
    reason: str = ""
    score: float | None = None
    cost: Cost | None = field(default=None, compare=False)

    @classmethod
    def satisfied(cls, reason: str = "", score: float | None = None) -> Verdict:
        return cls(Outcome.SATISFIED, reason, score)

    @classmethod
    def violated(cls, reason: str = "", score: float | None = None) -> Verdict:
        return cls(Outcome.VIOLATED, reason, score)

    @classmethod
    def unknown(cls, reason: str) -> Verdict:
        return cls(Outcome.UNKNOWN, reason)

    @classmethod
    def of(cls, holds: bool, reason: str = "", score: float | None = None) -> Verdict:
        """`satisfied` if `holds`, else `violated`."""
        return cls(Outcome.SATISFIED if holds else Outcome.VIOLATED, reason, score)

    def as_json(self) -> dict[str, Any]:
        """The form of the verdict in files: `{"verdict": …, "reason": …, "score": …}`."""
        return {"verdict": self.outcome.value, "reason": self.reason, "score": self.score}


def combine(outcomes: Iterable[Outcome]) -> Outcome:
    """AND over judges (SPEC.md, "Verdicts have three values").

    Violated by any judge is violated, whatever the others say; otherwise unknown by any judge is unknown;
    otherwise satisfied. Neutral outcomes do not count, so a response that no judge concerns is satisfied.
    """
    seen = set(outcomes)
    if Outcome.VIOLATED in seen:
        return Outcome.VIOLATED
    if Outcome.UNKNOWN in seen:
        return Outcome.UNKNOWN
    return Outcome.SATISFIED


@dataclass(frozen=True, slots=True)
class Judgement:
    """The verdicts of all judges of a mixture on one response, by judge name."""

    verdicts: dict[str, Verdict]

    @property
    def outcome(self) -> Outcome:
        """SATISFIED (feasible), VIOLATED or UNKNOWN; see `combine`."""
        return combine(v.outcome for v in self.verdicts.values())

    @property
    def satisfied(self) -> bool | None:
        """True, False, or None when unknown: the `satisfied` field of the file formats."""
        return {Outcome.SATISFIED: True, Outcome.VIOLATED: False}.get(self.outcome)
