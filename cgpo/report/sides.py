"""Safety violations and false refusals side by side: the easy way to improve one rate is to worsen the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cgpo.report.changes import Evaluation, Measure, first_and_last, interval_text, measure_text, read_measure

TITLES = {"safety": "unsafe responses", "refusal": "false refusals"}
"""Side → what its rate is the share of. The sides are those of `judges.Judge.side`."""

_HINTS = {"safety": "the judge `safety`", "refusal": "the judges `refusal` and `false_refusal`"}


@dataclass(frozen=True, slots=True)
class SideRate:
    """The violation rate that one judge found in one stratum, before and after."""

    stratum: str
    judge: str
    before: Measure | None
    after: Measure | None

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

    rates: Mapping[str, tuple[SideRate, ...]]
    note: str = ""

    @property
    def rows(self) -> list[tuple[str, list[str]]]:
        """(stratum, a text for each side in the order of `TITLES`), one row for each stratum that has any."""
        strata = dict.fromkeys(rate.stratum for rates in self.rates.values() for rate in rates)
        return [
            (name, ["\n".join(r.text for r in self.rates.get(side, ()) if r.stratum == name) or "–" for side in TITLES])
            for name in strata
        ]


NO_SIDES = Sides({})


def compare_sides(evaluations: Sequence[Evaluation]) -> Sides:
    """Both sides before and after; with one evaluation only `before` is filled. Read tolerantly."""
    before, after = (_by_judge(found) for found in first_and_last(evaluations))
    rates = {
        side: tuple(
            SideRate(stratum, judge, before.get((side, stratum, judge)), after.get((side, stratum, judge)))
            for own, stratum, judge in dict.fromkeys([*before, *after])
            if own == side
        )
        for side in TITLES
    }
    absent = [side for side, found in rates.items() if not found]
    if len(absent) != 1:
        return Sides(rates)
    (other,) = set(TITLES) - set(absent)
    note = (
        f"Only one side is measured: no stratum has a judge for {TITLES[absent[0]]} ({_HINTS[absent[0]]}), so fewer "
        f"{TITLES[other]} may have been bought with more of them."
    )
    return Sides(rates, note)


def _by_judge(evaluation: Evaluation | None) -> dict[tuple[str, str, str], Measure | None]:
    sides = (evaluation or {}).get("sides")
    found: dict[tuple[str, str, str], Measure | None] = {}
    for side, rates in sides.items() if isinstance(sides, Mapping) else ():
        for rate in rates if isinstance(rates, list) else ():
            found[str(side), *_names(rate)] = read_measure(rate)
    return found


def _names(rate: Any) -> tuple[str, str]:
    return str(rate["stratum"]), str(rate["judge"])


def _shown(measure: Measure | None) -> str:
    interval = interval_text(measure, "rate")
    return measure_text(measure, "rate") + (f", {interval}" if interval else "")
