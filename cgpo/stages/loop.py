"""The steps of a supervised stage: metrics, time left, checkpoints, going on after a kill, stopping by a signal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cgpo import distributed
from cgpo.errors import RunError
from cgpo.interrupt import Interrupted, StopSignal
from cgpo.policy.checkpoints import Checkpoint, Checkpoints
from cgpo.policy.universal import Movable, load_anywhere
from cgpo.stages.early_stopping import METRIC, EarlyStopping
from cgpo.storage.file_names import CHECKPOINTS_NAME, METRICS_NAME
from cgpo.tracking.metrics import Metrics, MetricsFile
from cgpo.tracking.progress import StageProgress

KEPT_CHECKPOINTS = 1


@dataclass
class StageLoop:
    """Does a stage's steps, from where it stopped to the last.

    Attributes:
        run_dir: the run directory, with `metrics.jsonl` and `checkpoints/`.
        steps: of the whole stage.
        save_every: steps between checkpoints; 0 = only when interrupted.
        zero_stage: of DeepSpeed: with one above 0 a checkpoint is split over the ranks.
        progress: shows where the stage is.
        data: fingerprint of what is learnt from: which rows a step takes, and how many steps there are, follow from it.
        early: stops the stage before its last step; the checkpoint of its best measurement is kept.
    """

    run_dir: Path
    steps: int
    save_every: int
    zero_stage: int
    progress: StageProgress
    data: str
    early: EarlyStopping | None = None

    def __post_init__(self) -> None:
        self._checkpoints = Checkpoints(self.run_dir / CHECKPOINTS_NAME, KEPT_CHECKPOINTS)
        self._metrics = MetricsFile(self.run_dir / METRICS_NAME) if distributed.rank() == 0 else None

    def resume(self, learner: Movable) -> int:
        """Brings the learner to the newest whole checkpoint; returns how many steps are done, 0 without one.

        Raises:
            RunError: no checkpoint is whole, or it is one of another model, or of other data.
        """
        latest = self._checkpoints.newest_whole(self.progress.message)
        done = 0
        if latest is not None:
            state, say = self._read(latest), self.progress.message
            load_anywhere(learner, latest.folder, state["ranks"], state["zero_stage"], self.zero_stage, say)
            done = latest.step
            if self.early is not None:
                self.early.load(state["early_stopping"])
                self._mark_best()
            self.progress.message(f"goes on after step {done} of {self.steps}")
        with distributed.together():
            if self._metrics is not None:
                # Without a step done, what was measured before the first one will be measured again.
                self._metrics.truncate_after(done or -1)
        return done

    def _read(self, latest: Checkpoint) -> dict[str, Any]:
        with distributed.together():
            state = latest.read_state()
            if state["data"] != self.data:
                raise RunError(
                    f"{latest.folder} was made with other data under the same name: rows were added, removed or "
                    "changed since. Restore the data set to go on, or start anew with --fresh"
                )
        return state

    def record(self, step: int, metrics: Metrics) -> None:
        """Writes a line of `metrics.jsonl`, on one rank; every rank calls it."""
        with distributed.together():
            if self._metrics is not None:
                self._metrics.append(step, metrics)

    def run(self, learner: Movable, done: int, do: Callable[[int], Metrics], note: Callable[[Metrics], str]) -> int:
        """Does the steps after the first `done`; returns how many are done in the end.

        Args:
            learner: what is trained.
            done: steps done already.
            do: does step 0, 1, … and returns its metrics, on every rank.
            note: what to show beside the progress, from a step's metrics.

        Raises:
            Interrupted: a signal came; a checkpoint is on disk.
        """
        with StopSignal(self.progress.message) as stop, self.progress.task("training step", self.steps, done) as update:
            for step in range(done, self.steps):
                metrics = do(step)
                self.record(step + 1, metrics)
                update(step + 1, note(metrics))
                if step + 1 == self.steps or (self.early is not None and self.early.stopped):
                    return step + 1
                stopping = distributed.any_rank(stop.requested)
                best = self.early is not None and self.early.best_step == step + 1
                if stopping or best or (self.save_every and (step + 1) % self.save_every == 0):
                    self._checkpoints.save(step + 1, learner.save, self._state())
                if best:
                    self._mark_best()
                if stopping:
                    raise Interrupted(f"stopped by a signal after step {step + 1}; the same command goes on from there")
        return max(done, self.steps)

    def load_best(self, learner: Movable) -> None:
        """Brings the learner back to where the validation loss was best; every rank calls it.

        Raises:
            RunError: its checkpoint is damaged, or gone.
        """
        with distributed.together():
            best = self._checkpoints.find("best")
            best.verify()
            state = best.read_state()
        say = self.progress.message
        load_anywhere(learner, best.folder, state["ranks"], state["zero_stage"], self.zero_stage, say)

    def _state(self) -> dict[str, Any]:
        state = {"ranks": distributed.world_size(), "zero_stage": self.zero_stage, "data": self.data}
        return state if self.early is None else state | {"early_stopping": self.early.state()}

    def _mark_best(self) -> None:
        """Names the best measurement's checkpoint, so that it stays. The state of a checkpoint is what counts: a kill
        may have fallen between writing the checkpoint and naming it."""
        assert self.early is not None
        with distributed.together():
            if distributed.rank() == 0 and self.early.best is not None and self._checkpoints.has(self.early.best_step):
                self._checkpoints.mark_best(self.early.best_step, METRIC, "min", self.early.best)
