"""Evaluation on held-out prompts: generate, judge, reward, and compare with the reference.

One response per held-out prompt, with the same seeds at every evaluation of a run, so that evaluations pair prompt by
prompt. KL(π_w ‖ π_ref) is estimated as the mean of log_ratio over responses sampled from π_w; greedy responses are no
such sample and give no estimate. The policy's log-probs are the engine's: the gap between them was measured before.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from cgpo import distributed
from cgpo.collection import (
    Progress,
    ask_judges,
    generate_and_judge,
    judged_rollouts,
    score_responses,
    wait_for_verdicts,
)
from cgpo.policy.layout import TokenSequence
from cgpo.session import Session
from cgpo.stratum import EVALUATION_STEP, Stratum, share_of_rank
from cgpo.tracking.rollouts import RolloutRow
from cgpo.types import GenerationRequest, JudgedRollout


def evaluate(session: Session, step: int, progress: Progress, check_stop: Callable[[], None]) -> None:
    """Evaluates every stratum that has held-out prompts and records the result; every rank must call it."""
    mine = [
        request
        for stratum in session.strata.values()
        for request in share_of_rank(_requests(session, stratum), distributed.rank(), distributed.world_size())
    ]
    judging = generate_and_judge(session.engine, ask_judges(session.strata), mine, progress, check_stop)
    scores = score_responses(judging, session.strata, session.rewards)
    wait_for_verdicts(judging, progress, check_stop)
    found = judged_rollouts(judging, session.strata, scores, session.baselines)
    rows: list[RolloutRow] = []
    for name, stratum in session.strata.items():
        ratios = _log_ratios(session, stratum, found[name], step)
        rows += [RolloutRow.of(j, log_ratio=r) for j, r in zip(found[name], ratios, strict=True)]
    rows = [row for part in distributed.gather_objects(rows) for row in part]
    if session.writes:
        session.evaluations.add(step, rows, session.settings.eval.confidence)
    distributed.barrier()
    session.evaluations.reload()


def _requests(session: Session, stratum: Stratum) -> list[GenerationRequest]:
    seed, temperature = session.settings.seed, session.settings.eval.temperature
    return [stratum.request(p, EVALUATION_STEP, 0, seed, temperature) for p, _ in stratum.heldout.values()]


def _log_ratios(session: Session, stratum: Stratum, judged: Sequence[JudgedRollout], step: int) -> list[float | None]:
    temperature = session.settings.eval.temperature
    if temperature == 0:
        return [None] * len(judged)
    if step == 0 and session.settings.model.reference is None:
        return [0.0] * len(judged)  # before the first step the policy is the reference
    sequences = [TokenSequence(j.rollout.request.prompt_ids, j.rollout.response_ids) for j in judged]
    reference = session.reference.token_logprobs(sequences, temperature or stratum.settings.sampling.temperature)
    return [sum(j.rollout.logprobs) - float(r.double().sum()) for j, r in zip(judged, reference, strict=True)]
