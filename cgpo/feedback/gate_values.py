"""The values that the rules of the gate look at. A value that cannot be known has no estimate, and a reason why."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from cgpo.errors import nearest
from cgpo.statistics.evaluation import Evaluation, StratumChanges, StratumSummary
from cgpo.statistics.intervals import Interval

_LARGEST = sys.float_info.max


@dataclass(frozen=True, slots=True)
class Value:
    """A number with its bounds (equal to it where it has no uncertainty), or the reason why there is none.

    Raises:
        ValueError: what should be a number is none, or not finite: the file it comes from is damaged.
    """

    estimate: float | None
    low: float | None = None
    high: float | None = None
    reason: str = ""

    def __post_init__(self) -> None:
        for number in (self.estimate, self.low, self.high):
            if number is None:
                continue
            if isinstance(number, bool) or not isinstance(number, (int, float)) or not abs(number) <= _LARGEST:
                raise ValueError(f"{number!r:.60} is no finite number")


def exact(number: float) -> Value:
    """A counted number: its bounds are itself."""
    return Value(number, number, number)


def unknown(reason: str) -> Value:
    """A value without an estimate."""
    return Value(None, reason=reason)


def from_evaluation(kind: str, evaluation: Mapping[str, Any]) -> Value:
    """The value of a rule on evaluation.json."""
    return _EVALUATION[kind](evaluation)


def from_correlation(kind: str, correlation: Mapping[str, Any]) -> Value:
    """The value of a rule on correlation.json."""
    return _CORRELATION[kind](correlation)


def from_run(kind: str, subject: str, stratum: str, evaluation: Evaluation) -> Value:
    """The value of a rule on one stratum of a run's last evaluation.

    Args:
        kind: of the rule.
        subject: the reward or judge it names; may be empty.
        stratum: its name.
        evaluation: the last one.
    """
    changes = (evaluation.changes or {}).get(stratum)
    return _RUN[kind](evaluation.strata[stratum], changes, subject)


def _interval(interval: Mapping[str, Any] | None, what: str) -> Value:
    if interval is None or interval.get("estimate") is None:
        return unknown(f"{what} is unknown")
    if interval["low"] is None or interval["high"] is None:
        return Value(interval["estimate"], reason=f"{what} has no interval: too little data")
    return Value(interval["estimate"], interval["low"], interval["high"])


def _later(evaluation: Mapping[str, Any]) -> Value:
    time, report = evaluation["time"], evaluation["report"]
    if time["later"] is None:
        return unknown("nobody says when the model's training data ended (--trained-on of `cgpo feedback evaluate`)")
    total = report["n"] + report["missing"]
    return exact(1 - time["not_later"] / total)


def _missing(evaluation: Mapping[str, Any]) -> Value:
    report = evaluation["report"]
    return exact(report["missing"] / (report["n"] + report["missing"]))


def _over_length(evaluation: Mapping[str, Any]) -> Value:
    """The model's bounds less the estimate of length alone: both are of the same rows, so their errors go together."""
    model, length = _interval(evaluation["report"]["auroc"], "AUROC"), evaluation["report"]["length"]
    alone = None if length is None else length["alone"]["estimate"]
    if model.estimate is None or model.low is None or model.high is None or alone is None:
        return unknown("AUROC, of the model or of length alone, is unknown")
    return Value(model.estimate - alone, model.low - alone, model.high - alone)


def _length_correlation(evaluation: Mapping[str, Any]) -> Value:
    length = evaluation["report"]["length"]
    value = _interval(None if length is None else length["pearson"], "the correlation of score and length")
    if value.estimate is None or value.low is None or value.high is None:
        return value
    low, high = abs(value.low), abs(value.high)
    nearest_to_zero = 0.0 if value.low <= 0 <= value.high else min(low, high)
    return Value(abs(value.estimate), nearest_to_zero, max(low, high))


def _ece(evaluation: Mapping[str, Any]) -> Value:
    report = evaluation["report"]
    rate = report["rate"]["estimate"]
    if report["calibration"] is None:
        return unknown("there is no calibration: the head gives no probability, or no row has a score")
    if not rate:
        return unknown("there is no positive reaction to compare with")
    value = _interval(report["calibration"]["ece"], "ECE")
    low, high = (None if bound is None else bound / rate for bound in (value.low, value.high))
    return Value(None if value.estimate is None else value.estimate / rate, low, high, value.reason)


def _skill(evaluation: Mapping[str, Any]) -> Value:
    fit = evaluation["report"]["calibration"]
    if fit is None:
        return unknown("there is no calibration: the head gives no probability, or no row has a score")
    return _interval(fit["brier_skill"], "the Brier skill")


def _lift(evaluation: Mapping[str, Any]) -> Value:
    groups = evaluation["report"]["lift"]
    return _interval(groups[0]["lift"] if groups else None, "the lift of the top tenth")


_EVALUATION: Mapping[str, Callable[[Mapping[str, Any]], Value]] = {
    "later_data": _later,
    "missing_scores": _missing,
    "auroc": lambda evaluation: _interval(evaluation["report"]["auroc"], "AUROC"),
    "over_length": _over_length,
    "length_correlation": _length_correlation,
    "ece_over_rate": _ece,
    "brier_skill": _skill,
    "top_lift": _lift,
}


def _left_out(correlation: Mapping[str, Any]) -> Value:
    without = correlation["leave_one_out"]
    if not without or any(r is None for r in without.values()):
        return unknown("r is unknown with a policy left out")
    worst = min(without, key=lambda name: without[name])
    return Value(without[worst], without[worst], without[worst], f"without {worst}")


_CORRELATION: Mapping[str, Callable[[Mapping[str, Any]], Value]] = {
    "correlation": lambda correlation: _interval(correlation["pearson"], "the correlation"),
    "correlation_left_out": _left_out,
}


def _measure(measure: Interval | None, reason: str) -> Value:
    """A rate, win or change of an evaluation, or the reason why there is none."""
    if measure is None or measure.estimate is None:
        return unknown(reason)
    if measure.low is None or measure.high is None:
        return Value(measure.estimate, reason="it has no interval: too little data")
    return Value(measure.estimate, measure.low, measure.high)


def _satisfied_change(summary: StratumSummary, changes: StratumChanges | None, subject: str) -> Value:
    reason = "the run has one evaluation, so nothing to compare with (eval.before)"
    return _measure(None if changes is None else changes.satisfied, reason)


def _unknown_share(summary: StratumSummary, changes: StratumChanges | None, subject: str) -> Value:
    if not summary.n or summary.unknown is None:
        return unknown("there are no held-out responses")
    return exact(summary.unknown / summary.n)


def _win_rate(summary: StratumSummary, changes: StratumChanges | None, subject: str) -> Value:
    measures = summary.measures
    rewards = list(measures.rewards)
    if not subject or rewards == [subject]:
        return _measure(measures.win_rate, "the responses were not compared with the reference's")
    reason = f"there are no wins by the reward {subject!r}{_meant(subject, rewards)}"
    return _measure(measures.win_rates.get(subject), reason)


def _violation(summary: StratumSummary, changes: StratumChanges | None, subject: str) -> Value:
    judge = summary.measures.judges.get(subject)
    if judge is not None:
        return _turned(_measure(judge, f"no verdict of the judge {subject!r} is known"), 1.0)
    return _measure(summary.measures.probes.get(subject), _no_judge(subject, summary))


def _violation_change(summary: StratumSummary, changes: StratumChanges | None, subject: str) -> Value:
    if changes is None:
        return _satisfied_change(summary, changes, subject)
    judge = changes.judges.get(subject)
    if judge is not None:
        return _turned(_measure(judge, f"no verdict of the judge {subject!r} is known before and after"), 0.0)
    return _measure(changes.probes.get(subject), _no_judge(subject, summary))


def _no_judge(subject: str, summary: StratumSummary) -> str:
    names = [*summary.measures.judges, *summary.measures.probes]
    return f"no judge or probe of that name{_meant(subject, names)}"


def _turned(value: Value, top: float) -> Value:
    """top − value, its bounds changing places: of satisfied responses, the violations."""

    def turned(number: float | None) -> float | None:
        return None if number is None else top - number

    return Value(turned(value.estimate), turned(value.high), turned(value.low), value.reason)


def _meant(word: str, names: list[str]) -> str:
    close = nearest(word, names)
    return (f", did you mean {close!r}?" if close else "") + f" (there are: {', '.join(names) or 'none'})"


_RUN: Mapping[str, Callable[[StratumSummary, StratumChanges | None, str], Value]] = {
    "satisfied_change": _satisfied_change,
    "unknown_share": _unknown_share,
    "win_rate": _win_rate,
    "violation": _violation,
    "violation_change": _violation_change,
}
