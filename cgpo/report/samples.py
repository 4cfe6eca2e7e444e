"""The responses a run's page shows: a few of each verdict from the last steps, and held-out ones before and after."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cgpo.errors import DataError
from cgpo.storage.file_names import EVALUATIONS_NAME, ROLLOUTS_NAME
from cgpo.tracking.rollouts import RolloutRow, read_rollouts, rollout_files
from judges import Outcome

RECENT_FILES = 5
"""How many of the last steps are searched for samples of every verdict."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A response of the training: its step and its row."""

    step: int
    row: RolloutRow


@dataclass(frozen=True, slots=True)
class Pair:
    """One held-out prompt with its response before and after; `after` is None when only one evaluation was made."""

    before: Sample
    after: Sample | None

    @property
    def latest(self) -> Sample:
        return self.after or self.before


def training_samples(run_dir: Path, per_stratum: int, problems: list[str]) -> dict[str, list[Sample]]:
    """Stratum → up to `per_stratum` responses of the last steps, the verdicts taken in turn, newest first.

    A file that cannot be read is added to `problems` and left out.
    """
    folder = run_dir / ROLLOUTS_NAME
    recent: dict[str, list[Sample]] = {}
    for step in reversed(list(rollout_files(folder))[-RECENT_FILES:]):
        for row in _rows(folder, step, problems):
            recent.setdefault(row.stratum, []).append(Sample(step, row))
    return {stratum: _in_turn(samples, per_stratum) for stratum, samples in recent.items()}


def heldout_pairs(run_dir: Path, per_stratum: int, problems: list[str]) -> dict[str, list[Pair]]:
    """Stratum → up to `per_stratum` held-out prompts, evenly spaced, with first and last response."""
    folder = run_dir / EVALUATIONS_NAME
    steps = list(rollout_files(folder))
    if not steps:
        return {}
    first = _by_prompt(steps[0], _rows(folder, steps[0], problems))
    last = _by_prompt(steps[-1], _rows(folder, steps[-1], problems)) if len(steps) > 1 else {}
    shown = first if first else last
    pairs: dict[str, list[Pair]] = {}
    for key, sample in shown.items():
        after = last.get(key) if first else None
        pairs.setdefault(key[0], []).append(Pair(sample, after))
    return {stratum: _spread(of_stratum, per_stratum) for stratum, of_stratum in pairs.items()}


def _rows(folder: Path, step: int, problems: list[str]) -> list[RolloutRow]:
    try:
        return read_rollouts(folder, [step])[step]
    except DataError as error:
        problems.append(str(error))
        return []


def _by_prompt(step: int, rows: Sequence[RolloutRow]) -> Mapping[tuple[str, str, int], Sample]:
    return {(row.stratum, row.prompt_id, row.index): Sample(step, row) for row in rows}


def _in_turn(samples: Sequence[Sample], count: int) -> list[Sample]:
    """Takes one of each outcome in turn, so that a rare verdict is seen too."""
    by_outcome: dict[Outcome, Iterator[Sample]] = {
        outcome: iter([sample for sample in samples if sample.row.outcome is outcome])
        for outcome in dict.fromkeys(sample.row.outcome for sample in samples)
    }
    taken: list[Sample] = []
    while by_outcome and len(taken) < count:
        for outcome in list(by_outcome):
            sample = next(by_outcome[outcome], None)
            if sample is None:
                del by_outcome[outcome]
            elif len(taken) < count:
                taken.append(sample)
    return taken


def _spread(pairs: Sequence[Pair], count: int) -> list[Pair]:
    if len(pairs) <= count:
        return list(pairs)
    return [pairs[number * len(pairs) // count] for number in range(count)]
