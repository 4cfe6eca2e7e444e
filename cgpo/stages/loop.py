"""The steps of a supervised stage: metrics, time left, checkpoints, going on after a kill, stopping by a signal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cgpo import distributed
from cgpo.errors import RunError
from cgpo.interrupt import Interrupted, StopSignal
from cgpo.policy.checkpoints import Checkpoints
from cgpo.policy.universal import Movable, load_anywhere
from cgpo.stages.progress import StageProgress
from cgpo.tracking.metrics import Metrics, MetricsFile

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
    """

    run_dir: Path
    steps: int
    save_every: int
    zero_stage: int
    progress: StageProgress
    data: str

    def __post_init__(self) -> None:
        self._checkpoints = Checkpoints(self.run_dir / "checkpoints", KEPT_CHECKPOINTS)
        self._metrics = MetricsFile(self.run_dir / "metrics.jsonl") if distributed.rank() == 0 else None

    def resume(self, learner: Movable) -> int:
        """Brings the learner to the newest whole checkpoint; returns how many steps are done, 0 without one.

        Raises:
            RunError: no checkpoint is whole, or it is one of another model, or of other data.
        """
        latest = self._checkpoints.newest_whole(self.progress.message)
        done = 0
        if latest is not None:
            state, say = latest.read_state(), self.progress.message
            if state["data"] != self.data:
                raise RunError(
                    f"{latest.folder} was made with other data under the same name: rows were added, removed or "
                    "changed since. Restore the data set to go on, or start anew with --fresh"
                )
            load_anywhere(learner, latest.folder, state["ranks"], state["zero_stage"], self.zero_stage, say)
            done = latest.step
            self.progress.message(f"goes on after step {done} of {self.steps}")
        if self._metrics is not None:
            # Without a step done, what was measured before the first one will be measured again.
            self._metrics.truncate_after(done or -1)
        return done

    def record(self, step: int, metrics: Metrics) -> None:
        """Writes a line of `metrics.jsonl`, on one rank."""
        if self._metrics is not None:
            self._metrics.append(step, metrics)

    def run(self, learner: Movable, done: int, do: Callable[[int], Metrics], note: Callable[[Metrics], str]) -> None:
        """Does the steps after the first `done`.

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
                if step + 1 == self.steps:
                    return
                stopping = distributed.any_rank(stop.requested)
                if stopping or (self.save_every and (step + 1) % self.save_every == 0):
                    state = {"ranks": distributed.world_size(), "zero_stage": self.zero_stage, "data": self.data}
                    self._checkpoints.save(step + 1, learner.save, state)
                if stopping:
                    raise Interrupted(f"stopped by a signal after step {step + 1}; the same command goes on from there")
