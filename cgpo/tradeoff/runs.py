"""Reads runs to compare: settings, first and last held-out evaluation, and which prompts these asked.

Measures are named as in a run's evaluations: `satisfied`, `rewards/love`, `judges/farewell`, `probes/farewell` …
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cgpo.errors import ConfigError, DataError
from cgpo.report.changes import Measure, first_and_last
from cgpo.report.run_files import dig, read_evaluations, read_mapping
from cgpo.statistics.evaluation import Change, StratumChanges, StratumSummary
from cgpo.storage.file_names import CONFIG_NAME, EVALUATION_NAME, EVALUATIONS_NAME
from cgpo.tracking.rollouts import read_rollouts


@dataclass(frozen=True, slots=True)
class Run:
    """A run with something to compare.

    Attributes:
        folder: the run directory.
        config: its settings.
        step: optimiser steps done at its last evaluation.
        steps: optimiser steps it was to take; None when its settings do not say.
        before: stratum → summary of the evaluation before the first step.
        after: stratum → summary of the last evaluation.
        changes: stratum → changes of its measures, paired by prompt.
        prompts: stratum → ids of the held-out prompts, which follow from the prompts' text.
    """

    folder: Path
    config: Mapping[str, Any]
    step: int
    steps: int | None
    before: Mapping[str, StratumSummary]
    after: Mapping[str, StratumSummary]
    changes: Mapping[str, StratumChanges]
    prompts: Mapping[str, frozenset[str]]

    @property
    def name(self) -> str:
        """The folder's own name."""
        return self.folder.absolute().name

    @property
    def stopped(self) -> str:
        """Of a run that did not take all its steps: after how many it was measured; else empty."""
        if self.steps is None or self.step >= self.steps:
            return ""
        return f"after {self.step} of {self.steps} steps"

    def measures(self, stratum: str) -> list[str]:
        """The names of everything whose change was measured."""
        return list(self.changes[stratum].named())

    def change(self, stratum: str, name: str) -> Change | None:
        """The change of a measure; None where it was not measured or nothing was known."""
        change = self.changes[stratum].named().get(name)
        return None if change is None or change.estimate is None else change

    def measure_before(self, stratum: str, name: str) -> Measure | None:
        """A measure before the first step."""
        return self.before[stratum].measures.named().get(name)

    def measure_after(self, stratum: str, name: str) -> Measure | None:
        """A measure at the last evaluation."""
        return self.after[stratum].measures.named().get(name)


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A run that cannot be compared, and why."""

    folder: Path
    reason: str


def find_runs(paths: Sequence[Path]) -> list[Path]:
    """The run directories among these folders and, for those that are none, right below them.

    Raises:
        ConfigError: a path is no folder, or holds no run.
    """
    folders: dict[Path, None] = {}
    for path in paths:
        if not path.is_dir():
            raise ConfigError(f"{path} is no folder: name run directories, or the folder of a sweep")
        here = (
            [path] if (path / CONFIG_NAME).is_file() else sorted(file.parent for file in path.glob(f"*/{CONFIG_NAME}"))
        )
        if not here:
            raise ConfigError(
                f"{path} is no run directory, nor a sweep's folder: no {CONFIG_NAME} in it or one level below"
            )
        folders |= dict.fromkeys(here)
    return list(folders)


def read_run(folder: Path) -> Run | LeftOut:
    """Reads a run, or says why there is nothing to compare."""
    problems: list[str] = []
    config = read_mapping(folder / CONFIG_NAME, problems)
    evaluations, damaged = read_evaluations(folder / EVALUATION_NAME)
    problems += damaged
    if problems:
        return LeftOut(folder, "; ".join(problems))
    first, last = first_and_last(evaluations)
    if first is None:
        return LeftOut(folder, "it has no held-out evaluation (eval.before=true eval.after=true ask for them)")
    if first.step != 0:
        return LeftOut(folder, f"its first evaluation is that after step {first.step}: eval.before=true was not set")
    if last is None or last.changes is None:
        return LeftOut(folder, "it has no evaluation after its start: it was stopped before, or eval.after is not set")
    try:
        rows = read_rollouts(folder / EVALUATIONS_NAME, [0]).get(0, [])
    except DataError as error:
        return LeftOut(folder, str(error))
    if not rows:
        return LeftOut(folder, f"the responses of its first evaluation are not in {EVALUATIONS_NAME}/")
    steps = dig(config, "train", "steps")
    return Run(
        folder=folder,
        config=config,
        step=last.step,
        steps=steps if isinstance(steps, int) else None,
        before=first.strata,
        after=last.strata,
        changes=last.changes,
        prompts={name: frozenset(r.prompt_id for r in rows if r.stratum == name) for name in first.strata},
    )


def check_same_prompts(runs: Sequence[Run], stratum: str) -> None:
    """Refuses to compare runs that were measured on different prompts.

    Raises:
        ConfigError: the held-out prompts of a run are not those of the first; names them and how many are shared.
    """
    first = runs[0]
    prompts = first.prompts[stratum]
    unlike = [
        f"{run.folder} ({len(run.prompts[stratum] & prompts)} of its {len(run.prompts[stratum])})"
        for run in runs[1:]
        if run.prompts[stratum] != prompts
    ]
    if unlike:
        raise ConfigError(
            f"held-out prompts of {stratum} differ, so changes cannot be compared: {first.folder} has {len(prompts)}, "
            f"of which there are in {', '.join(unlike)}. Leave these runs out, or give all the same heldout and seed"
        )
