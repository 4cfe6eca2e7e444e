"""Baseline responses ā of prompts, with their rewards r(s, ā): made once, while the engine can hold π_ref, and kept.

A prompt with a golden response in the data set uses that one; the others get one response of the reference. Strata
whose optimiser learns from baseline responses have them judged too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from cgpo import distributed
from cgpo.data.turns import TurnEncoder
from cgpo.responses.collection import open_scoring
from cgpo.responses.parts import ResponseParts
from cgpo.responses.stratum import BASELINE_STEP, Stratum, share_of_rank
from cgpo.rewards.baseline import Baseline, BaselineStore
from cgpo.rewards.calibration import finite
from cgpo.rewards.notes import ScoringNotes
from cgpo.types import GenerationRequest, JudgedRollout, Progress, Prompt, Rollout

BASELINES_AT_ONCE = 256
"""Baseline responses generated and written at once, over all ranks: a kill loses no more."""


def baseline_requests(parts: ResponseParts, prompts: Mapping[str, Iterable[Prompt]]) -> list[GenerationRequest]:
    """A request for each prompt that has no complete baseline yet, over all ranks.

    Args:
        parts: of the run.
        prompts: stratum name → prompts that will be used.
    """
    return [
        stratum.request(prompt, BASELINE_STEP, 0, parts.settings.seed)
        for name, stratum in parts.strata.items()
        for prompt in parts.baselines.missing(
            name, prompts.get(name, ()), stratum.scored, judged=stratum.learns_from_baselines
        )
    ]


def make_baselines(
    parts: ResponseParts, requests: Sequence[GenerationRequest], progress: Progress, check_stop: Callable[[], None]
) -> None:
    """Makes the baselines of the requests' prompts and keeps them; every rank must call it.

    Args:
        parts: of the run.
        requests: of all ranks; each rank generates its share, all ranks keep all baselines.
        progress: told how many of the requests are done.
        check_stop: called between responses; may raise to break off.
    """
    if not requests:
        return
    _ = parts.engine  # started here: vLLM's ranks meet while it starts
    with parts.engine_as_reference():
        for start in range(0, len(requests), BASELINES_AT_ONCE):
            chunk = requests[start : start + BASELINES_AT_ONCE]
            share = share_of_rank(chunk, distributed.rank(), distributed.world_size())

            def so_far(done: int, _: int, start: int = start) -> None:
                progress(start + done, len(requests))

            with distributed.together():
                notes = _make_share(parts, share, so_far, check_stop)
                parts.scoring_notes(notes, "baseline responses")


def _make_share(
    parts: ResponseParts, requests: Sequence[GenerationRequest], progress: Progress, check_stop: Callable[[], None]
) -> dict[str, ScoringNotes]:
    """Makes this rank's baselines; every rank keeps those of all. Returns what this rank's rewards noted."""
    ordered = sorted(requests, key=lambda r: (r.stratum, r.prompt.id))
    rollouts: list[Rollout] = []
    with open_scoring(ordered, parts.strata, parts.rewards, parts.settings) as scoring:
        for rollout in _responses(parts, requests):
            scoring.add(rollout)
            rollouts.append(rollout)
            progress(len(rollouts), len(requests))
            check_stop()
        shown = parts.display.phase
        scores = scoring.finish(check_stop, lambda done, total: shown("scoring baseline responses", done, total))
    for name, stratum in parts.strata.items():
        responses = sorted((r for r in rollouts if r.request.stratum == name), key=lambda r: r.request.prompt.id)
        share = _with_scores_and_verdicts(stratum, responses, scores[name])
        for baselines in distributed.gather_objects(share):
            parts.baselines.add(name, baselines)
    return scoring.notes()


def _with_scores_and_verdicts(
    stratum: Stratum, rollouts: Sequence[Rollout], scores: Mapping[str, Sequence[float | None]]
) -> list[tuple[str, Baseline]]:
    """Prompt ids with their baselines; waits for the verdicts."""
    judging = [stratum.submit(rollout) if stratum.learns_from_baselines else None for rollout in rollouts]
    return [
        (
            rollout.request.prompt.id,
            Baseline(
                rollout.response,
                rollout.response_ids,
                {reward: finite(column[i]) for reward, column in scores.items()},
                rollout.request.prompt.baseline is not None,
                rollout.finish_reason,
                None if judgement is None else judgement.result(),
            ),
        )
        for i, (rollout, judgement) in enumerate(zip(rollouts, judging, strict=True))
    ]


def _responses(parts: ResponseParts, requests: Sequence[GenerationRequest]) -> Iterator[Rollout]:
    """Golden responses first, then the reference's."""
    for request in requests:
        if (golden := request.prompt.baseline) is not None:
            ids = TurnEncoder(parts.tokenizer).response(request.prompt.messages, golden, request.prompt.source)
            yield Rollout(request, golden, ids, (0.0,) * len(ids), "stop")
    yield from parts.engine.generate([r for r in requests if r.prompt.baseline is None])


def baseline_samples(
    stratum: Stratum, judged: Sequence[JudgedRollout], baselines: BaselineStore, context_length: int
) -> list[JudgedRollout]:
    """The baseline responses of the prompts of `judged`, one for each draw, for an optimiser that learns from them.

    A golden response that does not fit into the context with its prompt is left out.
    """
    if not stratum.learns_from_baselines:
        return []
    samples = []
    for request in {stratum.draw(j.rollout.request): j.rollout.request for j in judged}.values():
        baseline = baselines.get(stratum.name, request.prompt.id)
        if baseline.judgement is None or len(request.prompt_ids) + len(baseline.response_ids) > context_length:
            continue
        logprobs = (0.0,) * len(baseline.response_ids)
        rollout = Rollout(request, baseline.response, baseline.response_ids, logprobs, baseline.finish_reason)
        samples.append(stratum.judged(rollout, baseline.judgement, dict(baseline.rewards), dict(baseline.rewards)))
    return samples
