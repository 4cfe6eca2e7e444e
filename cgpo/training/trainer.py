"""The training loop: CGPO's Algorithm 2 on one or two screens.

    every step:  for each stratum l:  sample B_l prompts → K_l responses each from the current policy → judge → reward
                 for each stratum l:  g_l from its optimiser
                 w ← w + α Σ_l ρ_l g_l                                      one optimiser step
                 push the new weights to the rollout engine, and check that they arrived

One program, the same on every rank. `cgpo.training.session` builds the parts; this module moves the data through them.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial

from cgpo import distributed
from cgpo.data.tokenize import encode_response
from cgpo.errors import LimitError
from cgpo.evaluation.heldout import Evaluator
from cgpo.interrupt import Interrupted, StopSignal
from cgpo.policy.schedule import learning_rate
from cgpo.responses.collection import (
    Progress,
    add_baselines,
    baseline_samples,
    generate_and_judge,
    judged_rollouts,
    open_scoring,
    wait_for_verdicts,
)
from cgpo.responses.limits import check_limits
from cgpo.responses.stratum import BASELINE_STEP, Stratum, share_of_rank
from cgpo.rewards.notes import ScoringNotes, missing_text, notes_metrics, total_notes
from cgpo.rollout.parity import Gap
from cgpo.training.learning import learn
from cgpo.training.plan import batch_text
from cgpo.training.preparation import RANKS, Prepared, prepare
from cgpo.training.session import Session
from cgpo.training.step_record import gather_rows, learning_metrics
from cgpo.types import GenerationRequest, JudgedRollout

BASELINES_AT_ONCE = 256
"""Baseline responses generated and written at once, over all ranks."""


class Trainer:
    """Trains a policy.

    Args:
        session: the parts of the run.
        stop: says when a signal asked to stop.
    """

    def __init__(self, session: Session, stop: StopSignal) -> None:
        self.session = session
        self.stop = stop
        self.settings = session.settings
        self.evaluator = Evaluator(session)
        self._seconds: defaultdict[str, float] = defaultdict(float)

    def run(self) -> None:
        """Trains until `train.steps` steps are done.

        Raises:
            Interrupted: a signal came; a checkpoint of the last whole step is on disk.
            RunError: a limit was passed (unknown verdicts, missing rewards, log-prob gap) or the disk is full.
        """
        s = self.session
        first = s.restore()
        s.rewind_records(first)
        s.display.start(self.settings.train.steps, list(s.strata), first)
        s.display.message(batch_text(self.settings, distributed.world_size()))
        self._make_baselines(first)
        self._prepare_evaluations()
        if first:
            s.engine.sync(s.policy.weights())
        self._check_engine()
        self._evaluate_if_due(first)
        for step in range(first, self.settings.train.steps):
            with self._saved_if_broken_off(step):
                metrics = self._step(step)
            s.record(step + 1, metrics)
            with self._saved_if_broken_off(step + 1):
                self._after_step(step + 1)

    def _step(self, step: int) -> dict[str, float | None]:
        """One step of Algorithm 2; returns its metrics on every rank."""
        s = self.session
        started = time.monotonic()
        active = s.watch.begin(step)
        requests = [r for stratum in active.values() for r in stratum.sample_requests(step, self.settings.seed)]
        judged, notes = self._collect(step, active, share_of_rank_by_stratum(requests))
        s.engine.sleep()
        asked = s.independent_judges.submit(step, active, judged)
        with self._phase("log-probs"):
            prepared = {name: self._prepare(stratum, judged[name]) for name, stratum in active.items()}
        self._check_stop_alone()
        with self._phase("learning"):
            rate = self._learning_rate(step)
            result = learn(s.policy, s.strata, prepared, rate, self._progress("learning"))
        for name, p in prepared.items():
            s.strata[name].optimizer.update(p.batch, RANKS)
            for note in p.surrogate.notes:
                s.watch.note(step, name, note)
        gap = self._push_weights()
        rows = gather_rows(prepared, asked)
        s.write_rollouts(step + 1, rows)
        metrics = s.step_metrics(rows) | notes_metrics(notes) | learning_metrics(prepared, result, rate)
        metrics |= s.watch.end(step, rows, metrics)
        with self._phase("watching"):
            metrics |= s.overoptimisation.end(step + 1, rows)
        if self.settings.model.dtype == "float16":
            metrics["train/overflow"] = float(result.overflows)
        metrics["sync/logprob_gap"], metrics["sync/logprob_gap_largest"] = gap.mean, gap.max
        metrics |= {f"time/{phase}": seconds for phase, seconds in self._seconds.items()}
        metrics["time/step"] = time.monotonic() - started
        self._seconds.clear()  # phases between steps (evaluation, checkpoint) count towards the next one's metrics
        return metrics

    def _prepare(self, stratum: Stratum, judged: Sequence[JudgedRollout]) -> Prepared:
        """A stratum's samples, with what else its optimiser wants from the step."""
        s = self.session
        baselines = baseline_samples(stratum, judged, s.baselines, s.context_length)
        return prepare(stratum, judged, s.policy, s.reference, baselines, s.value_outputs.get(stratum.name))

    def _collect(
        self, step: int, strata: Mapping[str, Stratum], requests: Sequence[GenerationRequest]
    ) -> tuple[Mapping[str, list[JudgedRollout]], Mapping[str, ScoringNotes]]:
        """Responses of this rank with verdicts and rewards, within the limits on what may be unknown.

        With them, what the rewards of all ranks had to say.
        """
        s = self.session
        with open_scoring(requests, strata, s.rewards, self.settings, s.journal.scores_of(step)) as scoring:
            with self._phase("rollout"):
                submit = scoring.beside(partial(s.journal.submit, step, strata))
                progress = self._progress("rollout")
                judging = generate_and_judge(s.engine, submit, requests, progress, self._check_stop_alone)
            with self._phase("rewards"):  # what generating did not hide
                scores = scoring.finish(self._check_stop_alone)
        with self._phase("judging"):  # what generating and scoring did not hide
            wait_for_verdicts(judging, self._progress("judging"), self._check_stop_alone)
        s.journal.flush()
        found = judged_rollouts(judging, strata, scores, s.baselines)
        notes = self._noted(scoring.notes(), f"step {step + 1}")
        try:
            check_limits(found, self.settings, f"step {step + 1}", notes)
        except LimitError:
            s.journal.discard(step)  # kept, what is unknown would stop the run again at once
            s.baselines.discard_unknown()
            raise
        return found, notes

    def _noted(self, notes: Mapping[str, ScoringNotes], when: str) -> dict[str, ScoringNotes]:
        """The notes of all ranks together; scores that are missing are said in the display. Every rank calls it."""
        found = total_notes(distributed.gather_objects(dict(notes)))
        for text in missing_text(found):
            self.session.display.message(f"{when}: {text}")
        return found

    def _push_weights(self) -> Gap:
        """Brings the engine up to the policy's weights, and measures that they arrived."""
        s = self.session
        with self._phase("sync"):
            s.engine.wake()
            s.engine.sync(s.policy.weights())
            return self._check_engine()

    def _check_engine(self) -> Gap:
        s = self.session
        return s.engine_probe.check(s.engine, s.policy, "after the weights were pushed to the rollout engine")

    def _make_baselines(self, first: int) -> None:
        """Baseline responses for every prompt the rest of the run will use, while the engine holds π_ref."""
        s = self.session
        wanted = []
        for name, stratum in s.strata.items():
            prompts = stratum.upcoming(first, self.settings.train.steps)
            if self.settings.eval.every or self.settings.eval.before or self.settings.eval.after:
                prompts += [prompt for prompt, _ in stratum.heldout.values()]
            judged = stratum.learns_from_baselines
            missing = s.baselines.missing(name, prompts, stratum.scored, judged=judged)
            wanted += [stratum.request(prompt, BASELINE_STEP, 0, self.settings.seed) for prompt in missing]
        if not wanted:
            return
        with self._phase("baseline responses"):
            s.engine_holds_reference()
            for start in range(0, len(wanted), BASELINES_AT_ONCE):  # a kill loses one part at most
                part = wanted[start : start + BASELINES_AT_ONCE]
                mine = share_of_rank(part, distributed.rank(), distributed.world_size())
                progress = self._progress("baseline responses", start, len(wanted))
                encode = partial(encode_response, s.tokenizer)
                notes = add_baselines(
                    s.engine,
                    s.strata,
                    s.rewards,
                    s.baselines,
                    mine,
                    self.settings,
                    encode,
                    progress,
                    self._check_stop_alone,
                )
                self._noted(notes, "baseline responses")
        s.engine_holds_policy()

    def _after_step(self, done: int) -> None:
        """What happens between steps: checkpoint, evaluation, stopping."""
        self.session.watch.check()
        save_every = self.settings.train.save_every
        last = done == self.settings.train.steps
        if last or (save_every and done % save_every == 0):
            with self._phase("checkpoint"):
                self.session.save(done, self.session.positions())
        self._evaluate_if_due(done)
        if distributed.any_rank(self.stop.requested) and not last:
            raise Interrupted("stopped by a signal")

    @contextmanager
    def _saved_if_broken_off(self, done: int) -> Iterator[None]:
        """Saves the state after `done` steps when what follows stops before it has changed the policy."""
        positions = self.session.positions()
        try:
            yield
        except (Interrupted, LimitError):
            if done:
                self.session.save(done, positions)
            raise

    def _evaluate_if_due(self, done: int) -> None:
        """Evaluates before the first step, after the last, or in between, as the settings ask, but never twice."""
        asked, last = self.settings.eval, self.settings.train.steps
        due = (asked.before and done == 0) or (asked.after and done == last)
        due = due or bool(asked.every and done and done % asked.every == 0)
        if due and not self.session.evaluations.done(done):
            self._evaluate(done)
        self.session.keep_best(done)

    def _prepare_evaluations(self) -> None:
        """The reference's responses to held-out prompts, while the engine can hold its weights."""
        asked = self.settings.eval
        if asked.every or asked.before or asked.after:
            with self._phase("reference responses"):
                self.evaluator.prepare(self._progress("reference responses"), self._check_stop_alone)

    def _evaluate(self, step: int) -> None:
        with self._phase("evaluation"):
            rows = self.evaluator.rows(step, self._progress("evaluation"), self._check_stop_alone)
            line = self.evaluator.record(step, rows)
        self.session.show_evaluation(line)
        lines = self.session.evaluations.read()
        self.session.overoptimisation.evaluated(step, lines, self.settings.eval.confidence)

    def _check_stop_alone(self) -> None:
        """Breaks off within a step, but only where no other rank would be left waiting."""
        if distributed.world_size() == 1:
            self.stop.check()

    def _learning_rate(self, step: int) -> float:
        train = self.settings.train
        return learning_rate(
            step,
            peak=train.learning_rate,
            steps=train.steps,
            warmup_steps=train.warmup_steps,
            schedule=train.schedule,
            final_ratio=train.final_learning_rate_ratio,
        )

    def _progress(self, phase: str, before: int = 0, of: int | None = None) -> Progress:
        """Tells the display how far a phase is, `before` of all `of` having been done in earlier parts."""
        return lambda done, total: self.session.display.phase(phase, before + done, of or total)

    @contextmanager
    def _phase(self, name: str) -> Iterator[None]:
        self.session.display.phase(name)
        started = time.monotonic()
        try:
            yield
        finally:
            self._seconds[name.replace(" ", "_").replace("-", "")] += time.monotonic() - started


def share_of_rank_by_stratum(requests: Sequence[GenerationRequest]) -> list[GenerationRequest]:
    """This rank's requests: its share of every stratum's prompts."""
    rank, size = distributed.rank(), distributed.world_size()
    found: list[GenerationRequest] = []
    for name in dict.fromkeys(r.stratum for r in requests):
        found += share_of_rank([r for r in requests if r.stratum == name], rank, size)
    return found
