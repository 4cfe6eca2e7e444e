"""The records of a run: metrics, responses and evaluations on disk, in the loggers and in the display."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cgpo import distributed
from cgpo.config import TrackingSettings
from cgpo.evaluation.file import EvaluationFile
from cgpo.statistics.evaluation import Evaluation
from cgpo.storage.file_names import METRICS_NAME, ROLLOUTS_NAME
from cgpo.tracking.display import Display
from cgpo.tracking.evaluation_metrics import evaluation_metrics
from cgpo.tracking.loggers import Logger, make_loggers
from cgpo.tracking.metrics import MetricsFile
from cgpo.tracking.response_metrics import step_metrics
from cgpo.tracking.rollouts import RolloutRow, RolloutsWriter


class RunRecords:
    """Writes down and shows what comes of each step; one rank writes.

    Args:
        run_dir: the run directory.
        display: shows a line a step.

    Attributes:
        evaluations: the held-out evaluations of the run.
        totals: what the run has consumed so far: metric name → count.
    """

    def __init__(self, run_dir: Path, display: Display) -> None:
        self._run_dir = run_dir
        self._display = display
        self._metrics = MetricsFile(run_dir / METRICS_NAME)
        self._rollouts = RolloutsWriter(run_dir / ROLLOUTS_NAME)
        self._loggers: list[Logger] = []
        self.evaluations = EvaluationFile(run_dir)
        self.totals: dict[str, float] = {}

    def rewind(self, done: int) -> None:
        """Removes, on one rank, what was recorded after `done` steps, which will be done again."""
        self._metrics.truncate_after(done)
        self._rollouts.truncate_after(done)
        self.evaluations.truncate_after(done)

    def open_loggers(self, tracking: TrackingSettings, done: int, config: Mapping[str, Any]) -> None:
        """Opens the loggers, on one rank; `config` is shown by them and holds no secrets."""
        self._loggers += make_loggers(tracking, self._run_dir, done + 1, dict(config))

    def step_metrics(self, rows: Sequence[RolloutRow]) -> dict[str, float | None]:
        """Metrics that follow from the recorded responses of a step, and how much the run has sampled so far."""
        metrics = step_metrics(rows)
        for name, count in (("responses/total", len(rows)), ("tokens/total", sum(r.response_tokens for r in rows))):
            self.totals[name] = metrics[name] = self.totals.get(name, 0) + count
        return metrics

    def write_rollouts(self, step: int, rows: Sequence[RolloutRow]) -> None:
        """Records a step's responses."""
        if distributed.rank() == 0:
            self._rollouts.write(step, rows)

    def write_metrics(self, step: int, metrics: dict[str, float | None]) -> None:
        """Records and shows a step's metrics."""
        if distributed.rank() == 0:
            self._metrics.append(step, metrics)
            for logger in self._loggers:
                logger.log(step, metrics)
        self._display.step(step, metrics)

    def show_evaluation(self, evaluation: Evaluation) -> None:
        """Sends an evaluation's numbers to the loggers, as `eval/<stratum>/<quantity>`; `evaluation.jsonl` has all."""
        metrics = {f"eval/{name}": value for name, value in evaluation_metrics(evaluation).items()}
        for logger in self._loggers:
            logger.log(evaluation.step, metrics)

    def close(self) -> None:
        """Closes the loggers."""
        for logger in self._loggers:
            logger.close()
