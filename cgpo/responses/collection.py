"""From requests to judged and rewarded responses.

A response goes to its judges the moment it is finished, while others are still being generated; worker processes and
an event loop judge it. Rewards that other machines or a GPU compute take it in chunks beside the generation, those on
the CPU when the last one is finished (`cgpo.rewards.scoring`). Only then are the last verdicts waited for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, wait

from cgpo.config import RunSettings
from cgpo.responses.stratum import Stratum
from cgpo.rewards.baseline import BaselineStore
from cgpo.rewards.model import Reward
from cgpo.rewards.scoring import Scoring, StoredScores
from cgpo.rollout.engine import RolloutEngine
from cgpo.types import GenerationRequest, JudgedRollout, Progress, ResponseKey, Rollout
from judges import Judgement

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
    stored: StoredScores | None = None,
) -> Scoring:
    """What scores the responses to `requests` with the rewards of their strata; to be used as a context manager."""
    wanted = {name: stratum.scored for name, stratum in strata.items()}
    return Scoring(requests, wanted, rewards, settings.rewards, stored)


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
    return {
        name: [
            stratum.judged(
                rollout,
                judgement.result(),
                {reward: column[i] for reward, column in scores[name].items()},
                dict(baselines.get(name, rollout.request.prompt.id).rewards),
            )
            for i, (rollout, judgement) in enumerate(of_stratum(judging, name))
        ]
        for name, stratum in strata.items()
    }


def of_stratum(judging: Sequence[Judging], stratum: str) -> list[Judging]:
    """The responses of one stratum, order kept."""
    return [(rollout, judgement) for rollout, judgement in judging if rollout.request.stratum == stratum]
