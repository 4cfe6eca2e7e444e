"""Runs compared: one point a run, in series, with what keeps them from being compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cgpo.errors import ConfigError, unknown_name
from cgpo.report.changes import Measure
from cgpo.report.run_files import dig
from cgpo.statistics.evaluation import Change, Rate, Win
from cgpo.tradeoff.differences import Differences, differences
from cgpo.tradeoff.runs import LeftOut, Run, check_same_prompts, find_runs, read_run
from cgpo.tradeoff.selection import Selection

SCHEMA = 1
"""Version of tradeoff.json."""

_USUAL_LAST = ("satisfied", "preference_win_rate", "response_tokens")
"""Measures of the last panels, where they were measured and none was named."""


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
        """The change of a measure in a run."""
        return run.change(self.stratum, name)

    def before(self, run: Run, name: str) -> Measure | None:
        """A measure before the first step."""
        return run.measure_before(self.stratum, name)

    def after(self, run: Run, name: str) -> Measure | None:
        """A measure at the last evaluation."""
        return run.measure_after(self.stratum, name)

    def is_rate(self, name: str) -> bool:
        """Whether a measure is a share."""
        return any(isinstance(self.before(run, name), Rate | Win) for run in self.runs)

    @property
    def series(self) -> Mapping[str, list[int]]:
        """Series → the numbers of its runs."""
        series: dict[str, list[int]] = {}
        for number in range(len(self.runs)):
            series.setdefault(self.different.series_of(number), []).append(number)
        return series

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


def compare_runs(paths: Sequence[Path], selection: Selection) -> Tradeoff:
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
    stratum = _choose_stratum(runs, selection.stratum)
    check_same_prompts(runs, stratum)
    x = _choose_x(runs, stratum, selection.x)
    preferred = f"strata.{stratum}.rewards.{x.partition('/')[2]}"
    unordered = differences([run.config for run in runs], preferred, selection.label)
    order = sorted(range(len(runs)), key=lambda n: (unordered.series_of(n), unordered.order_of(n)))
    runs = [runs[number] for number in order]
    different = differences([run.config for run in runs], preferred, selection.label)
    return Tradeoff(runs, left_out, stratum, x, _choose_ys(runs, stratum, x, selection.y), different)


def _choose_stratum(runs: Sequence[Run], wanted: str | None) -> str:
    """The stratum to look at, which every run must have.

    Raises:
        ConfigError: there is none of that name, or several and none was named.
    """
    shared = [name for name in runs[0].changes if all(name in run.changes for run in runs)]
    if wanted is not None:
        if wanted not in shared:
            raise ConfigError(unknown_name("stratum", wanted, shared, "--stratum (of every run)"))
        return wanted
    if len(shared) != 1:
        problem = f"several strata: {', '.join(shared)}" if shared else "no stratum in common"
        raise ConfigError(f"the runs have {problem}. Name one that all have with --stratum")
    return shared[0]


def _choose_x(runs: Sequence[Run], stratum: str, wanted: str | None) -> str:
    """The measure of the horizontal axis: the reward whose weight differs, or the first reward.

    Raises:
        ConfigError: there is no measure of that name, or no reward.
    """
    known = _measures(runs, stratum)
    if wanted is not None:
        return _known(wanted, known, "--x")
    rewards = [name for name in known if name.startswith("rewards/")]
    if not rewards:
        raise ConfigError(f"no reward was measured in {stratum}: name a measure with --x. Allowed: {', '.join(known)}")
    differing = [name for name in rewards if len({_weight(run, stratum, name) for run in runs}) > 1]
    return (differing or rewards)[0]


def _choose_ys(runs: Sequence[Run], stratum: str, x: str, wanted: Sequence[str] | None) -> list[str]:
    """The measures of the panels: the other rewards, the probes, and how satisfied, how preferred and how long.

    Raises:
        ConfigError: there is no measure of a name.
    """
    known = _measures(runs, stratum)
    if wanted:
        return list(dict.fromkeys(_known(name, known, "--y") for name in wanted))
    usual = [name for name in known if name.startswith(("rewards/", "probes/"))]
    return [name for name in [*usual, *(name for name in _USUAL_LAST if name in known)] if name != x]


def _measures(runs: Sequence[Run], stratum: str) -> list[str]:
    """The names of everything whose change was measured in any of the runs, in the order of the evaluations."""
    return list(dict.fromkeys(name for run in runs for name in run.measures(stratum)))


def _known(name: str, known: Sequence[str], where: str) -> str:
    if name not in known:
        raise ConfigError(unknown_name("measure", name, known, where))
    return name


def _weight(run: Run, stratum: str, name: str) -> Any:
    return dig(run.config, "strata", stratum, "rewards", name.partition("/")[2])
