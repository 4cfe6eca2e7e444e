"""The three-valued verdict of a judge, and what a set of verdicts means for a response.

A judge says of one response whether it satisfies one constraint. Besides *satisfied* and *violated* it may say
*unknown* (timeout, error, missing metadata): unknown is never a number and never one of the other two.
*not_applicable* (the judge declared that it does not concern this row) and *not_judged* (skipped after a
violation) are neutral: they neither satisfy nor violate.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from typing import Any

from judges.errors import unknown_name


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

    @classmethod
    def from_json(cls, saved: Any) -> Cost:
        """The cost that `Verdict.as_json(with_cost=True)` wrote.

        Raises:
            ValueError: it is no cost: another field, or a value that is no number of its field's kind.
        """
        if not isinstance(saved, dict):
            raise ValueError(f"a cost is an object, not {_shown(saved)}")
        names = [known.name for known in fields(cls)]
        for name, value in saved.items():
            if name not in names:
                raise ValueError(unknown_name("field", str(name)[:100], names, "of a cost"))
            if name != "seconds" and type(value) is not int:
                raise ValueError(f"{name} of a cost is a whole number, not {_shown(value)}")
        return cls(**{**saved, "seconds": _number(saved.get("seconds", 0.0), "seconds of a cost")})


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

    def as_json(self, *, with_cost: bool = False) -> dict[str, Any]:
        """The form of the verdict in files: `{"verdict": …, "reason": …, "score": …}`, and `"cost"` where asked."""
        plain = {"verdict": self.outcome.value, "reason": self.reason, "score": self.score}
        return plain | {"cost": self.cost and asdict(self.cost)} if with_cost else plain

    @classmethod
    def from_json(cls, saved: Any) -> Verdict:
        """The verdict that `as_json` wrote, with its cost where that is there; fields of later versions are ignored.

        Raises:
            ValueError: it is no verdict: no object, an outcome that does not exist, a reason that is no text, a score
                that is no finite number, a damaged cost.
        """
        if not isinstance(saved, dict):
            raise ValueError(f"a verdict is an object, not {_shown(saved)}")
        outcome, reason, score, cost = (
            saved.get("verdict"),
            saved.get("reason", ""),
            saved.get("score"),
            saved.get("cost"),
        )
        if not isinstance(outcome, str):
            raise ValueError(f"the verdict is a text, not {_shown(outcome)}. Allowed: {', '.join(Outcome)}")
        if outcome not in list(Outcome):
            raise ValueError(unknown_name("verdict", outcome[:100], (known.value for known in Outcome)))
        if not isinstance(reason, str):
            raise ValueError(f"the reason of a verdict is a text, not {_shown(reason)}")
        return cls(
            Outcome(outcome),
            reason,
            None if score is None else _number(score, "the score of a verdict"),
            None if cost is None else Cost.from_json(cost),
        )


def _number(value: Any, what: str) -> float:
    """A finite number of a file."""
    try:
        if type(value) in (int, float) and math.isfinite(value):
            return float(value)
    except OverflowError:  # a whole number beyond the range of floats
        pass
    raise ValueError(f"{what} is a finite number, not {_shown(value)}")


def _shown(value: Any) -> str:
    """A value for a message, without what may be large or deep in it."""
    return f"{value!r:.100}" if value is None or isinstance(value, (bool, float, str)) else type(value).__name__


def combine(outcomes: Iterable[Outcome]) -> Outcome:
    """AND over judges (docs/method.md, "Verdicts have three values").

    Violated by any judge is violated, whatever the others say; otherwise unknown by any judge is unknown;
    otherwise satisfied. Neutral outcomes do not count, so a response that no judge concerns is satisfied.
    """
    distinct = set(outcomes)
    if Outcome.VIOLATED in distinct:
        return Outcome.VIOLATED
    if Outcome.UNKNOWN in distinct:
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

    def as_json(self, *, with_cost: bool = False) -> dict[str, dict[str, Any]]:
        """Judge → its verdict in the form of files."""
        return {name: verdict.as_json(with_cost=with_cost) for name, verdict in self.verdicts.items()}

    @classmethod
    def from_json(cls, saved: Any) -> Judgement:
        """The judgement that `as_json` wrote.

        Raises:
            ValueError: it is no object, or one of its values is no verdict.
        """
        if not isinstance(saved, dict):
            raise ValueError(f"verdicts are an object by judge, not {_shown(saved)}")
        return cls({name: Verdict.from_json(verdict) for name, verdict in saved.items()})
