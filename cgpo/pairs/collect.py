"""Samples the responses of `cgpo preferences`, has them judged and scored, and keeps them as they come."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from cgpo import distributed
from cgpo.config import RunSettings
from cgpo.data.contamination import Contaminated, heldout_prompts, without_contaminated
from cgpo.errors import RunError
from cgpo.interrupt import Interrupted, StopSignal
from cgpo.pairs.limits import check_samples
from cgpo.pairs.ranking import REWARD
from cgpo.pairs.samples import Key, SampledResponse, append_samples, read_samples, sampled
from cgpo.policy.loading import context_length, load_tokenizer
from cgpo.responses.collection import Judging, ask_judges, generate_and_judge, score_responses
from cgpo.responses.judging import open_judges
from cgpo.responses.stratum import PREFERENCES_STEP, Stratum, build_strata
from cgpo.rewards.model import Reward, create_reward
from cgpo.rollout.engine import RolloutEngine, start_engine
from cgpo.tracking.progress import StageProgress, Update
from cgpo.types import GenerationRequest, Prompt


@dataclass(frozen=True)
class Collected:
    """What was sampled, the same on every rank.

    Attributes:
        responses: in the order of the requests: by stratum, prompt and index.
        contaminated: prompts that were left out because they are held-out ones too.
    """

    responses: list[SampledResponse]
    contaminated: list[Contaminated]


def collect(settings: RunSettings, file: Path, progress: StageProgress) -> Collected:
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
    tokenizer = load_tokenizer(settings.model.name, settings.model)
    length = context_length(settings.model)
    with ExitStack() as stack:
        runtime = stack.enter_context(open_judges(settings, Path(settings.run_dir)))
        strata = build_strata(settings, tokenizer, length, runtime)
        requests, contaminated = preference_requests(settings, strata)
        known = _known(file)
        missing = [r for r in requests if r.key not in known]
        if missing:
            rewards = _rewards(settings)
            progress.message(f"starting the rollout engine ({settings.rollout.engine})")
            engine = start_engine(settings, length)
            stack.callback(engine.close)
            sampler = Sampler(settings, strata, rewards, engine, file, progress)
            known |= sampler.run(missing, [known[key] for key in (r.key for r in requests) if key in known])
    return Collected([known[r.key] for r in requests], contaminated)


def _known(file: Path) -> dict[Key, SampledResponse]:
    """What is on disk, the same on every rank: only one reads it."""
    found: list[SampledResponse] | RunError = []
    if distributed.rank() == 0:
        try:
            found = read_samples(file)
        except RunError as error:
            found = error
    everywhere: list[SampledResponse] | RunError = distributed.gather_objects(found)[0]
    if isinstance(everywhere, RunError):
        raise everywhere
    return {sample.key: sample for sample in everywhere}


def _rewards(settings: RunSettings) -> dict[str, Reward]:
    if REWARD not in settings.preferences.rank_by:
        return {}
    used = {name for stratum in settings.strata.values() for name in stratum.rewards}
    return {name: create_reward(name, settings.rewards[name]) for name in sorted(used)}


def preference_requests(
    settings: RunSettings, strata: Mapping[str, Stratum]
) -> tuple[list[GenerationRequest], list[Contaminated]]:
    """The requests of all ranks, and the prompts that are left out because they are held-out ones too.

    Raises:
        DataError: no prompt is left in a stratum, or `contamination.action` is `stop` and there are such prompts.
    """
    asked = settings.preferences
    listed = {name: [prompt for prompt, _ in stratum.prompts.values()] for name, stratum in strata.items()}
    held = heldout_prompts(asked.contamination, {n: [p for p, _ in s.heldout.values()] for n, s in strata.items()})
    clean, contaminated = without_contaminated(listed, held, asked.contamination)
    requests = []
    for name, stratum in strata.items():
        for prompt in _drawn(clean[name], asked.prompts_per_stratum, f"{settings.seed}:{name}"):
            requests += [
                stratum.request(prompt, PREFERENCES_STEP, index, settings.seed, asked.temperature)
                for index in range(asked.responses_per_prompt)
            ]
    return requests, contaminated


def _drawn(prompts: Sequence[Prompt], count: int | None, seed: str) -> list[Prompt]:
    if count is None or count >= len(prompts):
        return list(prompts)
    return random.Random(f"preferences:{seed}").sample(prompts, count)


@dataclass(frozen=True)
class Sampler:
    """Generates, judges and scores chunk by chunk; every rank runs one, rank 0 writes.

    Attributes:
        settings: the run's.
        strata: by name.
        rewards: by name; none where rewards do not rank.
        engine: of this rank.
        file: where the responses are kept.
        progress: shows how far it is.
    """

    settings: RunSettings
    strata: Mapping[str, Stratum]
    rewards: Mapping[str, Reward]
    engine: RolloutEngine
    file: Path
    progress: StageProgress

    def run(
        self, missing: Sequence[GenerationRequest], before: Sequence[SampledResponse]
    ) -> dict[Key, SampledResponse]:
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
        found: dict[Key, SampledResponse] = {}
        with StopSignal(self.progress.message) as stop, self.progress.task("responses", total, done) as update:
            for start in range(0, len(missing), size):
                part = missing[start : start + size]
                samples = self._chunk(part, done + start, update)
                found |= {sample.key: sample for sample in samples}
                reached = done + start + len(part)
                every = [*before, *found.values()]
                check_samples(every, self.settings, f"after {reached} responses", last=reached == total)
                if distributed.rank() == 0:
                    append_samples(self.file, samples)
                update(reached, "")
                if distributed.any_rank(stop.requested):
                    raise Interrupted(
                        f"stopped by a signal after {reached} of {total} responses; the same command goes on from there"
                    )
        return found

    def _chunk(self, part: Sequence[GenerationRequest], before: int, update: Update) -> list[SampledResponse]:
        """The responses of all ranks to some requests, each rank having generated its share."""
        ranks = distributed.world_size()

        def progress(done: int, total: int) -> None:
            update(before + min(len(part) - 1, done * ranks), "")  # the last ones count when they are on disk

        mine = part[distributed.rank() :: ranks]
        judging = generate_and_judge(self.engine, ask_judges(self.strata), mine, progress, check_stop=lambda: None)
        return [sample for other in distributed.gather_objects(self._samples(judging)) for sample in other]

    def _samples(self, judging: Sequence[Judging]) -> list[SampledResponse]:
        """The responses of this rank with their verdicts and scores, stratum by stratum."""
        scores = score_responses(judging, self.strata, self.rewards) if self.rewards else {}
        found = []
        for name, stratum in self.strata.items():
            mine = [(rollout, verdicts) for rollout, verdicts in judging if rollout.request.stratum == name]
            for i, (rollout, verdicts) in enumerate(mine):
                own = {key: values[i] for key, values in scores.get(name, {}).items()}
                judged = stratum.judged(
                    rollout, verdicts.result(), own, {}
                )  # there is no baseline to calibrate against
                found.append(sampled(judged, stratum, scored=bool(self.rewards)))
        return found
