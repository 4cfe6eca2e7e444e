"""Measures by name, as in a run's evaluations: `satisfied`, `rewards/love`, `judges/farewell`, `probes/farewell` …"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cgpo.errors import ConfigError, unknown_name
from cgpo.report.changes import Measure
from cgpo.report.run_files import dig
from cgpo.statistics.evaluation import Change, Rate, Win
from cgpo.tradeoff.runs import Run

_ENDING = ("satisfied", "preference_win_rate", "response_tokens")


def choose_stratum(runs: Sequence[Run], wanted: str | None) -> str:
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
        found = f"several strata: {', '.join(shared)}" if shared else "no stratum in common"
        raise ConfigError(f"the runs have {found}. Name one that all have with --stratum")
    return shared[0]


def measures(runs: Sequence[Run], stratum: str) -> list[str]:
    """The names of everything whose change was measured in any of the runs, in the order of the evaluations."""
    return list(dict.fromkeys(name for run in runs for name in run.changes[stratum].named()))


def choose_x(runs: Sequence[Run], stratum: str, wanted: str | None) -> str:
    """The measure of the horizontal axis: the reward whose weight differs, or the first reward.

    Raises:
        ConfigError: there is no measure of that name, or no reward.
    """
    known = measures(runs, stratum)
    if wanted is not None:
        return _known(wanted, known, "--x")
    rewards = [name for name in known if name.startswith("rewards/")]
    if not rewards:
        raise ConfigError(f"no reward was measured in {stratum}: name a measure with --x. Allowed: {', '.join(known)}")
    differing = [name for name in rewards if len({_weight(run, stratum, name) for run in runs}) > 1]
    return (differing or rewards)[0]


def choose_ys(runs: Sequence[Run], stratum: str, x: str, wanted: Sequence[str] | None) -> list[str]:
    """The measures of the panels: the other rewards, the probes, and how satisfied, how preferred and how long.

    Raises:
        ConfigError: there is no measure of a name.
    """
    known = measures(runs, stratum)
    if wanted:
        return list(dict.fromkeys(_known(name, known, "--y") for name in wanted))
    usual = [name for name in known if name.startswith(("rewards/", "probes/"))]
    return [name for name in [*usual, *(name for name in _ENDING if name in known)] if name != x]


def is_rate(runs: Sequence[Run], stratum: str, name: str) -> bool:
    """Whether a measure is a share."""
    return any(isinstance(before(run, stratum, name), Rate | Win) for run in runs)


def change(run: Run, stratum: str, name: str) -> Change | None:
    """The change of a measure in a run; None where it was not measured or nothing was known."""
    measured = run.changes[stratum].named().get(name)
    return None if measured is None or measured.estimate is None else measured


def before(run: Run, stratum: str, name: str) -> Measure | None:
    """A measure before the first step."""
    return run.before[stratum].measures.named().get(name)


def after(run: Run, stratum: str, name: str) -> Measure | None:
    """A measure at the run's last evaluation."""
    return run.after[stratum].measures.named().get(name)


def _known(name: str, known: Sequence[str], where: str) -> str:
    if name not in known:
        raise ConfigError(unknown_name("measure", name, known, where))
    return name


def _weight(run: Run, stratum: str, name: str) -> Any:
    return dig(run.config, "strata", stratum, "rewards", name.partition("/")[2])
