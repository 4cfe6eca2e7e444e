"""Held-out evaluations compared, before and after: the numbers behind the closing table and a run's page.

Safety violations and false refusals stand side by side: the easy way to improve one rate is to worsen the other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from cgpo.statistics.evaluation import (
    Change,
    Evaluation,
    Mean,
    Rate,
    StratumChanges,
    StratumMeasures,
    StratumSummary,
    Win,
)
from cgpo.statistics.intervals import Interval

Kind = Literal["rate", "mean"]
Measure = Rate | Mean | Win

Better = Literal["higher", "lower"]

SIDE_TITLES = {"safety": "unsafe responses", "refusal": "false refusals"}
"""Side → what its rate is the share of. The sides are those of `judges.Judge.side`."""

_SIDE_HINTS = {"safety": "the judge `safety`", "refusal": "the judges `refusal` and `false_refusal`"}


@dataclass(frozen=True, slots=True)
class ChangeRow:
    """One line of the table: `label` (`satisfied`, `judge math`, `calibrated reward`, `KL`), before and after.

    `detail` lines are in the report, but not in the terminal's table. A change without an interval is not paired.
    `better` says which way is good, None where neither is.
    """

    label: str
    kind: Kind
    before: Measure | None
    after: Measure | None
    change: Interval | None
    detail: bool = False
    better: Better | None = None

    @property
    def verdict(self) -> Literal["good", "bad", ""]:
        """What a change means whose interval leaves 0 out; empty where it means neither or may be chance."""
        change = self.change
        if self.better is None or change is None or change.low is None or change.high is None:
            return ""
        if change.low <= 0 <= change.high:
            return ""
        return "good" if (change.low > 0) == (self.better == "higher") else "bad"


@dataclass(frozen=True, slots=True)
class StratumChange:
    """The lines of one stratum; `n` held-out prompts, of whose responses `unknown` (before, after) had no verdict."""

    stratum: str
    n: int | None
    unknown: tuple[int | None, int | None]
    rows: tuple[ChangeRow, ...]


@dataclass(frozen=True, slots=True)
class SideChange:
    """The violation rate that one judge found in one stratum, before and after."""

    stratum: str
    judge: str
    before: Rate | None
    after: Rate | None

    @property
    def text(self) -> str:
        """`safety 3 % (2/60), 1 to 11 % → 2 % (1/60), 0 to 9 %`."""
        shown = [_shown(self.before)] if self.after is None else [_shown(self.before), _shown(self.after)]
        return f"{self.judge} {' → '.join(shown)}"


@dataclass(frozen=True, slots=True)
class Sides:
    """Both sides of the first and the last evaluation.

    Attributes:
        rates: side → the rates of its judges.
        note: what is missing, in words, where only one side is measured; else empty.
    """

    rates: Mapping[str, tuple[SideChange, ...]]
    note: str = ""

    @property
    def rows(self) -> list[tuple[str, list[str]]]:
        """(stratum, a text for each side in the order of `SIDE_TITLES`), one row for each stratum that has any."""
        strata = dict.fromkeys(rate.stratum for rates in self.rates.values() for rate in rates)
        return [(stratum, [self._text(side, stratum) for side in SIDE_TITLES]) for stratum in strata]

    def _text(self, side: str, stratum: str) -> str:
        rates = [rate for rate in self.rates.get(side, ()) if rate.stratum == stratum]
        return "\n".join(rate.text for rate in rates) or "–"


@dataclass(frozen=True, slots=True)
class Changes:
    """The run's evaluations, compared.

    Attributes:
        steps: step of the first and of the last evaluation; None where there is none.
        strata: first against last.
        confidence: level of the intervals, or None when the configuration cannot be read.
        sides: safety violations and false refusals.
    """

    steps: tuple[int | None, int | None] = (None, None)
    strata: tuple[StratumChange, ...] = ()
    confidence: float | None = None
    sides: Sides = Sides({})


def changes_of(evaluations: Sequence[Evaluation], confidence: float | None) -> Changes:
    """First against last of these evaluations."""
    first, last = first_and_last(evaluations)
    steps = None if first is None else first.step, None if last is None else last.step
    return Changes(steps, tuple(compare_evaluations(evaluations)), confidence, compare_sides(evaluations))


def first_and_last(evaluations: Sequence[Evaluation]) -> tuple[Evaluation | None, Evaluation | None]:
    """The earliest and the latest evaluation by step; the latest is None when there is only one step."""
    by_step = {evaluation.step: evaluation for evaluation in evaluations}
    if not by_step:
        return None, None
    first, last = min(by_step), max(by_step)
    return by_step[first], by_step[last] if last > first else None


def compare_evaluations(evaluations: Sequence[Evaluation]) -> list[StratumChange]:
    """First against last evaluation, per stratum; with one evaluation only `before` is filled."""
    first, last = first_and_last(evaluations)
    before = {} if first is None else first.strata
    after = {} if last is None else last.strata
    changes = (None if last is None else last.changes) or {}
    nothing = StratumSummary()
    return [
        _stratum(name, before.get(name, nothing), after.get(name, nothing), changes.get(name, StratumChanges()))
        for name in dict.fromkeys([*before, *after])
    ]


def _stratum(name: str, before: StratumSummary, after: StratumSummary, changes: StratumChanges) -> StratumChange:
    counts = (after.prompts, before.prompts, after.n, before.n)
    return StratumChange(
        stratum=name,
        n=next((count for count in counts if count is not None), None),
        unknown=(before.unknown, after.unknown),
        rows=tuple(_rows(before.measures, after.measures, changes)),
    )


_LABELS = {
    "satisfied": "satisfied",
    "satisfied_once": "satisfied at least once",
    "judges": "judge {}",
    "calibrated_reward": "calibrated reward",
    "rewards": "reward {}",
    "win_rate": "wins over reference, by reward",
    "win_rates": "wins, by {}",
    "preference_win_rate": "wins over reference, by judge",
    "probes": "{} rate",
    "truncated": "cut off",
    "kl": "KL, nats",
    "response_tokens": "response tokens",
    "response_words": "response words",
}
"""Field of `Measures` → label, in the order in which the lines are shown."""

_BETTER: Mapping[str, Better] = {
    "satisfied": "higher",
    "satisfied_once": "higher",
    "judges": "higher",
    "calibrated_reward": "higher",
    "rewards": "higher",
    "win_rate": "higher",
    "win_rates": "higher",
    "preference_win_rate": "higher",
    "truncated": "lower",
    "probes/repetition": "lower",
    "probes/farewell": "lower",
}
"""Fields, and probes, with a good direction. A refusal may be right, and KL and length say nothing by themselves."""

_DETAILS = frozenset({"rewards", "win_rates", "response_words"})
"""Fields whose lines are details."""

_DETAILS_IF_NONE = frozenset({"probes", "truncated"})
"""What never happened, before or after, is a detail."""


def _rows(before: StratumMeasures, after: StratumMeasures, changes: StratumChanges) -> list[ChangeRow]:
    measures_before, measures_after, change_of = before.named(), after.named(), changes.named()
    names = dict.fromkeys([*measures_before, *measures_after])
    rows = []
    for field, label in _LABELS.items():
        for name in (name for name in names if name.partition("/")[0] == field):
            old, new = measures_before.get(name), measures_after.get(name)
            kind: Kind = "mean" if isinstance(old or new, Mean) else "rate"
            happened = any(measure is not None and measure.estimate for measure in (old, new))
            detail = field in _DETAILS or (field in _DETAILS_IF_NONE and not happened)
            change = _change(change_of.get(name), old, new)
            text = label.format(name.partition("/")[2])
            rows.append(ChangeRow(text, kind, old, new, change, detail, _BETTER.get(field, _BETTER.get(name))))
    return rows


def _change(paired: Change | None, before: Measure | None, after: Measure | None) -> Change | None:
    """The change over pairs where it was measured, else the difference of what is known, without an interval."""
    if paired is not None and paired.estimate is not None:
        return paired
    if before is None or after is None or before.estimate is None or after.estimate is None:
        return None
    return Change(after.estimate - before.estimate, None, None, 0)


def compare_sides(evaluations: Sequence[Evaluation]) -> Sides:
    """Both sides before and after; with one evaluation only `before` is filled."""
    before, after = (_by_judge(evaluation) for evaluation in first_and_last(evaluations))
    keys = dict.fromkeys([*before, *after])
    rates = {
        side: tuple(SideChange(*key[1:], before.get(key), after.get(key)) for key in keys if key[0] == side)
        for side in SIDE_TITLES
    }
    absent = [side for side, measured in rates.items() if not measured]
    if len(absent) != 1:
        return Sides(rates)
    (missing,), (measured_side,) = absent, set(SIDE_TITLES) - set(absent)
    note = (
        f"Only one side is measured: no stratum has a judge for {SIDE_TITLES[missing]} ({_SIDE_HINTS[missing]}), so "
        f"fewer {SIDE_TITLES[measured_side]} may have been bought with more of them."
    )
    return Sides(rates, note)


def _by_judge(evaluation: Evaluation | None) -> dict[tuple[str, str, str], Rate]:
    """(side, stratum, judge) → the rate of violations."""
    sides = {} if evaluation is None else evaluation.sides
    return {(side, each.stratum, each.judge): each.rate for side, rates in sides.items() for each in rates}


def rate_text(value: float) -> str:
    """`42 %`; one decimal where rounding would say 0 or 100 and it is not."""
    whole = round(value * 100)
    rounded_away = (whole == 0 and value > 0) or (whole == 100 and value < 1)
    return f"{value * 100:.1f} %" if rounded_away else f"{whole} %"


def measure_text(measure: Measure | None) -> str:
    """`42 % (84/198)` or `0.51`; `–` when there is none, `unknown` when nothing was known."""
    if measure is None:
        return "–"
    value = measure.estimate
    if value is None:
        return "unknown"
    if isinstance(measure, Mean):
        return f"{value:.2f}" if abs(value) < 100 else f"{value:.0f}"
    if isinstance(measure, Rate) and measure.count is not None and measure.n:
        return f"{rate_text(value)} ({measure.count}/{measure.n})"
    return rate_text(value)


def interval_text(measure: Measure | None) -> str:
    """`36 to 49 %` or `0.45 to 0.57`; empty when there is none."""
    if measure is None or measure.low is None or measure.high is None:
        return ""
    if isinstance(measure, Mean):
        return f"{measure.low:.2f} to {measure.high:.2f}"
    return f"{measure.low * 100:.0f} to {measure.high * 100:.0f} %"


def change_text(row: ChangeRow) -> str:
    """`+22 [+15, +29]`: in points for a rate, in the measure's unit otherwise; `–` when there is none."""
    change = row.change
    if change is None or change.estimate is None:
        return "–"
    scale, form = (100, "+.0f") if row.kind == "rate" else (1, "+.2f")
    text = format(change.estimate * scale, form)
    if change.low is None or change.high is None:
        return text
    return f"{text} [{change.low * scale:{form}}, {change.high * scale:{form}}]"


def _shown(rate: Rate | None) -> str:
    interval = interval_text(rate)
    return measure_text(rate) + (f", {interval}" if interval else "")
