"""The values that the rules of the gate look at. A value that cannot be known has no estimate, and a reason why."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from cgpo.errors import nearest

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


def from_run(kind: str, subject: str, stratum: str, last: Mapping[str, Any]) -> Value:
    """The value of a rule on one stratum of a run's last evaluation.

    Args:
        kind: of the rule.
        subject: the reward or judge it names; may be empty.
        stratum: its name.
        last: the last line of evaluation.jsonl.
    """
    return _RUN[kind](last["strata"][stratum], last.get("changes", {}).get(stratum), subject)


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

Tree = Mapping[str, Any]


def _measure(measure: Mapping[str, Any] | None, key: str, reason: str) -> Value:
    """A rate, win or change of an evaluation's summary."""
    if measure is None or measure.get(key) is None:
        return unknown(reason)
    if measure["low"] is None or measure["high"] is None:
        return Value(measure[key], reason="it has no interval: too little data")
    return Value(measure[key], measure["low"], measure["high"])


def _satisfied_change(now: Tree, change: Tree | None, subject: str) -> Value:
    reason = "the run has one evaluation, so nothing to compare with (eval.before)"
    return _measure(None if change is None else change.get("satisfied"), "change", reason)


def _unknown_share(now: Tree, change: Tree | None, subject: str) -> Value:
    return exact(now["unknown"] / now["n"]) if now["n"] else unknown("there are no held-out responses")


def _win_rate(now: Tree, change: Tree | None, subject: str) -> Value:
    if not subject:
        return _measure(now.get("win_rate"), "rate", "the responses were not compared with the reference's")
    rewards = list(now.get("rewards", {}))
    if rewards == [subject]:
        return _win_rate(now, change, "")
    reason = f"there are no wins by the reward {subject!r}{_meant(subject, rewards)}"
    return _measure(now.get("win_rates", {}).get(subject), "rate", reason)


def _violation(now: Tree, change: Tree | None, subject: str) -> Value:
    judge = now["judges"].get(subject)
    if judge is not None:
        value = _measure(judge, "rate", f"no verdict of the judge {subject!r} is known")
        return _turned(value, 1.0)
    reason = f"no judge or probe of that name{_meant(subject, [*now['judges'], *now.get('probes', {})])}"
    return _measure(now.get("probes", {}).get(subject), "rate", reason)


def _violation_change(now: Tree, change: Tree | None, subject: str) -> Value:
    if change is None:
        return _satisfied_change(now, change, subject)
    judge = change["judges"].get(subject)
    if judge is not None:
        return _turned(_measure(judge, "change", f"no verdict of the judge {subject!r} is known before and after"), 0.0)
    reason = f"no judge or probe of that name{_meant(subject, [*now['judges'], *now.get('probes', {})])}"
    return _measure(change.get("probes", {}).get(subject), "change", reason)


def _turned(value: Value, top: float) -> Value:
    """top − value, its bounds changing places: of satisfied responses, the violations."""

    def turned(number: float | None) -> float | None:
        return None if number is None else top - number

    return Value(turned(value.estimate), turned(value.high), turned(value.low), value.reason)


def _meant(word: str, names: list[str]) -> str:
    close = nearest(word, names)
    return (f", did you mean {close!r}?" if close else "") + f" (there are: {', '.join(names) or 'none'})"


_RUN: Mapping[str, Callable[[Tree, Tree | None, str], Value]] = {
    "satisfied_change": _satisfied_change,
    "unknown_share": _unknown_share,
    "win_rate": _win_rate,
    "violation": _violation,
    "violation_change": _violation_change,
}
