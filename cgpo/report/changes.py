"""What held-out evaluations say, before and after: the numbers behind the closing table and the report.

An evaluation is a line of `evaluation.jsonl`. It is read tolerantly: a part that is missing is shown as missing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

Evaluation = Mapping[str, Any]
Kind = Literal["rate", "mean"]


@dataclass(frozen=True, slots=True)
class Measure:
    """A rate or a mean of one evaluation.

    Attributes:
        value: the rate in [0, 1] or the mean; None when nothing was known.
        count: of a rate, how many were satisfied.
        n: over how many it was taken.
        low: lower end of the interval.
        high: its upper end.
    """

    value: float | None = None
    count: int | None = None
    n: int | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """After minus before, paired by prompt where an interval is given.

    Attributes:
        value: the difference, in the unit of the measure.
        low: lower end of the interval, or None.
        high: its upper end, or None.
        n: number of pairs, or None when the difference is not paired.
    """

    value: float
    low: float | None = None
    high: float | None = None
    n: int | None = None


@dataclass(frozen=True, slots=True)
class ChangeRow:
    """One line of the table: `label` (`satisfied`, `judge math`, `calibrated reward`, `KL`), before and after.

    `detail` lines are in the report, but not in the terminal's table.
    """

    label: str
    kind: Kind
    before: Measure | None
    after: Measure | None
    change: Change | None
    detail: bool = False


@dataclass(frozen=True, slots=True)
class StratumChange:
    """The lines of one stratum; `n` held-out prompts, of whose responses `unknown` (before, after) had no verdict."""

    stratum: str
    n: int | None
    unknown: tuple[int | None, int | None]
    rows: tuple[ChangeRow, ...]


def first_and_last(evaluations: Sequence[Evaluation]) -> tuple[Evaluation | None, Evaluation | None]:
    """The earliest and the latest evaluation by step; the latest is None when there is only one step."""
    by_step = {int(found.get("step", 0)): found for found in evaluations}
    if not by_step:
        return None, None
    first, last = min(by_step), max(by_step)
    return by_step[first], by_step[last] if last > first else None


def compare_evaluations(evaluations: Sequence[Evaluation]) -> list[StratumChange]:
    """First against last evaluation, per stratum; with one evaluation only `before` is filled."""
    before, after = first_and_last(evaluations)
    names = dict.fromkeys([*_strata(before), *_strata(after)])
    return [
        _stratum(name, _strata(before).get(name, {}), _strata(after).get(name, {}), _changes(after).get(name, {}))
        for name in names
    ]


def _stratum(name: str, before: Any, after: Any, changes: Any) -> StratumChange:
    before, after, changes = _mapping(before), _mapping(after), _mapping(changes)

    def names(key: str) -> list[str]:
        return list(dict.fromkeys([*_mapping(before.get(key)), *_mapping(after.get(key))]))

    def row(label: str, kind: Kind, *keys: str) -> ChangeRow | None:
        return _row(label, kind, _at(before, keys), _at(after, keys), _at(changes, keys))

    rows = [
        row("satisfied", "rate", "satisfied"),
        row("satisfied at least once", "rate", "satisfied_once"),
        *(row(f"judge {judge}", "rate", "judges", judge) for judge in names("judges")),
        row("calibrated reward", "mean", "calibrated_reward"),
        *(_as_detail(row(f"reward {name}", "mean", "rewards", name)) for name in names("rewards")),
        row("wins over reference, by reward", "rate", "win_rate"),
        *(_as_detail(row(f"wins, by {name}", "rate", "win_rates", name)) for name in names("win_rates")),
        row("wins over reference, by judge", "rate", "preference_win_rate"),
        *(_detail_if_none(row(f"{probe} rate", "rate", "probes", probe)) for probe in names("probes")),
        _detail_if_none(row("cut off", "rate", "truncated")),
        row("KL, nats", "mean", "kl"),
        row("response tokens", "mean", "response_tokens"),
        _as_detail(row("response words", "mean", "response_words")),
    ]
    return StratumChange(
        stratum=name,
        n=after.get("prompts", before.get("prompts", after.get("n", before.get("n")))),
        unknown=(before.get("unknown"), after.get("unknown")),
        rows=tuple(found for found in rows if found is not None),
    )


def _as_detail(row: ChangeRow | None) -> ChangeRow | None:
    return None if row is None else replace(row, detail=True)


def _detail_if_none(row: ChangeRow | None) -> ChangeRow | None:
    """What never happened, before or after, is a detail."""
    happened = row is not None and any(m is not None and m.value for m in (row.before, row.after))
    return row if happened else _as_detail(row)


def _row(label: str, kind: Kind, before: Any, after: Any, change: Any) -> ChangeRow | None:
    found = (read_measure(before), read_measure(after))
    if found == (None, None):
        return None
    return ChangeRow(label, kind, *found, _change(change, *found))


def read_measure(found: Any) -> Measure | None:
    """A rate or a mean as an evaluation's line holds it; None when it holds none."""
    if not isinstance(found, Mapping):
        return None
    value = found.get("rate", found.get("mean"))
    return Measure(value, found.get("count"), found.get("n"), found.get("low"), found.get("high"))


def _change(found: Any, before: Measure | None, after: Measure | None) -> Change | None:
    if isinstance(found, Mapping) and found.get("change") is not None:
        return Change(found["change"], found.get("low"), found.get("high"), found.get("n"))
    if before is None or after is None or before.value is None or after.value is None:
        return None
    return Change(after.value - before.value)


def _at(tree: Mapping[str, Any], keys: Iterable[str]) -> Any:
    found: Any = tree
    for key in keys:
        found = _mapping(found).get(key)
    return found


def _strata(evaluation: Evaluation | None) -> Mapping[str, Any]:
    return _mapping((evaluation or {}).get("strata"))


def _changes(evaluation: Evaluation | None) -> Mapping[str, Any]:
    return _mapping((evaluation or {}).get("changes"))


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def percent(value: float) -> str:
    """`42 %`; one decimal where rounding would say 0 or 100 and it is not."""
    whole = round(value * 100)
    rounded_away = (whole == 0 and value > 0) or (whole == 100 and value < 1)
    return f"{value * 100:.1f} %" if rounded_away else f"{whole} %"


def measure_text(measure: Measure | None, kind: Kind) -> str:
    """`42 % (84/198)` or `0.51`; `–` when there is none, `unknown` when nothing was known."""
    if measure is None:
        return "–"
    if measure.value is None:
        return "unknown"
    if kind == "mean":
        return f"{measure.value:.2f}" if abs(measure.value) < 100 else f"{measure.value:.0f}"
    counts = f" ({measure.count}/{measure.n})" if measure.count is not None and measure.n is not None else ""
    return percent(measure.value) + counts


def interval_text(measure: Measure | None, kind: Kind) -> str:
    """`36 to 49 %` or `0.45 to 0.57`; empty when there is none."""
    if measure is None or measure.low is None or measure.high is None:
        return ""
    if kind == "rate":
        return f"{measure.low * 100:.0f} to {measure.high * 100:.0f} %"
    return f"{measure.low:.2f} to {measure.high:.2f}"


def change_text(row: ChangeRow) -> str:
    """`+22 [+15, +29]`: in points for a rate, in the measure's unit otherwise; `–` when there is none."""
    change = row.change
    if change is None:
        return "–"
    scale, form = (100, "+.0f") if row.kind == "rate" else (1, "+.2f")
    text = format(change.value * scale, form)
    if change.low is None or change.high is None:
        return text
    return f"{text} [{change.low * scale:{form}}, {change.high * scale:{form}}]"
