"""From requests to judged and rewarded responses.

A response goes to its judges the moment it is finished, while others are still being generated; worker processes and
an event loop judge it. When the last one is finished its siblings mostly have their verdicts already. Rewards follow in
batches, and only then are the last verdicts waited for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, wait
from operator import itemgetter

from cgpo import distributed
from cgpo.rewards.baseline import BaselineStore
from cgpo.rewards.model import Reward, score_all
from cgpo.rollout.engine import RolloutEngine
from cgpo.stratum import Stratum
from cgpo.types import GenerationRequest, JudgedRollout, Rollout
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
    pending: dict[tuple[str, str, int], Judging] = {}
    for rollout in engine.generate(requests):
        request = rollout.request
        pending[request.stratum, request.prompt.id, request.index] = (rollout, submit(rollout))
        progress(len(pending), len(requests))
        check_stop()
    return [pending[r.stratum, r.prompt.id, r.index] for r in requests]


def ask_judges(strata: Mapping[str, Stratum]) -> Callable[[Rollout], Future[Judgement]]:
    """Gives responses to the judges of their strata, without the journal that a training step keeps."""
    return lambda rollout: strata[rollout.request.stratum].submit(rollout)


def score_responses(
    judging: Sequence[Judging], strata: Mapping[str, Stratum], rewards: Mapping[str, Reward]
) -> dict[str, Scores]:
    """Scores the responses of every stratum with its rewards, while judges may still be at work."""
    found: dict[str, Scores] = {}
    for name, stratum in strata.items():
        mine = [rollout for rollout, _ in judging if rollout.request.stratum == name]
        used = {key: rewards[key] for key in stratum.settings.rewards}
        found[name] = score_all(used, [r.request.prompt for r in mine], [r.response for r in mine])
    return found


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
    progress: Progress,
    check_stop: Callable[[], None],
) -> None:
    """Gives every requested prompt its baseline response ā and r(s, ā), once, and keeps them; every rank calls it.

    A prompt with a golden response in the data set uses that one; the others get one response of the engine, which
    must hold the reference's weights. Each rank generates its own requests; all ranks keep all baselines.
    """
    texts = [(r, r.prompt.baseline) for r in requests if r.prompt.baseline is not None]
    for rollout in engine.generate([r for r in requests if r.prompt.baseline is None]):
        texts.append((rollout.request, rollout.response))
        progress(len(texts), len(requests))
        check_stop()
    for name, stratum in strata.items():
        mine = sorted(((r.prompt.id, r.prompt, text) for r, text in texts if r.stratum == name), key=itemgetter(0))
        prompts, responses = [p for _, p, _ in mine], [text for *_, text in mine]
        scores = score_all({key: rewards[key] for key in stratum.settings.rewards}, prompts, responses)
        for part in distributed.gather_objects((prompts, responses, scores)):
            baselines.add(name, *part)
