"""From requests to judged and rewarded responses.

A response goes to its judges the moment it is finished, while others are still being generated; worker processes and
an event loop judge it. Rewards that other machines or a GPU compute take it in chunks beside the generation, those on
the CPU when the last one is finished (`cgpo.rewards.scoring`). Only then are the last verdicts waited for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, wait

from cgpo import distributed
from cgpo.config import RunSettings
from cgpo.responses.stratum import Stratum
from cgpo.rewards.baseline import Baseline, BaselineStore
from cgpo.rewards.calibration import finite
from cgpo.rewards.model import Reward
from cgpo.rewards.notes import ScoringNotes
from cgpo.rewards.scoring import Scoring, StoredScores
from cgpo.rollout.engine import RolloutEngine
from cgpo.types import GenerationRequest, JudgedRollout, ResponseKey, Rollout
from judges import Judgement

Progress = Callable[[int, int], None]
"""Called with (done, total)."""

Judging = tuple[Rollout, Future[Judgement]]
"""A finished response, and its verdicts when they are there."""

Scores = Mapping[str, Sequence[float | None]]
"""Reward name → raw scores of a stratum's responses; None where scoring failed."""

_LOOK_SECONDS = 0.5


def generate_and_judge(
    engine: RolloutEngine,
    submit: Callable[[Rollout], Future[Judgement]],
    requests: Sequence[GenerationRequest],
    progress: Progress,
    check_stop: Callable[[], None],
) -> list[Judging]:
    """Generates all requests and gives each response to its judges as soon as it is there; order as requested.

    Args:
        engine: an awake engine with the current weights.
        submit: gives a response to its stratum's judges.
        requests: of any strata, mixed.
        progress: told how many responses are finished.
        check_stop: called between responses; may raise to break off.
    """
    pending: dict[ResponseKey, Judging] = {}
    for rollout in engine.generate(requests):
        pending[rollout.request.key] = (rollout, submit(rollout))
        progress(len(pending), len(requests))
        check_stop()
    return [pending[request.key] for request in requests]


def ask_judges(strata: Mapping[str, Stratum]) -> Callable[[Rollout], Future[Judgement]]:
    """Gives responses to the judges of their strata, without the journal that a training step keeps."""
    return lambda rollout: strata[rollout.request.stratum].submit(rollout)


def open_scoring(
    requests: Sequence[GenerationRequest],
    strata: Mapping[str, Stratum],
    rewards: Mapping[str, Reward],
    settings: RunSettings,
    kept: StoredScores | None = None,
) -> Scoring:
    """What scores the responses to `requests` with the rewards of their strata; to be used as a context manager."""
    wanted = {name: stratum.scored for name, stratum in strata.items()}
    return Scoring(requests, wanted, rewards, settings.rewards, kept)


def score_responses(
    judging: Sequence[Judging], strata: Mapping[str, Stratum], rewards: Mapping[str, Reward]
) -> dict[str, Scores]:
    """Scores responses that are all there; stratum → reward → scores, while judges may still be at work."""
    wanted = {name: stratum.scored for name, stratum in strata.items()}
    with Scoring([rollout.request for rollout, _ in judging], wanted, rewards, {}) as scoring:
        for rollout, _ in judging:
            scoring.add(rollout)
        return dict(scoring.finish(lambda: None))


def wait_for_verdicts(judging: Sequence[Judging], progress: Progress, check_stop: Callable[[], None]) -> None:
    """Returns when every response has its verdicts. They come in bounded time: every judge has a time limit."""
    waiting = {verdicts for _, verdicts in judging if not verdicts.done()}
    while waiting:
        progress(len(judging) - len(waiting), len(judging))
        check_stop()
        _, waiting = wait(waiting, timeout=_LOOK_SECONDS)


def judged_rollouts(
    judging: Sequence[Judging], strata: Mapping[str, Stratum], scores: Mapping[str, Scores], baselines: BaselineStore
) -> dict[str, list[JudgedRollout]]:
    """Verdicts and calibrated rewards together; stratum name → its responses, order kept. Waits for verdicts."""
    found: dict[str, list[JudgedRollout]] = {}
    for name, stratum in strata.items():
        mine = [(rollout, verdicts) for rollout, verdicts in judging if rollout.request.stratum == name]
        found[name] = [
            stratum.judged(
                rollout,
                verdicts.result(),
                {key: values[i] for key, values in scores[name].items()},
                dict(baselines.get(name, rollout.request.prompt.id).rewards),
            )
            for i, (rollout, verdicts) in enumerate(mine)
        ]
    return found


def add_baselines(
    engine: RolloutEngine,
    strata: Mapping[str, Stratum],
    rewards: Mapping[str, Reward],
    baselines: BaselineStore,
    requests: Sequence[GenerationRequest],
    settings: RunSettings,
    encode: Callable[[str], tuple[int, ...]],
    progress: Progress,
    check_stop: Callable[[], None],
) -> dict[str, ScoringNotes]:
    """Gives every requested prompt its baseline response ā and r(s, ā), once, and keeps them; every rank calls it.

    A prompt with a golden response in the data set uses that one, encoded by `encode`; the others get one response of
    the engine, which must hold the reference's weights. Strata whose optimiser learns from baseline responses have them
    judged. Each rank generates its own requests; all ranks keep all baselines.

    Returns:
        What this rank's rewards had to say.
    """
    ordered = sorted(requests, key=lambda r: (r.stratum, r.prompt.id))
    found: list[Rollout] = []
    with open_scoring(ordered, strata, rewards, settings) as scoring:
        for rollout in _baseline_responses(engine, requests, encode):
            scoring.add(rollout)
            found.append(rollout)
            progress(len(found), len(requests))
            check_stop()
        scored = scoring.finish(check_stop)
    for name, stratum in strata.items():
        mine = sorted((r for r in found if r.request.stratum == name), key=lambda r: r.request.prompt.id)
        judging = [stratum.submit(r) if stratum.learns_from_baselines else None for r in mine]
        scores = scored[name]
        made = [
            (
                rollout.request.prompt.id,
                Baseline(
                    rollout.response,
                    rollout.response_ids,
                    {key: finite(column[i]) for key, column in scores.items()},
                    rollout.request.prompt.baseline is not None,
                    rollout.finish_reason,
                    None if verdicts is None else verdicts.result(),
                ),
            )
            for i, (rollout, verdicts) in enumerate(zip(mine, judging, strict=True))
        ]
        for part in distributed.gather_objects(made):
            baselines.add(name, part)
    return scoring.notes()


def _baseline_responses(
    engine: RolloutEngine, requests: Sequence[GenerationRequest], encode: Callable[[str], tuple[int, ...]]
) -> Iterator[Rollout]:
    yield from (_golden(r, r.prompt.baseline, encode) for r in requests if r.prompt.baseline is not None)
    yield from engine.generate([r for r in requests if r.prompt.baseline is None])


def _golden(request: GenerationRequest, text: str, encode: Callable[[str], tuple[int, ...]]) -> Rollout:
    ids = encode(text)
    return Rollout(request, text, ids, (0.0,) * len(ids), "stop")


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
        found = baselines.get(stratum.name, request.prompt.id)
        if found.judgement is None or len(request.prompt_ids) + len(found.response_ids) > context_length:
            continue
        logprobs = (0.0,) * len(found.response_ids)
        rollout = Rollout(request, found.response, found.response_ids, logprobs, found.finish_reason)
        samples.append(stratum.judged(rollout, found.judgement, dict(found.rewards), dict(found.rewards)))
    return samples
