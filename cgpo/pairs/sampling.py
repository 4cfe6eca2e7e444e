"""Samples responses to the strata's training prompts, has them judged and scored: what pairs are made of.

`cgpo reward` samples once and keeps the pairs alone (`sample_responses`); `cgpo preferences` writes every chunk of
responses to a file and goes on from there (`collect_responses`).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from cgpo import distributed
from cgpo.config import PreferencesSettings, RewardPairSettings, RunSettings
from cgpo.data.contamination import Contaminated, heldout_prompts, without_contaminated
from cgpo.interrupt import Interrupted, StopSignal
from cgpo.pairs.limits import check_samples
from cgpo.pairs.ranking import REWARD
from cgpo.pairs.response_file import SampledResponse, append_responses, read_responses, sampled_response
from cgpo.policy.loading import context_length, load_tokenizer
from cgpo.responses.collection import Judging, ask_judges, generate_and_judge, of_stratum, score_responses
from cgpo.responses.judging import open_judges
from cgpo.responses.stratum import PREFERENCES_STEP, REWARD_PAIRS_STEP, Stratum, build_strata
from cgpo.rewards.model import Reward, create_reward
from cgpo.rollout.engine import RolloutEngine, start_engine
from cgpo.tracking.progress import StageProgress
from cgpo.types import GenerationRequest, Prompt


def sample_responses(
    settings: RunSettings, pairs: RewardPairSettings, progress: StageProgress
) -> list[SampledResponse]:
    """Judged responses for the pairs of `cgpo reward`, without rewards; the same on every rank, which all call it.

    Args:
        settings: of the run, `model` being the one that responds.
        pairs: how many responses to how many prompts.
        progress: shows how far it is.

    Raises:
        DataError: prompts cannot be read or lack metadata. ConfigError: the model or the engine cannot be used.
    """
    with _open_strata(settings) as strata:
        prompts = {name: _training_prompts(stratum) for name, stratum in strata.items()}
        requests = _requests(strata, prompts, pairs, REWARD_PAIRS_STEP, settings.seed)
        with _open_engine(settings, progress) as engine:
            sampler = Sampler(strata, {}, engine)
            with progress.task("sampling responses", len(requests)) as update:
                with distributed.together():
                    responses = sampler.sample(requests, lambda done: update(done, ""))
                update(len(requests), "")
    return responses


@dataclass(frozen=True)
class CollectedResponses:
    """The responses of `cgpo preferences`, the same on every rank.

    Attributes:
        responses: in the order of the requests: by stratum, prompt and index.
        contaminated: prompts that were left out because they are held-out ones too.
    """

    responses: list[SampledResponse]
    contaminated: list[Contaminated]


def collect_responses(settings: RunSettings, file: Path, progress: StageProgress) -> CollectedResponses:
    """Samples what `file` does not hold yet; every rank calls it.

    Args:
        settings: the run's, with the model to sample from and the strata to take prompts from.
        file: where the responses are kept.
        progress: shows how far it is.

    Raises:
        DataError: prompts cannot be read, lack metadata, or are held-out ones too and that is to stop the command.
        ConfigError: a model, reward or engine cannot be used.
        LimitError: too many verdicts or scores are missing; what came before is kept.
        Interrupted: a signal came; what came before is kept.
    """
    progress.phase("loading judges and prompts")
    with _open_strata(settings) as strata:
        with distributed.together():
            prompts, contaminated = _uncontaminated_prompts(settings, strata)
            requests = _requests(strata, prompts, settings.preferences, PREFERENCES_STEP, settings.seed)
            stored = {response.key: response for response in distributed.on_first_rank(lambda: read_responses(file))}
        missing = [request for request in requests if request.key not in stored]
        if missing:
            if REWARD in settings.preferences.rank_by:
                progress.phase("loading reward models")
            with distributed.together():
                rewards = _rewards(settings)
            with _open_engine(settings, progress) as engine:
                before = [stored[request.key] for request in requests if request.key in stored]
                collection = _Collection(settings, Sampler(strata, rewards, engine), file, progress)
                stored |= {response.key: response for response in collection.run(missing, before)}
    return CollectedResponses([stored[request.key] for request in requests], contaminated)


@dataclass(frozen=True)
class Sampler:
    """Generates, judges and scores responses; every rank has one and calls it together with the others.

    Attributes:
        strata: by name.
        rewards: by name; empty where responses need no scores.
        engine: of this rank.
    """

    strata: Mapping[str, Stratum]
    rewards: Mapping[str, Reward]
    engine: RolloutEngine

    def sample(self, requests: Sequence[GenerationRequest], progress: Callable[[int], None]) -> list[SampledResponse]:
        """The responses of all ranks to the requests of all, each rank generating its share.

        Args:
            requests: the same on every rank.
            progress: told how many are generated, about; the last one counts when this returns.
        """
        ranks = distributed.world_size()

        def report(done: int, _: int) -> None:
            progress(min(len(requests) - 1, done * ranks))

        share = requests[distributed.rank() :: ranks]
        judging = generate_and_judge(self.engine, ask_judges(self.strata), share, report, check_stop=lambda: None)
        parts = distributed.gather_objects(self._responses(judging))
        return [response for part in parts for response in part]

    def _responses(self, judging: Sequence[Judging]) -> list[SampledResponse]:
        """The responses of this rank with their verdicts and scores, stratum by stratum."""
        scores = score_responses(judging, self.strata, self.rewards) if self.rewards else {}
        responses = []
        for name, stratum in self.strata.items():
            for i, (rollout, verdicts) in enumerate(of_stratum(judging, name)):
                rewards = {reward: values[i] for reward, values in scores.get(name, {}).items()}
                # there is no baseline to calibrate against
                judged = stratum.judged(rollout, verdicts.result(), rewards, {})
                responses.append(sampled_response(judged, stratum, scored=bool(self.rewards)))
        return responses


@dataclass(frozen=True)
class _Collection:
    """Samples chunk by chunk into a file, which rank 0 writes."""

    settings: RunSettings
    sampler: Sampler
    file: Path
    progress: StageProgress

    def run(self, missing: Sequence[GenerationRequest], before: Sequence[SampledResponse]) -> list[SampledResponse]:
        """Samples what is missing; the new responses of all ranks, on every rank.

        Args:
            missing: what to sample.
            before: what is there already.

        Raises:
            LimitError: too many verdicts or scores are missing: then what shows it is not kept, and made again.
            Interrupted: a signal came.
        """
        done = len(before)
        total = done + len(missing)
        if done:
            self.progress.message(f"goes on after {done} of {total} responses")
        size = self.settings.preferences.chunk * distributed.world_size()
        responses: list[SampledResponse] = []
        with StopSignal(self.progress.message) as stop, self.progress.task("responses", total, done) as update:

            def report(count: int) -> None:
                update(done + len(responses) + count, "")

            for start in range(0, len(missing), size):
                with distributed.together():
                    chunk = self.sampler.sample(missing[start : start + size], report)
                    reached = done + len(responses) + len(chunk)
                    last = reached == total
                    check_samples([*before, *responses, *chunk], self.settings, f"after {reached} responses", last=last)
                    if distributed.rank() == 0:
                        append_responses(self.file, chunk)
                responses += chunk
                update(reached, "")
                if distributed.any_rank(stop.requested):
                    raise Interrupted(
                        f"stopped by a signal after {reached} of {total} responses; the same command goes on from there"
                    )
        return responses


@contextmanager
def _open_strata(settings: RunSettings) -> Iterator[dict[str, Stratum]]:
    """The strata with their judges running."""
    with ExitStack() as stack:
        with distributed.together():
            runtime = stack.enter_context(open_judges(settings, Path(settings.run_dir)))
            tokenizer = load_tokenizer(settings.model.name, settings.model)
            strata = build_strata(settings, tokenizer, context_length(settings.model), runtime)
        yield strata


@contextmanager
def _open_engine(settings: RunSettings, progress: StageProgress) -> Iterator[RolloutEngine]:
    progress.message(f"starting the rollout engine ({settings.rollout.engine})")
    engine = start_engine(settings, context_length(settings.model))
    try:
        yield engine
    finally:
        engine.close()


def _rewards(settings: RunSettings) -> dict[str, Reward]:
    if REWARD not in settings.preferences.rank_by:
        return {}
    used = {name for stratum in settings.strata.values() for name in stratum.rewards}
    return {name: create_reward(name, settings.rewards[name]) for name in sorted(used)}


def _training_prompts(stratum: Stratum) -> list[Prompt]:
    return [prompt for prompt, _ in stratum.prompts.values()]


def _uncontaminated_prompts(
    settings: RunSettings, strata: Mapping[str, Stratum]
) -> tuple[dict[str, list[Prompt]], list[Contaminated]]:
    """The training prompts of each stratum that are no held-out ones, and those that are.

    Raises:
        DataError: no prompt is left in a stratum, or `contamination.action` is `stop` and there are such prompts.
    """
    check = settings.preferences.contamination
    held = heldout_prompts(check, {n: [prompt for prompt, _ in s.heldout.values()] for n, s in strata.items()})
    return without_contaminated({n: _training_prompts(s) for n, s in strata.items()}, held, check)


def _requests(
    strata: Mapping[str, Stratum],
    prompts: Mapping[str, Sequence[Prompt]],
    pairs: RewardPairSettings | PreferencesSettings,
    step: int,
    run_seed: int,
) -> list[GenerationRequest]:
    """The requests of all ranks: several for each of some training prompts of every stratum.

    Args:
        strata: by name.
        prompts: of each stratum, to draw from.
        pairs: how many prompts and responses, and at which temperature.
        step: in place of a step's number in the seeds.
        run_seed: of the run.
    """
    return [
        stratum.request(prompt, step, index, run_seed, pairs.temperature)
        for name, stratum in strata.items()
        for prompt in _drawn(prompts[name], pairs.prompts_per_stratum, f"preferences:{run_seed}:{name}")
        for index in range(pairs.responses_per_prompt)
    ]


def _drawn(prompts: Sequence[Prompt], count: int | None, seed: str) -> list[Prompt]:
    """At most so many of the prompts. Not the first ones: those are what training begins with."""
    if count is None or count >= len(prompts):
        return list(prompts)
    return random.Random(seed).sample(prompts, count)
