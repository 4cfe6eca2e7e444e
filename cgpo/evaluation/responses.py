"""Responses to held-out prompts, judged, rewarded and measured by probes, as recorded rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from cgpo import distributed
from cgpo.config import RunSettings
from cgpo.errors import LimitError
from cgpo.policy.layout import TokenSequence
from cgpo.responses.collection import (
    Judging,
    ask_judges,
    generate_and_judge,
    judged_rollouts,
    open_scoring,
    wait_for_verdicts,
)
from cgpo.responses.parts import ResponseParts
from cgpo.responses.probes import PREFERENCE, Probes
from cgpo.responses.stratum import EVALUATION_STEP, Stratum, share_of_rank
from cgpo.tracking.rollouts import RolloutRow
from cgpo.types import GenerationRequest, JudgedRollout, Progress, ResponseKey, Rollout
from judges import Outcome, Verdict


def heldout_requests(settings: RunSettings, strata: Mapping[str, Stratum]) -> list[GenerationRequest]:
    """What an evaluation asks for, over all ranks; seeds depend on prompt and index alone, so evaluations pair."""
    evaluation = settings.eval
    return [
        stratum.request(prompt, EVALUATION_STEP, index, settings.seed, evaluation.temperature)
        for stratum in strata.values()
        for prompt, _ in stratum.heldout.values()
        for index in range(evaluation.responses_per_prompt)
    ]


def respond(
    parts: ResponseParts,
    probes: Probes,
    requests: Sequence[GenerationRequest],
    reference: Mapping[ResponseKey, RolloutRow],
    progress: Progress,
    check_stop: Callable[[], None],
    *,
    kl: bool = True,
) -> list[RolloutRow]:
    """Generates and measures; the rows of every rank, on every rank, in the order of the requests.

    Args:
        parts: an engine that holds the model to evaluate, judges and rewards.
        probes: what measures the responses without constraining them.
        requests: over all ranks.
        reference: π_ref's responses, to compare with; empty when it is π_ref that responds.
        progress: told how many responses of this rank are finished; what comes after the last one is told to the
            display under its own name.
        check_stop: may raise to break off.
        kl: compute log ratios; impossible where the reference reads prompts in other tokens.

    Raises:
        LimitError: the preference judge left too many comparisons unknown.
    """
    share = share_of_rank(requests, distributed.rank(), distributed.world_size())
    strata, engine = parts.strata, parts.engine  # started here: vLLM's ranks meet while it starts
    with distributed.together():
        with open_scoring(share, strata, parts.rewards, parts.settings) as scoring:
            submit = scoring.beside(ask_judges(strata))
            judging = generate_and_judge(engine, submit, share, progress, check_stop)
            probing, comparing = _submit_probes(probes, strata, [rollout for rollout, _ in judging], reference)
            scores = scoring.finish(check_stop, _phase(parts, "scoring held-out responses"))
        verdicts = [*judging, *probing.values(), *comparing.values()]
        wait_for_verdicts(verdicts, _phase(parts, "judging held-out responses"), check_stop)
        judged = judged_rollouts(judging, strata, scores, parts.baselines)
    with_ratios: list[tuple[JudgedRollout, float | None]] = []
    for name, stratum in strata.items():
        before = len(with_ratios)

        def so_far(done: int, _: int, before: int = before) -> None:
            parts.display.phase("KL to the reference", before + done, len(share))

        ratios = _log_ratios(parts, stratum, judged[name], reference, kl, so_far)
        with_ratios += zip(judged[name], ratios, strict=True)
    with distributed.together():
        rows = [
            replace(
                RolloutRow.of(j, log_ratio=ratio),
                probes=_verdicts(probing, j),
                preference=_verdicts(comparing, j).get(PREFERENCE),
            )
            for j, ratio in with_ratios
        ]
        gathered = {row.key: row for part in distributed.gather_objects(rows) for row in part}
    check_comparisons(list(gathered.values()), parts.settings.eval.max_unknown_rate)
    return [gathered[request.key] for request in requests]


def _phase(parts: ResponseParts, name: str) -> Progress:
    return lambda done, total: parts.display.phase(name, done, total)


def _submit_probes(
    probes: Probes,
    strata: Mapping[str, Stratum],
    rollouts: Sequence[Rollout],
    reference: Mapping[ResponseKey, RolloutRow],
) -> tuple[dict[ResponseKey, Judging], dict[ResponseKey, Judging]]:
    """Responses given to the probes, and those compared with the reference's response to the same prompt."""
    probing = {r.request.key: (r, probes.submit(strata[r.request.stratum], r)) for r in rollouts}
    comparing = {
        r.request.key: (r, probes.submit_comparison(strata[r.request.stratum], r, reference[r.request.key].response))
        for r in rollouts
        if probes.compares and r.request.key in reference
    }
    return probing, comparing


def _verdicts(judging: Mapping[ResponseKey, Judging], judged: JudgedRollout) -> Mapping[str, Verdict]:
    """What was said of a response; nothing where it was not given to them."""
    _, judgement = judging.get(judged.rollout.request.key, (None, None))
    return {} if judgement is None else judgement.result().verdicts


def check_comparisons(rows: Sequence[RolloutRow], limit: float) -> None:
    """Stops an evaluation whose preference judge does not answer.

    Raises:
        LimitError: the share of unknown comparisons is above the limit.
    """
    comparisons = [row.preference for row in rows if row.preference is not None]
    unknown = [verdict for verdict in comparisons if verdict.outcome is Outcome.UNKNOWN]
    if len(unknown) > limit * len(comparisons):
        raise LimitError(
            f"evaluation: the preference judge gave no answer to {len(unknown)} of {len(comparisons)} comparisons; "
            f"the limit eval.max_unknown_rate is {limit:g}. The first reason: {unknown[0].reason}. Nothing was "
            "recorded: mend the judge (eval.preference) and start the same command again"
        )


def _log_ratios(
    parts: ResponseParts,
    stratum: Stratum,
    judged: Sequence[JudgedRollout],
    reference_rows: Mapping[ResponseKey, RolloutRow],
    kl: bool,
    progress: Progress,
) -> list[float | None]:
    """log π_w(a|s) − log π_ref(a|s) of sampled responses; greedy ones are no sample of π_w and have none.

    Those of π_ref itself have none either: it would take a pass to find that they are 0.
    """
    temperature = parts.settings.eval.temperature
    if temperature == 0 or not reference_rows or not kl:
        return [None] * len(judged)
    sequences = [TokenSequence(j.rollout.request.prompt_ids, j.rollout.response_ids) for j in judged]
    progress(0, len(sequences))
    temperature = temperature or stratum.settings.sampling.temperature
    reference = parts.reference.token_logprobs(sequences, temperature, progress)
    return [sum(j.rollout.logprobs) - float(r.double().sum()) for j, r in zip(judged, reference, strict=True)]
