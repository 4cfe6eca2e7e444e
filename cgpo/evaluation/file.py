"""The evaluations of a run on disk.

    evaluation.jsonl                  the numbers, one line an evaluation (`cgpo.statistics.evaluation`)
    evaluations/step-N.parquet        every response of that evaluation (`cgpo.tracking.rollouts`)

Changes are against the run's first evaluation, paired by prompt: the responses of that one are read from its Parquet
file, so they survive a restart.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from cgpo.errors import RunError
from cgpo.statistics.evaluation import SCHEMA, Evaluation
from cgpo.statistics.evaluation_json import evaluation_from_json
from cgpo.storage.disk import write_atomically
from cgpo.storage.file_names import EVALUATION_NAME, EVALUATIONS_NAME
from cgpo.storage.step_files import StepLines
from cgpo.tracking.rollouts import RolloutRow, RolloutsWriter, read_rollouts


class EvaluationFile:
    """The evaluations of a run: `evaluation.jsonl` with the numbers, `evaluations/` with the responses.

    One rank writes; the others `reload` afterwards.

    Args:
        run_dir: the run directory.

    Raises:
        RunError: the file is there but cannot be read, or is damaged.
    """

    def __init__(self, run_dir: Path) -> None:
        self._file = run_dir / EVALUATION_NAME
        self._folder = run_dir / EVALUATIONS_NAME
        self._lines: list[tuple[Evaluation, str]] = []  # with the text it stands as, which is never written anew
        self.reload()

    def done(self, step: int) -> bool:
        """Whether there is an evaluation after that many optimiser steps."""
        return self.at(step) is not None

    def at(self, step: int) -> Evaluation | None:
        """The evaluation after that many optimiser steps, or None."""
        return next((evaluation for evaluation in self.read() if evaluation.step == step), None)

    def read(self) -> list[Evaluation]:
        """The evaluations, in the order of steps."""
        return [evaluation for evaluation, _ in self._lines]

    def first_responses(self, before: int) -> list[RolloutRow] | None:
        """The responses of the first evaluation, or None when there is none of fewer than `before` steps.

        Raises:
            DataError: they cannot be read.
        """
        first = min((evaluation.step for evaluation in self.read()), default=before)
        return read_rollouts(self._folder, [first]).get(first, []) if first < before else None

    def add(self, evaluation: Evaluation, rows: Sequence[RolloutRow]) -> None:
        """Adds an evaluation, instead of an earlier one of the same step.

        Args:
            evaluation: its numbers.
            rows: the responses of all strata, every rank's.

        Raises:
            RunError: the disk is full, or a file cannot be written.
        """
        step = evaluation.step
        # The responses first: a line is there only when what later ones are compared with is there too.
        RolloutsWriter(self._folder).write(step, rows)
        others = [line for line in self._lines if line[0].step != step]
        text = json.dumps(evaluation.as_json(), allow_nan=False)
        self._write(sorted([*others, (evaluation, text)], key=lambda line: line[0].step))

    def truncate_after(self, step: int) -> None:
        """Removes the evaluations of later steps: a run that goes on from a checkpoint makes them again.

        Raises:
            RunError: a file cannot be written.
        """
        StepLines(self._file, "the evaluations").truncate_after(step)
        RolloutsWriter(self._folder).truncate_after(step)
        self.reload()

    def reload(self) -> None:
        """Reads what another rank has written.

        Raises:
            RunError: as the constructor.
        """
        try:
            text = self._file.read_text(encoding="utf-8") if self._file.exists() else ""
        except (OSError, UnicodeDecodeError) as error:
            raise RunError(f"{self._file} cannot be read: {error}") from error
        self._lines = [(self._parse(number, line), line) for number, line in enumerate(text.splitlines(), start=1)]

    def _write(self, lines: list[tuple[Evaluation, str]]) -> None:
        write_atomically(self._file, "".join(f"{text}\n" for _, text in lines).encode(), "the evaluations")
        self._lines = lines

    def _parse(self, number: int, text: str) -> Evaluation:
        try:
            line = json.loads(text)
            if line["schema"] != SCHEMA:
                raise ValueError(f"schema {line['schema']}, step {line['step']}")
            return evaluation_from_json(line)
        except (ValueError, KeyError, TypeError) as error:
            raise RunError(f"{self._file} line {number} is damaged ({error})") from error
