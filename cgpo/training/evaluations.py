"""The held-out evaluations of a training run: when they are due, and what follows from them."""

from __future__ import annotations

from collections.abc import Callable

from cgpo import distributed
from cgpo.evaluation.heldout import Evaluator
from cgpo.tracking.evaluation_metrics import evaluation_metrics
from cgpo.training.phases import Phases
from cgpo.training.session import Session


class RunEvaluations:
    """Evaluates before the first step, after the last, or in between, as the settings ask.

    Args:
        session: the run.
        phases: shows and times them.
        check_stop: may raise to break off.
    """

    def __init__(self, session: Session, phases: Phases, check_stop: Callable[[], None]) -> None:
        self._session = session
        self._settings = session.settings.eval
        self._phases = phases
        self._check_stop = check_stop
        self._evaluator = Evaluator(session.parts, session.records.evaluations)

    @property
    def wanted(self) -> bool:
        """Whether the run has any evaluation."""
        return bool(self._settings.every or self._settings.before or self._settings.after)

    def prepare(self) -> None:
        """The reference's responses to held-out prompts, while the engine can hold its weights."""
        if self.wanted:
            with self._phases.phase("reference responses"):
                self._evaluator.prepare(self._phases.progress("reference responses"), self._check_stop)

    def evaluate_if_due(self, done: int) -> None:
        """Evaluates after `done` steps if that is due, but never twice, and keeps the checkpoint if it is the best."""
        settings, last = self._settings, self._session.settings.train.steps
        due = (settings.before and done == 0) or (settings.after and done == last)
        due = due or bool(settings.every and done and done % settings.every == 0)
        if due and not self._session.records.evaluations.done(done):
            self._evaluate(done)
        self._keep_best(done)

    def _evaluate(self, done: int) -> None:
        session = self._session
        with self._phases.phase("evaluation"):
            rows = self._evaluator.rows(done, self._phases.progress("evaluation"), self._check_stop)
            evaluation = self._evaluator.record(done, rows)
        with distributed.together():
            session.records.show_evaluation(evaluation)
            session.overoptimisation.evaluated(done, session.records.evaluations.read(), self._settings.confidence)

    def _keep_best(self, done: int) -> None:
        """Marks the checkpoint after `done` steps as the best, if its evaluation says so; every rank must call it."""
        session, checkpoints = self._session, self._session.checkpoints
        best = session.settings.train.keep_best
        evaluation = session.records.evaluations.at(done)
        if best is None or evaluation is None or done == 0:
            return
        value = evaluation_metrics(evaluation).get(best.metric)
        if value is None:
            session.display.message(
                f"train.keep_best: no {best.metric} after step {done}: nothing known to measure it on"
            )
            return
        session.finish_saving()  # it was written beside the evaluation
        # One rank compares: another might already see what it has written.
        if not distributed.on_first_rank(lambda: checkpoints.is_better(value, best.metric, best.mode)):
            return
        session.save(done, session.positions())
        distributed.on_first_rank(lambda: checkpoints.mark_best(done, best.metric, best.mode, value))
        session.display.message(f"step {done} is the best so far: {best.metric} {value:g}")
