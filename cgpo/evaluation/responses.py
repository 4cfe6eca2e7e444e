"""Responses to held-out prompts, judged, rewarded and measured by probes, as recorded rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from cgpo import distributed
from cgpo.config import RunSettings
from cgpo.errors import LimitError
from cgpo.evaluation.file import EvaluationFile
from cgpo.policy.layout import TokenSequence
from cgpo.policy.policy import ScoringModel
from cgpo.responses.collection import (
    Progress,
    ask_judges,
    generate_and_judge,
    judged_rollouts,
    open_scoring,
    wait_for_verdicts,
)
from cgpo.responses.probes import PREFERENCE, Probes
from cgpo.responses.stratum import EVALUATION_STEP, Stratum, share_of_rank
from cgpo.rewards.baseline import BaselineStore
from cgpo.rewards.model import Reward
from cgpo.rollout.engine import RolloutEngine
from cgpo.tracking.rollouts import RolloutRow
from cgpo.types import GenerationRequest, JudgedRollout, ResponseKey
from judges import Outcome


class Evaluated(Protocol):
    """What an evaluation needs of a run: a training's `Session`, or the lighter one of `cgpo evaluate`."""

    @property
    def settings(self) -> RunSettings: ...
    @property
    def run_dir(self) -> Path: ...
    @property
    def strata(self) -> Mapping[str, Stratum]: ...
    @property
    def engine(self) -> RolloutEngine: ...
    @property
    def rewards(self) -> Mapping[str, Reward]: ...
    @property
    def baselines(self) -> BaselineStore: ...
    @property
    def reference(self) -> ScoringModel | None: ...
    @property
    def evaluations(self) -> EvaluationFile: ...
    @property
    def probes(self) -> Probes: ...
    @property
    def writes(self) -> bool: ...
    def engine_holds_reference(self) -> None: ...
    def engine_holds_policy(self) -> None: ...


def heldout_requests(settings: RunSettings, strata: Mapping[str, Stratum]) -> list[GenerationRequest]:
    """What an evaluation asks for, over all ranks; seeds depend on prompt and index alone, so evaluations pair."""
    asked = settings.eval
    return [
        stratum.request(prompt, EVALUATION_STEP, index, settings.seed, asked.temperature)
        for stratum in strata.values()
        for prompt, _ in stratum.heldout.values()
        for index in range(asked.responses_per_prompt)
    ]


def respond(
    parts: Evaluated,
    requests: Sequence[GenerationRequest],
    reference: Mapping[ResponseKey, RolloutRow],
    progress: Progress,
    check_stop: Callable[[], None],
) -> list[RolloutRow]:
    """Generates and measures; the rows of every rank, on every rank, in the order of the requests.

    Args:
        parts: an engine that holds the model to evaluate, judges and rewards.
        requests: over all ranks.
        reference: π_ref's responses, to compare with; empty when it is π_ref that responds.
        progress: told how many responses of this rank are finished.
        check_stop: may raise to break off.

    Raises:
        LimitError: the preference judge left too many comparisons unknown.
    """
    mine = share_of_rank(requests, distributed.rank(), distributed.world_size())
    strata = parts.strata
    with open_scoring(mine, strata, parts.rewards, parts.settings) as scoring:
        submit = scoring.beside(ask_judges(strata))
        judging = generate_and_judge(parts.engine, submit, mine, progress, check_stop)
        rollouts = [rollout for rollout, _ in judging]
        probing = [(r, parts.probes.submit(strata[r.request.stratum], r)) for r in rollouts]
        compared = [r for r in rollouts if parts.probes.compares and r.request.key in reference]
        comparing = [
            (
                r,
                parts.probes.submit_comparison(strata[r.request.stratum], r, reference[r.request.key].response),
            )
            for r in compared
        ]
        scores = scoring.finish(check_stop)
    wait_for_verdicts([*judging, *probing, *comparing], progress, check_stop)
    probed = {r.request.key: verdicts.result().verdicts for r, verdicts in probing}
    preferred = {r.request.key: verdicts.result().verdicts[PREFERENCE] for r, verdicts in comparing}
    found = judged_rollouts(judging, strata, scores, parts.baselines)
    rows = {
        j.rollout.request.key: replace(
            RolloutRow.of(j, log_ratio=ratio),
            probes=probed[j.rollout.request.key],
            preference=preferred.get(j.rollout.request.key),
        )
        for name, stratum in strata.items()
        for j, ratio in zip(found[name], _log_ratios(parts, stratum, found[name], reference), strict=True)
    }
    gathered = {row.key: row for part in distributed.gather_objects(list(rows.values())) for row in part}
    check_comparisons(list(gathered.values()), parts.settings.eval.max_unknown_rate)
    return [gathered[request.key] for request in requests]


def check_comparisons(rows: Sequence[RolloutRow], limit: float) -> None:
    """Stops an evaluation whose preference judge does not answer.

    Raises:
        LimitError: the share of unknown comparisons is above the limit.
    """
    said = [row.preference for row in rows if row.preference is not None]
    unknown = [verdict for verdict in said if verdict.outcome is Outcome.UNKNOWN]
    if len(unknown) > limit * len(said):
        raise LimitError(
            f"evaluation: the preference judge gave no answer to {len(unknown)} of {len(said)} comparisons; the limit "
            f"eval.max_unknown_rate is {limit:g}. The first reason: {unknown[0].reason}. Nothing was recorded: mend "
            "the judge (eval.preference) and start the same command again"
        )


def _log_ratios(
    parts: Evaluated,
    stratum: Stratum,
    judged: Sequence[JudgedRollout],
    reference_rows: Mapping[ResponseKey, RolloutRow],
) -> list[float | None]:
    """log π_w(a|s) − log π_ref(a|s) of sampled responses; greedy ones are no sample of π_w and have none.

    Those of π_ref itself have none either: it would take a pass to find that they are 0.
    """
    temperature = parts.settings.eval.temperature
    if temperature == 0 or not reference_rows or parts.reference is None:
        return [None] * len(judged)
    sequences = [TokenSequence(j.rollout.request.prompt_ids, j.rollout.response_ids) for j in judged]
    reference = parts.reference.token_logprobs(sequences, temperature or stratum.settings.sampling.temperature)
    return [sum(j.rollout.logprobs) - float(r.double().sum()) for j, r in zip(judged, reference, strict=True)]
