"""From requests to judged and rewarded responses.

A response goes to its judges the moment it is finished, while others are still being generated; worker processes
judge it. When the last one is finished its siblings mostly have their verdicts already. Rewards follow in batches.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
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


def generate_and_judge(
    engine: RolloutEngine,
    strata: Mapping[str, Stratum],
    requests: Sequence[GenerationRequest],
    progress: Progress,
    check_stop: Callable[[], None],
) -> list[tuple[Rollout, Judgement]]:
    """Generates all requests and judges each response as soon as it is there; in the order of the requests.

    Args:
        engine: an awake engine with the current weights.
        strata: by name; each request's response goes to its stratum's judges.
        requests: of any strata, mixed.
        progress: told how many responses are finished.
        check_stop: called between responses; may raise to break off.
    """
    pending: dict[tuple[str, str, int], tuple[Rollout, Future[Judgement]]] = {}
    for rollout in engine.generate(requests):
        request = rollout.request
        judging = strata[request.stratum].submit(rollout)
        pending[request.stratum, request.prompt.id, request.index] = (rollout, judging)
        progress(len(pending), len(requests))
        check_stop()
    in_order = [pending[r.stratum, r.prompt.id, r.index] for r in requests]
    return [(rollout, judging.result()) for rollout, judging in in_order]


def add_rewards(
    judged: Sequence[tuple[Rollout, Judgement]],
    strata: Mapping[str, Stratum],
    rewards: Mapping[str, Reward],
    baselines: BaselineStore,
) -> dict[str, list[JudgedRollout]]:
    """Scores the responses and calibrates against the baselines; stratum name → its responses, order kept."""
    found: dict[str, list[JudgedRollout]] = {}
    for name, stratum in strata.items():
        mine = [(r, j) for r, j in judged if r.request.stratum == name]
        used = {key: rewards[key] for key in stratum.settings.rewards}
        prompts = [r.request.prompt for r, _ in mine]
        scores = score_all(used, prompts, [r.response for r, _ in mine])
        found[name] = [
            stratum.judged(
                rollout,
                judgement,
                {key: scores[key][i] for key in used},
                dict(baselines.get(name, rollout.request.prompt.id).rewards),
            )
            for i, (rollout, judgement) in enumerate(mine)
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
