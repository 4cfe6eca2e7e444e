"""Settings of a stratum: prompts, judges, optimiser, schedule and weight."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, SerializeAsAny, model_validator

from cgpo.config.base import Settings
from cgpo.config.sampling import SamplingSettings
from judges.spec import JudgeSpec

TRUNCATION = "truncated"
"""Name under which `strata.<name>.truncated` enters a response's verdicts."""


class PromptSettings(Settings):
    """Where a stratum's prompts come from: a generator of this project, or a data set `datasets` can read."""

    generator: str | None = None
    """Name of a built-in prompt generator: `math`, `instruction_following`, `chat`."""
    size: int | None = Field(default=None, ge=1)
    """How many prompts to take. Needed for a generator; for a data set, unset means all rows."""
    options: dict[str, Any] = Field(default={})
    """Options of the generator."""
    path: str | None = None
    """JSONL, JSON, Parquet or CSV file, or the name of a data set on the Hugging Face hub."""
    name: str | None = None
    """Configuration (subset) of the hub data set."""
    split: str = "train"
    """Split of the data set."""
    prompt_column: str = "prompt"
    """Column with the prompt: a string or a list of messages."""
    metadata_column: str = "metadata"
    """Column with a mapping of metadata, if there is one; every other column becomes metadata too."""
    baseline_column: str | None = None
    """Column with the golden response to calibrate against. Unset: the reference generates the baseline."""
    where: dict[str, Any] = Field(default={})
    """Take only rows whose columns have these values, e.g. `{task: math}` or `{level: [1, 2]}`: several strata can
    share one data set. `size` counts the rows taken."""
    too_long: Literal["drop", "stop"] = "drop"
    """What to do with a prompt that leaves no room for a response: drop it (counted) or stop with an error."""

    @model_validator(mode="after")
    def _one_source(self) -> PromptSettings:
        if self.generator is not None and self.path is not None:
            raise ValueError(
                "set exactly one of `generator` and `path`; one that comes from another file is switched off by "
                "generator: null with size: null"
            )
        if self.generator is None and self.path is None:
            raise ValueError("set exactly one of `generator` and `path`")
        if self.generator is not None and self.size is None:
            raise ValueError("a generator needs `size`, the number of prompts to make")
        if self.generator is None and self.options:
            raise ValueError("`options` belongs to a generator; this is a data set")
        if self.generator is not None and self.where:
            raise ValueError("`where` belongs to a data set; this is a generator")
        return self


def _prompts_from_text(value: Any) -> Any:
    return {"path": value} if isinstance(value, str) else value


def _judge_from_text(value: Any) -> Any:
    """`math` or `{name: math, option: …}` becomes a JudgeSpec; names and options are checked by the registry."""
    return JudgeSpec.parse(value)


Prompts = Annotated[PromptSettings, BeforeValidator(_prompts_from_text)]


JudgeEntry = Annotated[JudgeSpec, BeforeValidator(_judge_from_text)]


class OptimizerSettings(Settings):
    """Settings every stratum optimiser has; each optimiser's file adds its own (`cgpo.optimizers`)."""

    min_generations: ClassVar[int] = 1
    """Fewest responses per prompt the optimiser can learn from."""

    name: str
    """Name of the optimiser: `crpg`, `codpo`, `crraft`, a baseline (docs/optimizers.md), or one of an installed
    plugin."""

    def fewest_generations(self) -> int:
        """As `min_generations`, with these settings."""
        return self.min_generations

    def check_judges(self, names: Sequence[str]) -> None:
        """Refuses settings that name a judge which is not among the stratum's.

        Args:
            names: under which the stratum's verdicts are known.

        Raises:
            ValueError: there is such a setting.
        """


class StratumScheduleSettings(Settings):
    """In which steps a stratum takes part. Steps count from 0 here: with `train.steps=100` they are 0 to 99."""

    start: int = Field(default=0, ge=0)
    """The first step the stratum takes part in."""
    end: int | None = Field(default=None, ge=1)
    """The step from which on it no longer does. Unset: the end of the run."""
    every: int = Field(default=1, ge=1)
    """Take part in `start` and every so many steps after it."""

    @model_validator(mode="after")
    def _in_order(self) -> StratumScheduleSettings:
        if self.end is not None and self.end <= self.start:
            raise ValueError(f"`end` is {self.end}, but must be above `start`, which is {self.start}")
        return self

    def active(self, step: int) -> bool:
        """Whether the stratum takes part in step 0, 1, …"""
        ended = self.end is not None and step >= self.end
        return step >= self.start and not ended and (step - self.start) % self.every == 0

    def active_steps(self, first: int, end: int) -> int:
        """In how many of the steps first, first + 1, …, end − 1 it takes part."""
        end = end if self.end is None else min(end, self.end)
        return self._before(end) - min(self._before(first), self._before(end))

    def _before(self, step: int) -> int:
        """How many steps below `step` are start + a multiple of `every`."""
        return max(0, -((self.start - step) // self.every))


class StratumSettings(Settings):
    """One task: its prompts, judges, rewards, optimiser, sampling and weight."""

    prompts: Prompts
    """Training prompts. A plain string is the path of a data set."""
    heldout: Prompts | None = None
    """Prompts for evaluation, never trained on. A generator makes them disjoint from the training prompts."""
    prompts_per_step: int = Field(default=8, ge=1)
    """Prompts sampled per step, over all ranks (B_l)."""
    generations_per_prompt: int = Field(default=4, ge=1)
    """Responses per prompt and step (K_l)."""
    sampling: SamplingSettings = SamplingSettings()
    """How responses are sampled."""
    judges: list[JudgeEntry] = Field(default=[])
    """The mixture: names, or `{name: …, option: …}`. A response is feasible when every judge is satisfied.
    Besides a judge's own options: `as`, `threshold`, `abstain_within`, `timeout_seconds` (docs/judges.md)."""
    hide_reasoning: bool = False
    """Leave what stands between `<think>` and `</think>` out of what judges see. Rewards still see everything."""
    rewards: dict[str, Annotated[float, Field(ge=0)]] = Field(default={})
    """Reward name → weight (≥ 0, not all 0); names are those of the top-level `rewards`."""
    optimizer: SerializeAsAny[OptimizerSettings]
    """The constrained optimiser and its hyper-parameters."""
    weight: float = Field(default=1.0, ge=0)
    """ρ, the weight of this stratum's gradient."""
    schedule: StratumScheduleSettings = StratumScheduleSettings()
    """In which steps the stratum takes part. In the others it is not sampled and its sampler does not move."""
    informative_share: float | None = Field(default=None, gt=0, lt=1)
    """Draw prompts whose last responses were all satisfied or all violated less often, so that at least about this
    share of a step's prompts gave a contrast the last time (or was never drawn). Unset: every epoch holds each prompt
    once. Needs two responses per prompt; baselines are then made for all of the stratum's prompts."""
    warn_after_steps_without_signal: int = Field(default=10, ge=1)
    """Say so, with what the judges said, when the stratum's gradient was exactly zero in so many of its steps in a
    row; again after as many more."""
    max_steps_without_signal: int | None = Field(default=None, ge=1)
    """Stop the run after so many steps of the stratum in a row without a signal. Unset: never."""
    description: str | None = Field(default=None, min_length=1)
    """What prompts belong here, in a sentence: `cgpo stratify` shows it to a classifier. Training does not use it."""
    truncated: Literal["judge", "violated", "unknown"] = "judge"
    """A response cut off at `max_tokens` is judged as it is, or made violated or unknown."""
    max_unknown_rate: float = Field(default=0.2, ge=0, le=1)
    """Largest share, in a step, of responses whose outcome is unknown, and of a judge's verdicts that are; above it
    the run stops."""

    @property
    def verdict_names(self) -> tuple[str, ...]:
        """Under which names a response has verdicts: its judges, and the rule for truncated responses if it is one."""
        return (*(spec.label for spec in self.judges), *([] if self.truncated == "judge" else [TRUNCATION]))

    @model_validator(mode="after")
    def _consistent(self) -> StratumSettings:
        names = [spec.label for spec in self.judges]
        twice = sorted({n for n in names if names.count(n) > 1})
        if twice:
            raise ValueError(f"judge named twice: {', '.join(twice)}; give one of them another name with `as`")
        self.optimizer.check_judges(self.verdict_names)
        fewest = self.optimizer.fewest_generations()
        if self.generations_per_prompt < fewest:
            raise ValueError(
                f"`generations_per_prompt` is {self.generations_per_prompt}, but the optimiser {self.optimizer.name} "
                f"compares responses to one prompt: it needs at least {fewest}"
            )
        if not self.rewards:
            raise ValueError("`rewards` is empty: name at least one, e.g. rewards: {helpfulness: 1.0}")
        if sum(self.rewards.values()) <= 0:
            raise ValueError("`rewards`: the weights must not all be 0")
        if self.sampling.temperature == 0:
            raise ValueError("`sampling.temperature` is 0: training needs samples from the policy, so T > 0")
        sampling = self.sampling
        refused = [name for name in sampling.truncations if name not in sampling.allow]
        if refused:
            raise ValueError(
                f"`sampling.{refused[0]}` makes the sampler another distribution than the policy; "
                f"to train so all the same, set sampling.allow=[{','.join(refused)}]"
            )
        if self.informative_share is not None and self.generations_per_prompt == 1:
            raise ValueError(
                "`informative_share` compares the responses to a prompt: `generations_per_prompt` must be 2"
            )
        return self


class WeightingSettings(Settings):
    """Automatic weights: raises ρ of the stratum that lags (formulas: `cgpo/training/weighting.py`)."""

    method: Literal["none", "satisfied_rate", "improvement"] = "none"
    """`none`: ρ stays as set. `satisfied_rate`: the stratum with the lower satisfied rate counts more. `improvement`:
    the one whose satisfied rate has risen less, as far as there is anything left to gain."""
    strength: float = Field(default=1.0, gt=0)
    """The factor is exp(strength × lag), the lag in satisfied rate (0.2 = 20 points behind the mean)."""
    min_factor: float = Field(default=0.5, gt=0, le=1)
    """Smallest factor on ρ."""
    max_factor: float = Field(default=2.0, ge=1)
    """Largest factor on ρ."""
    decay: float = Field(default=0.9, ge=0, lt=1)
    """Of the exponential mean of a stratum's satisfied rate, per step it takes part in; 0 = its last step alone."""
    window: int = Field(default=10, ge=1)
    """Steps of the stratum over which `improvement` is measured."""
