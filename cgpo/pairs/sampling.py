"""Samples responses of the policy's model to the strata's training prompts and has them judged."""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path

from cgpo import distributed
from cgpo.config import RewardPairSettings, RunSettings
from cgpo.pairs.made import Sample
from cgpo.policy.loading import context_length, load_tokenizer
from cgpo.responses.collection import ask_judges, generate_and_judge
from cgpo.responses.judging import open_judges
from cgpo.responses.stratum import REWARD_PAIRS_STEP, Stratum, build_strata
from cgpo.rollout.engine import start_engine
from cgpo.tracking.progress import StageProgress
from cgpo.types import GenerationRequest, Rollout
from judges import Judgement, Outcome


def collect_samples(settings: RunSettings, pairs: RewardPairSettings, progress: StageProgress) -> list[Sample]:
    """The judged responses of every rank, on every rank; each rank generates its share.

    Args:
        settings: of the run, `model` being the one that responds.
        pairs: how many responses to how many prompts.
        progress: shows how far it is.

    Raises:
        DataError: prompts cannot be read or lack metadata. ConfigError: the model or the engine cannot be used.
    """
    tokenizer = load_tokenizer(settings.model.name, settings.model)
    length = context_length(settings.model)
    with open_judges(settings, Path(settings.run_dir)) as runtime:
        strata = build_strata(settings, tokenizer, length, runtime)
        requests = preference_requests(settings, pairs, strata)[distributed.rank() :: distributed.world_size()]
        progress.message(f"starting the rollout engine ({settings.rollout.engine})")
        engine = start_engine(settings, length)
        try:
            with progress.task("sampling responses", len(requests)) as update:
                judging = generate_and_judge(
                    engine, ask_judges(strata), requests, lambda done, total: update(done, ""), check_stop=lambda: None
                )
            mine = [_sample(rollout, verdicts.result(), strata) for rollout, verdicts in judging]
        finally:
            engine.close()
    return [sample for part in distributed.gather_objects(mine) for sample in part]


def preference_requests(
    settings: RunSettings, pairs: RewardPairSettings, strata: Mapping[str, Stratum]
) -> list[GenerationRequest]:
    """The requests of all ranks: some training prompts of each stratum, several responses each."""
    requests = []
    for name, stratum in strata.items():
        prompts = [prompt for prompt, _ in stratum.prompts.values()]
        # Not the first ones: those are what training begins with.
        count = min(pairs.prompts_per_stratum, len(prompts))
        for prompt in random.Random(f"preferences:{settings.seed}:{name}").sample(prompts, count):
            for index in range(pairs.responses_per_prompt):
                requests.append(stratum.request(prompt, REWARD_PAIRS_STEP, index, settings.seed, pairs.temperature))
    return requests


def _sample(rollout: Rollout, judgement: Judgement, strata: Mapping[str, Stratum]) -> Sample:
    request = rollout.request
    complete = rollout.finish_reason == "stop"
    outcome = judgement.outcome
    rule = strata[request.stratum].settings.truncated
    if not complete and rule != "judge" and outcome is not Outcome.VIOLATED:
        outcome = Outcome(rule)
    return Sample(request.stratum, request.prompt, request.index, rollout.response, complete, outcome)
