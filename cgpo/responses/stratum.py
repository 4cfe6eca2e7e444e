"""One task: its prompts, judges, rewards, optimiser, sampling and weight, ready to run."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import Any

from cgpo import plugins
from cgpo.config import TRUNCATION, RunSettings, StratumSettings
from cgpo.data.ids import content_hash
from cgpo.data.informative import InformativeSampler
from cgpo.data.prompts import check_disjoint, load_prompts
from cgpo.data.sampler import PromptSampler
from cgpo.data.tokenize import fit_prompts, opens_reasoning
from cgpo.optimizers.base import Need, StratumOptimizer
from cgpo.rewards.calibration import calibrate, ranking_reward
from cgpo.rollout.engine import request_seed
from cgpo.types import GenerationRequest, JudgedRollout, Prompt, Rollout
from judges import Judgement, Outcome, Row, Verdict
from judges.messages import judged_messages
from judges.mixture import Mixture
from judges.reasoning import without_reasoning
from judges.running.runtime import JudgeRuntime

BASELINE_STEP = -1
EVALUATION_STEP = -2
REWARD_PAIRS_STEP = -3
PREFERENCES_STEP = -4
"""In place of a step's number in the seeds of responses that belong to no step: baselines, held-out responses
(evaluations before and after training draw with the same seeds), and the responses that `cgpo reward` and
`cgpo preferences` make pairs of. Runs are reproducible only as long as these numbers stay."""


@dataclass
class Stratum:
    """A stratum of the run.

    Attributes:
        name: its name.
        settings: its settings.
        prompts: training prompts with their token ids, by prompt id.
        heldout: held-out prompts with their token ids, by prompt id.
        sampler: draws training prompts; its position is saved in checkpoints.
        mixture: its judges.
        optimizer: its constrained optimiser.
        dropped: prompts left out because they were too long, (training, held-out).
        independent_rewards: rewards that score its responses without training it.
        reasoning_opened: the chat template opens a block of reasoning before every response.
        weight_factor: what automatic weights make of ρ in this step.
    """

    name: str
    settings: StratumSettings
    prompts: dict[str, tuple[Prompt, tuple[int, ...]]]
    heldout: dict[str, tuple[Prompt, tuple[int, ...]]]
    sampler: PromptSampler | InformativeSampler
    mixture: Mixture
    optimizer: StratumOptimizer[Any]
    dropped: tuple[int, int]
    independent_rewards: tuple[str, ...] = ()
    reasoning_opened: bool = False
    weight_factor: float = 1.0

    @property
    def weight(self) -> float:
        """ρ in this step."""
        return self.settings.weight * self.weight_factor

    @property
    def scored(self) -> list[str]:
        """The rewards that score its responses: those it is trained on, and those that only watch."""
        return list(dict.fromkeys([*self.settings.rewards, *self.independent_rewards]))

    def active(self, step: int) -> bool:
        """Whether the stratum takes part in step 0, 1, …"""
        return self.settings.schedule.active(step)

    def sample_requests(self, step: int, run_seed: int) -> list[GenerationRequest]:
        """The requests of a step over all ranks: `prompts_per_step` prompts × `generations_per_prompt`."""
        k = self.settings.generations_per_prompt
        seen: Counter[str] = Counter()
        requests = []
        for prompt in self.sampler.sample(self.settings.prompts_per_step):
            first = seen[prompt.id] * k  # a batch larger than the set brings a prompt twice; its samples must differ
            seen[prompt.id] += 1
            requests += [self.request(prompt, step, first + i, run_seed) for i in range(k)]
        return requests

    def upcoming(self, first: int, end: int) -> list[Prompt]:
        """The prompts that the steps first, …, end − 1 may draw, each once, without moving the sampler."""
        steps = self.settings.schedule.active_steps(first, end)
        return self.sampler.upcoming(steps, self.settings.prompts_per_step)

    def request(
        self, prompt: Prompt, step: int, index: int, run_seed: int, temperature: float | None = None
    ) -> GenerationRequest:
        """One request for `prompt`, training or held-out, with a seed of its own."""
        _, ids = self.prompts.get(prompt.id) or self.heldout[prompt.id]
        sampling = self.settings.sampling
        if temperature is not None:
            sampling = sampling.model_copy(update={"temperature": temperature})
        seed = request_seed(run_seed, step, self.name, prompt.id, index)
        return GenerationRequest(self.name, prompt, ids, index, seed, sampling)

    def submit(self, rollout: Rollout) -> Future[Judgement]:
        """Gives a finished response to the judges."""
        return self.mixture.submit(self.row(rollout))

    def row(self, rollout: Rollout) -> Row:
        """What any judge sees of a response: without its reasoning, where the stratum hides it."""
        prompt = rollout.request.prompt
        return Row(judged_messages(prompt.messages), self.shown(rollout.response), prompt.metadata)

    def shown(self, response: str) -> str:
        """The part of a response's text that judges see."""
        return without_reasoning(response, self.reasoning_opened) if self.settings.hide_reasoning else response

    def judged(
        self,
        rollout: Rollout,
        judgement: Judgement,
        rewards: dict[str, float | None],
        baseline_rewards: dict[str, float | None],
    ) -> JudgedRollout:
        """A response with everything known about it; the rule for truncated responses is applied here."""
        if self.settings.truncated != "judge":
            cut_off = rollout.finish_reason == "length"
            reason = f"cut off at {rollout.request.sampling.max_tokens} tokens" if cut_off else "ended by the model"
            verdict = Verdict(Outcome(self.settings.truncated) if cut_off else Outcome.SATISFIED, reason)
            judgement = replace(judgement, verdicts={**judgement.verdicts, TRUNCATION: verdict})
        calibrated = calibrate(rewards, baseline_rewards, self.settings.rewards)
        return JudgedRollout(rollout, judgement, rewards, baseline_rewards, calibrated)

    def draw(self, request: GenerationRequest) -> tuple[str, int]:
        """Which draw of a prompt a request belongs to: a step larger than the set brings a prompt more than once.

        Draws are told apart because they may fall to different ranks: what is computed per prompt must not depend on
        that.
        """
        return request.prompt.id, request.index // self.settings.generations_per_prompt

    def answered_by(self, responses: Mapping[str, str]) -> list[tuple[Prompt, str]]:
        """The prompts, training or held-out, of which there is a response; `responses`: prompt id → text."""
        return [
            (entry[0], text)
            for prompt_id, text in responses.items()
            if (entry := self.prompts.get(prompt_id) or self.heldout.get(prompt_id))
        ]

    @property
    def learns_from_baselines(self) -> bool:
        """Whether its optimiser wants the prompts' baseline responses as samples."""
        return Need.BASELINES in self.optimizer.needs

    def credit(self, judged: JudgedRollout) -> float:
        """The share of its constraints that a response satisfies, in [0, 1]."""
        return self.mixture.credit(judged.judgement)

    def ranking(self, judged: JudgedRollout) -> float | None:
        """The raw weighted reward, only to rank responses; None where a part is missing."""
        return ranking_reward(judged.rewards, self.settings.rewards)


def build_strata(
    settings: RunSettings, tokenizer: Any, context_length: int, runtime: JudgeRuntime
) -> dict[str, Stratum]:
    """Loads every stratum's prompts, judges and optimiser.

    Raises:
        DataError: a data set is empty, unreadable, or lacks what the stratum's judges need.
        ConfigError: an unknown name.
    """
    return {name: _build(name, settings, tokenizer, context_length, runtime) for name in settings.strata}


def _build(name: str, run: RunSettings, tokenizer: Any, context_length: int, runtime: JudgeRuntime) -> Stratum:
    settings, seed = run.strata[name], run.seed
    mixture = Mixture(settings.judges, runtime, early_stop=run.judging.early_stop)
    max_tokens = settings.sampling.max_tokens

    def load(heldout: bool) -> tuple[list[tuple[Prompt, tuple[int, ...]]], int]:
        source = settings.heldout if heldout else settings.prompts
        if source is None:
            return [], 0
        loaded = load_prompts(source, stratum=name, heldout=heldout, seed=seed, lacks=mixture.missing_metadata)
        return fit_prompts(loaded, tokenizer, context_length, max_tokens, source.too_long, name)

    prompts, dropped = load(heldout=False)
    heldout, heldout_dropped = load(heldout=True)
    check_disjoint([p for p, _ in prompts], [p for p, _ in heldout], stratum=name)
    kind = plugins.load("cgpo.optimizers", "optimizer", settings.optimizer.name, f"strata.{name}.optimizer.name")
    return Stratum(
        name=name,
        settings=settings,
        prompts=_by_id(prompts),
        heldout=_by_id(heldout),
        sampler=_sampler(settings, [prompt for prompt, _ in prompts], seed, name),
        mixture=mixture,
        optimizer=kind(settings.optimizer),
        dropped=(dropped, heldout_dropped),
        independent_rewards=tuple(run.independent_rewards(name)),
        reasoning_opened=opens_reasoning(tokenizer, prompts[0][0]),
    )


def _sampler(
    settings: StratumSettings, prompts: Sequence[Prompt], seed: int, name: str
) -> PromptSampler | InformativeSampler:
    if settings.informative_share is None:
        return PromptSampler(prompts, seed, stratum=name)
    return InformativeSampler(prompts, seed, share=settings.informative_share, stratum=name)


def shared_prompts(strata: Mapping[str, Stratum]) -> list[str]:
    """A sentence for every two strata that share prompts: Algorithm 2's strata are disjoint."""
    sentences = []
    for one, other in itertools.combinations(strata.values(), 2):
        ours, theirs = _texts(one.prompts), _texts(other.prompts)
        if both := len(ours & theirs):
            sentences.append(f"{both} training prompts are in both strata {one.name} and {other.name}")
        for held, by in ((one, other), (other, one)):
            if shared := len(_texts(held.heldout) & _texts(by.prompts)):
                sentences.append(f"{shared} held-out prompts of {held.name} are training prompts of {by.name}")
    return sentences


def _texts(prompts: Mapping[str, tuple[Prompt, tuple[int, ...]]]) -> set[str]:
    return {content_hash(prompt.messages) for prompt, _ in prompts.values()}


def _by_id(pairs: Iterable[tuple[Prompt, tuple[int, ...]]]) -> dict[str, tuple[Prompt, tuple[int, ...]]]:
    return {prompt.id: (prompt, ids) for prompt, ids in pairs}


def share_of_rank(requests: Sequence[GenerationRequest], rank: int, world_size: int) -> list[GenerationRequest]:
    """This rank's slice. `prompts_per_step` divides by the ranks, so a prompt's responses stay together."""
    return list(requests[rank * len(requests) // world_size : (rank + 1) * len(requests) // world_size])
