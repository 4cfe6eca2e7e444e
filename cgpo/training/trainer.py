"""The training loop: CGPO's Algorithm 2 on one or two screens.

    every step:  for each stratum l:  sample B_l prompts → K_l responses each from the current policy → judge → reward
                 for each stratum l:  g_l from its optimiser
                 w ← w + α Σ_l ρ_l g_l                                      one optimiser step
                 push the new weights to the rollout engine, and check that they arrived

One program, the same on every rank. `cgpo.training.session` builds the parts; this module moves the data through them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from cgpo import distributed
from cgpo.errors import CgpoError, LimitError
from cgpo.interrupt import Interrupted, StopSignal
from cgpo.responses.baselines import baseline_requests, baseline_samples, make_baselines
from cgpo.responses.stratum import Stratum
from cgpo.rewards.notes import notes_metrics
from cgpo.rollout.parity import Gap
from cgpo.training.collecting import CollectedStep, collect_step
from cgpo.training.evaluations import RunEvaluations
from cgpo.training.gap_check import GradientPassGaps, check_rollout_gaps, stratum_limits
from cgpo.training.learning import LearnedStep, learn, learning_rate_at
from cgpo.training.phases import Phases
from cgpo.training.preparation import RANKS, PreparedStratum, prepare
from cgpo.training.run_plan import batch_text
from cgpo.training.session import Session
from cgpo.training.step_record import gather_rows, learning_metrics
from cgpo.types import GenerationRequest


class Trainer:
    """Trains a policy.

    Args:
        session: the parts of the run.
        stop: says when a signal asked to stop.
    """

    def __init__(self, session: Session, stop: StopSignal) -> None:
        self.session = session
        self.settings = session.settings
        self.stop = stop
        self.phases = Phases(session.display)
        self.evaluations = RunEvaluations(session, self.phases, self._check_stop_alone)

    def run(self) -> None:
        """Trains until `train.steps` steps are done.

        Raises:
            Interrupted: a signal came; a checkpoint of the last whole step is on disk.
            RunError: a limit was passed (unknown verdicts, missing rewards, log-prob gap) or the disk is full.
        """
        s = self.session
        first, last = s.restore(), self.settings.train.steps
        s.rewind_records(first)
        s.display.start(last, list(s.strata), first)
        s.display.message(batch_text(self.settings, distributed.world_size()))
        s.display.message(s.policy.layout_text)
        with distributed.together():
            requests = self._baselines_wanted(first)
        self._make_baselines(requests)
        self.evaluations.prepare()
        if first:
            s.parts.engine.sync(s.policy.weights())
        self._check_engine()
        self.evaluations.evaluate_if_due(first)
        for step in range(first, last):
            with self._saved_if_broken_off(step):
                metrics = self._step(step)
            with distributed.together():
                s.records.write_metrics(step + 1, metrics)
            with self._saved_if_broken_off(step + 1):
                self._after_step(step + 1)
        self._finish_saving()

    def _step(self, step: int) -> dict[str, float | None]:
        """One step of Algorithm 2; returns its metrics on every rank."""
        self.phases.begin_step()
        strata = self.session.strata_watch.begin(step)
        collected = self._collect(step, strata)  # generate, judge and score, all at once; limits on what is unknown
        prepared = self._prepare(step, strata, collected)  # log-probs, and each token's coefficient from the optimisers
        learned = self._learn(step, prepared)  # backward, optimiser step
        gap = self._push_weights()
        return self._record(step, collected, prepared, learned, gap)

    def _collect(self, step: int, strata: Mapping[str, Stratum]) -> CollectedStep:
        with distributed.together():
            return collect_step(self.session, step, strata, self.phases, self._check_stop_alone)

    def _prepare(
        self, step: int, strata: Mapping[str, Stratum], collected: CollectedStep
    ) -> dict[str, PreparedStratum]:
        s, prepared = self.session, {}
        with self.phases.phase("log-probs"):
            for name, stratum in strata.items():
                judged = collected.judged[name]
                with distributed.together():
                    baselines = baseline_samples(stratum, judged, s.parts.baselines, s.parts.context_length)
                value_output = s.value_outputs.get(name)
                prepared[name] = prepare(stratum, judged, s.policy, s.parts.reference, baselines, value_output)
        check_rollout_gaps(prepared, stratum_limits(strata, s.engine_probe.limits), step)
        self._check_stop_alone()
        return prepared

    def _learn(self, step: int, prepared: Mapping[str, PreparedStratum]) -> LearnedStep:
        s = self.session
        with self.phases.phase("learning"):
            rate = learning_rate_at(self.settings.train, step)
            gaps = GradientPassGaps(prepared, stratum_limits(s.strata, s.engine_probe.limits), step)
            progress = self.phases.progress("learning")
            learned = learn(s.policy, s.strata, prepared, rate, progress, gaps, self._finish_saving)
        with distributed.together():
            for name, p in prepared.items():
                s.strata[name].optimizer.update(p.batch, RANKS)
                for note in p.surrogate.notes:
                    s.strata_watch.note(step, name, note)
        return learned

    def _push_weights(self) -> Gap:
        """Brings the engine up to the policy's weights, and measures that they arrived."""
        engine = self.session.parts.engine
        with self.phases.phase("sync"):
            engine.wake()
            engine.sync(self.session.policy.weights())
            return self._check_engine()

    def _record(
        self,
        step: int,
        collected: CollectedStep,
        prepared: Mapping[str, PreparedStratum],
        learned: LearnedStep,
        gap: Gap,
    ) -> dict[str, float | None]:
        s = self.session
        with distributed.together():
            rows = gather_rows(prepared, collected.independent)
            s.records.write_rollouts(step + 1, rows)
            metrics = s.records.step_metrics(rows) | notes_metrics(collected.notes)
            metrics |= learning_metrics(prepared, learned)
            metrics |= s.strata_watch.end(step, rows, metrics)
            with self.phases.phase("watching"):
                metrics |= s.overoptimisation.end(step + 1, rows)
        if self.settings.model.dtype == "float16":
            metrics["train/overflow"] = float(learned.overflows)
        metrics["sync/logprob_gap"], metrics["sync/logprob_gap_largest"] = gap.mean, gap.max
        return metrics | self.phases.take_times()

    def _baselines_wanted(self, first: int) -> list[GenerationRequest]:
        """Requests for the baseline responses that the rest of the run will use and that are not there yet."""
        parts = self.session.parts
        prompts = {}
        for name, stratum in parts.strata.items():
            prompts[name] = stratum.upcoming(first, self.settings.train.steps)
            if self.evaluations.wanted:
                prompts[name] += [prompt for prompt, _ in stratum.heldout.values()]
        return baseline_requests(parts, prompts)

    def _make_baselines(self, requests: Sequence[GenerationRequest]) -> None:
        """Baseline responses, while the engine can hold π_ref."""
        if not requests:
            return
        progress = self.phases.progress("baseline responses")
        with self.phases.phase("baseline responses"):
            make_baselines(self.session.parts, requests, progress, self._check_stop_alone)

    def _check_engine(self) -> Gap:
        s = self.session
        when = "after the weights were pushed to the rollout engine"
        return s.engine_probe.check(s.parts.engine, s.policy, when)

    def _after_step(self, done: int) -> None:
        """What happens between steps: checkpoint, evaluation, stopping."""
        with distributed.together():
            self.session.strata_watch.check()
        save_every = self.settings.train.save_every
        last = done == self.settings.train.steps
        if last or (save_every and done % save_every == 0):
            with self.phases.phase("checkpoint"):
                self.session.begin_saving(done, self.session.positions())
        self.evaluations.evaluate_if_due(done)
        if distributed.any_rank(self.stop.requested) and not last:
            raise Interrupted("stopped by a signal")

    def _finish_saving(self) -> None:
        """Puts the checkpoint in place that was begun, if one was: the weights may change from here on."""
        if self.session.checkpoints.pending is not None:
            with self.phases.phase("checkpoint"):
                self.session.finish_saving()

    @contextmanager
    def _saved_if_broken_off(self, done: int) -> Iterator[None]:
        """Saves the state after `done` steps when what follows stops before it has changed the policy.

        A checkpoint that is being written is finished whatever the error, if all ranks end by it.
        """
        positions = self.session.positions()
        try:
            yield
        except (Interrupted, LimitError):
            if done:
                self.session.save(done, positions)
            raise
        except Exception as error:
            if isinstance(error, CgpoError) or distributed.is_known_to_all(error):
                self.session.finish_saving()
            raise

    def _check_stop_alone(self) -> None:
        """Breaks off within a step, but only where no other rank would be left waiting."""
        if distributed.world_size() == 1:
            self.stop.check()
