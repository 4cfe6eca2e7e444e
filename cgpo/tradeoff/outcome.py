"""What the runs say, put together: one point a run, in series, with what keeps them from being compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cgpo.errors import ConfigError
from cgpo.report.changes import Measure
from cgpo.report.run_files import dig
from cgpo.statistics.evaluation import Change
from cgpo.tradeoff.differences import Differences, differences
from cgpo.tradeoff.quantities import after, before, change, choose_stratum, choose_x, choose_ys, is_rate
from cgpo.tradeoff.runs import LeftOut, Run, check_same_prompts, find_runs, read_run

SCHEMA = 1
"""Version of tradeoff.json."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What was asked for; None or empty: the usual."""

    x: str | None = None
    y: Sequence[str] = ()
    stratum: str | None = None
    label: str | None = None


@dataclass(frozen=True, slots=True)
class Tradeoff:
    """Runs to compare.

    Attributes:
        runs: ordered by series, then by label.
        left_out: runs that cannot be compared.
        stratum: whose measures.
        x: measure of the horizontal axis.
        ys: measures of the panels.
        different: the settings that differ, in the order of `runs`.
    """

    runs: Sequence[Run]
    left_out: Sequence[LeftOut]
    stratum: str
    x: str
    ys: Sequence[str]
    different: Differences

    def change(self, run: Run, name: str) -> Change | None:
        """What changed in a run."""
        return change(run, self.stratum, name)

    def before(self, run: Run, name: str) -> Measure | None:
        """What a measure was before the first step."""
        return before(run, self.stratum, name)

    def after(self, run: Run, name: str) -> Measure | None:
        """What it was at the last evaluation."""
        return after(run, self.stratum, name)

    def is_rate(self, name: str) -> bool:
        """Whether a measure is a share."""
        return is_rate(self.runs, self.stratum, name)

    @property
    def series(self) -> Mapping[str, list[int]]:
        """Series → the numbers of its runs."""
        found: dict[str, list[int]] = {}
        for number in range(len(self.runs)):
            found.setdefault(self.different.series_of(number), []).append(number)
        return found

    @property
    def notes(self) -> list[str]:
        """What a reader has to know before comparing."""
        stopped = [f"{run.folder} was measured {run.stopped}" for run in self.runs if run.stopped]
        left = [f"{run.folder} is left out: {run.reason}" for run in self.left_out]
        return [*left, *stopped, *self._other_starts(), *self._other_judges(), *self._other_levels()]

    def _other_starts(self) -> list[str]:
        """Changes are of one thing only if all runs start from it."""
        notes = []
        for name in [self.x, *self.ys]:
            measures = [measure for run in self.runs if (measure := self.before(run, name)) is not None]
            values = [measure.estimate for measure in measures if measure.estimate is not None]
            if name != "satisfied" and values and max(values) - min(values) > 1e-6 * max(1.0, *map(abs, values)):
                notes.append(
                    f"{name} before training is not the same in all runs ({min(values):.4g} to {max(values):.4g}): "
                    "another reference, reward model or sampling, so these are changes of different things"
                )
        return notes

    def _other_judges(self) -> list[str]:
        judges = {repr(dig(run.config, "strata", self.stratum, "judges")) for run in self.runs}
        if "satisfied" not in [self.x, *self.ys] or len(judges) == 1:
            return []
        return ["satisfied asks for the judges of each run's own settings, which differ between these runs"]

    def _other_levels(self) -> list[str]:
        levels = sorted({str(dig(run.config, "eval", "confidence")) for run in self.runs})
        return [f"the intervals are at different levels: {', '.join(levels)}"] if len(levels) > 1 else []

    def as_json(self) -> dict[str, Any]:
        """`tradeoff.json`."""
        names = [self.x, *self.ys]
        return {
            "schema": SCHEMA,
            "stratum": self.stratum,
            "x": self.x,
            "y": list(self.ys),
            "label": self.different.label,
            "differing_settings": list(self.different.values),
            "runs": [
                {
                    "run": str(run.folder),
                    "label": self.different.label_of(number),
                    "series": self.different.series_of(number),
                    "settings": {key: values[number] for key, values in self.different.values.items()},
                    "step": run.step,
                    "steps": run.steps,
                    "confidence": dig(run.config, "eval", "confidence"),
                    "measures": {name: self._measured(run, name) for name in names},
                }
                for number, run in enumerate(self.runs)
            ],
            "left_out": [{"run": str(run.folder), "reason": run.reason} for run in self.left_out],
            "notes": self.notes,
        }

    def _measured(self, run: Run, name: str) -> dict[str, Any]:
        change, before, after = self.change(run, name), self.before(run, name), self.after(run, name)
        nothing = {"change": None, "low": None, "high": None, "n": None}
        return {
            **(nothing if change is None else change.as_json()),
            "before": None if before is None else before.estimate,
            "after": None if after is None else after.estimate,
        }


def compare_runs(paths: Sequence[Any], wanted: Wanted) -> Tradeoff:
    """Reads runs and decides what is drawn.

    Raises:
        ConfigError: no run, none that can be compared, held-out prompts that differ, or an unknown name.
    """
    read = [read_run(folder) for folder in find_runs(paths)]
    runs = [run for run in read if isinstance(run, Run)]
    left_out = [run for run in read if isinstance(run, LeftOut)]
    if not runs:
        reasons = "; ".join(f"{run.folder}: {run.reason}" for run in left_out)
        raise ConfigError(f"no run can be compared. {reasons}")
    stratum = choose_stratum(runs, wanted.stratum)
    check_same_prompts(runs, stratum)
    x = choose_x(runs, stratum, wanted.x)
    preferred = f"strata.{stratum}.rewards.{x.partition('/')[2]}"
    unordered = differences([run.config for run in runs], preferred, wanted.label)
    order = sorted(range(len(runs)), key=lambda n: (unordered.series_of(n), unordered.order_of(n)))
    runs = [runs[number] for number in order]
    different = differences([run.config for run in runs], preferred, wanted.label)
    return Tradeoff(runs, left_out, stratum, x, choose_ys(runs, stratum, x, wanted.y), different)
