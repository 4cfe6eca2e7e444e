"""Safety violations and false refusals side by side: the easy way to improve one rate is to worsen the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cgpo.report.changes import first_and_last, interval_text, measure_text
from cgpo.statistics.evaluation import Evaluation, Rate

TITLES = {"safety": "unsafe responses", "refusal": "false refusals"}
"""Side → what its rate is the share of. The sides are those of `judges.Judge.side`."""

_HINTS = {"safety": "the judge `safety`", "refusal": "the judges `refusal` and `false_refusal`"}


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
        """(stratum, a text for each side in the order of `TITLES`), one row for each stratum that has any."""
        strata = dict.fromkeys(rate.stratum for rates in self.rates.values() for rate in rates)
        return [
            (name, ["\n".join(r.text for r in self.rates.get(side, ()) if r.stratum == name) or "–" for side in TITLES])
            for name in strata
        ]


NO_SIDES = Sides({})


def compare_sides(evaluations: Sequence[Evaluation]) -> Sides:
    """Both sides before and after; with one evaluation only `before` is filled."""
    before, after = (_by_judge(evaluation) for evaluation in first_and_last(evaluations))
    keys = dict.fromkeys([*before, *after])
    rates = {
        side: tuple(SideChange(*key[1:], before.get(key), after.get(key)) for key in keys if key[0] == side)
        for side in TITLES
    }
    absent = [side for side, measured in rates.items() if not measured]
    if len(absent) != 1:
        return Sides(rates)
    (other,) = set(TITLES) - set(absent)
    note = (
        f"Only one side is measured: no stratum has a judge for {TITLES[absent[0]]} ({_HINTS[absent[0]]}), so fewer "
        f"{TITLES[other]} may have been bought with more of them."
    )
    return Sides(rates, note)


def _by_judge(evaluation: Evaluation | None) -> dict[tuple[str, str, str], Rate]:
    """(side, stratum, judge) → the rate of violations."""
    sides = {} if evaluation is None else evaluation.sides
    return {(side, each.stratum, each.judge): each.rate for side, rates in sides.items() for each in rates}


def _shown(rate: Rate | None) -> str:
    interval = interval_text(rate)
    return measure_text(rate) + (f", {interval}" if interval else "")
