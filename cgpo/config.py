"""Every setting of a run: typed, each with its meaning, unit and allowed values under it.

Hydra composes YAML files and command-line overrides into one tree (`cgpo/compose.py`); this module gives the tree
its types. A default lives here and nowhere else; the files in `conf/` only say what differs from it. Types are
strict: `train.steps=true` or `train.steps=1.5` is an error, never a silent conversion. No torch here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SerializeAsAny, model_validator

from cgpo.errors import unknown_name
from judges.llm.settings import LLMSettings
from judges.spec import JudgeSpec

TRUNCATION = "truncated"
"""Name under which `strata.<name>.truncated` enters a response's verdicts."""


class Settings(BaseModel):
    """Base of all settings: unknown keys, wrong types, NaN and infinity are errors; values never change later."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        frozen=True,
        allow_inf_nan=False,
        validate_default=True,
        use_attribute_docstrings=True,
        protected_namespaces=(),
    )


class LoraSettings(Settings):
    """A low-rank adapter (LoRA): only it is trained (`cgpo/policy/lora.py`)."""

    rank: int = Field(default=16, ge=1)
    """r, the width of the two matrices beside each layer."""
    alpha: int = Field(default=32, ge=1)
    """α; what the adapter adds is scaled by α / r."""
    rank_stabilised: bool = False
    """Scale by α / √r instead, for large ranks."""
    target_modules: Literal["all-linear"] | list[str] = "all-linear"
    """Which layers get one: all linear ones but the output head, or the ends of their names: [q_proj, v_proj]."""
    dropout: float = Field(default=0.0, ge=0, le=0)
    """Must be 0: log π has to be a function of the weights, the same in rollout, scoring and learning."""

    @model_validator(mode="after")
    def _targets_something(self) -> LoraSettings:
        if not self.target_modules:
            raise ValueError("`target_modules` is empty: name layers, or all-linear")
        return self


class ModelSettings(Settings):
    """The policy: the model that is trained, and where its reference starts."""

    name: str
    """Hugging Face hub name or local folder of a causal language model with a chat template.
    `smollm2` is the small model of the quickstart, converted once and cached."""
    revision: str | None = None
    """Branch, tag or commit on the hub."""
    reference: str | None = None
    """The frozen reference π_ref: a hub name or folder. Unset: the policy as it is before training."""
    reference_revision: str | None = None
    """Branch, tag or commit of `reference` on the hub."""
    reference_mode: Literal["copy", "adapter_off", "offload"] = "copy"
    """How the reference is kept: a second model on the device; the policy with its LoRA adapter switched off (no
    second model); or a second model in the host's memory, moved to the device for each pass."""
    lora: LoraSettings | None = None
    """Train a low-rank adapter instead of all weights: `model.lora.rank=16`. Unset: all weights."""
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    """Type the policy and the reference compute in. With the 16-bit ones, which need deepspeed.zero_stage ≥ 1, the
    optimiser keeps float32 master weights and sums gradients in float32 (docs/policy.md)."""
    context_length: int | None = Field(default=None, ge=2)
    """Most tokens of prompt + response. Unset: what the model's configuration says, at most 4096."""
    gradient_checkpointing: bool = False
    """Recompute activations in the backward pass: less memory, about a third more time."""
    trust_remote_code: bool = False
    """Run Python code that comes with the model's repository."""

    @model_validator(mode="after")
    def _has_an_adapter_to_switch_off(self) -> ModelSettings:
        if self.reference_mode == "adapter_off":
            if self.lora is None:
                raise ValueError(
                    "`reference_mode` is adapter_off, but there is no adapter: set model.lora.rank, or one of "
                    "reference_mode=copy, offload"
                )
            if self.reference is not None:
                raise ValueError(
                    f"`reference_mode` is adapter_off: the reference is the policy without its adapter, not "
                    f"{self.reference!r}; leave model.reference out, or set reference_mode=copy or offload"
                )
        return self


class SamplingSettings(Settings):
    """How responses are sampled from the policy."""

    temperature: float = Field(default=1.0, ge=0)
    """Temperature T; log π is computed at the same T. 0 (greedy) is refused in training, allowed for held-out."""
    max_tokens: int = Field(default=64, ge=1)
    """Most tokens of a response; longer ones are cut off (`finish_reason: length`)."""
    top_p: float = Field(default=1.0, gt=0, le=1)
    """Nucleus sampling. Makes the sampler another distribution than π: refused unless named in `allow`."""
    top_k: int = Field(default=0, ge=0)
    """Sample among the k likeliest tokens; 0 = all. Refused unless named in `allow`."""
    min_p: float = Field(default=0.0, ge=0, le=1)
    """Drop tokens below this share of the likeliest one. Refused unless named in `allow`."""
    allow: list[Literal["top_p", "top_k", "min_p"]] = []
    """Truncations to allow in training although the sampler is then not the policy."""


class PromptSettings(Settings):
    """Where a stratum's prompts come from: a generator of this project, or a data set `datasets` can read."""

    generator: str | None = None
    """Name of a built-in prompt generator: `math`, `instruction_following`, `chat`."""
    size: int | None = Field(default=None, ge=1)
    """How many prompts to take. Needed for a generator; for a data set, unset means all rows."""
    options: dict[str, Any] = {}
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
    where: dict[str, Any] = {}
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


def _preference_from_options(value: Any) -> Any:
    """Options of the judge `preference`, unless they name another judge."""
    return JudgeSpec.parse({"name": "preference", **value} if isinstance(value, dict) else value)


Prompts = Annotated[PromptSettings, BeforeValidator(_prompts_from_text)]
JudgeEntry = Annotated[JudgeSpec, BeforeValidator(_judge_from_text)]


class OptimizerSettings(Settings):
    """Settings every stratum optimiser has; each optimiser's file adds its own (`cgpo.optimizers`)."""

    min_generations: ClassVar[int] = 1
    """Fewest responses per prompt the optimiser can learn from."""

    name: str
    """Name of the optimiser: `crpg`, `codpo`, `crraft`, a baseline (docs/optimizers.md), or one of an installed
    plugin."""

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
    judges: list[JudgeEntry] = []
    """The mixture: names, or `{name: …, option: …}`. A response is feasible when every judge is satisfied.
    Besides a judge's own options: `as`, `threshold`, `abstain_within`, `timeout_seconds` (docs/judges.md)."""
    hide_reasoning: bool = False
    """Leave what stands between `<think>` and `</think>` out of what judges see. Rewards still see everything."""
    rewards: dict[str, Annotated[float, Field(ge=0)]] = {}
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
        fewest = type(self.optimizer).min_generations
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
        truncations = {"top_p": sampling.top_p < 1, "top_k": sampling.top_k > 0, "min_p": sampling.min_p > 0}
        refused = [name for name, active in truncations.items() if active and name not in sampling.allow]
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


class RewardSettings(Settings):
    """One reward: a sequence classifier with one output."""

    type: str = "sequence_classifier"
    """Kind of reward: `sequence_classifier`, or one of an installed plugin (group `cgpo.rewards`)."""
    model: str
    """Hub name or folder of the reward model."""
    max_length: int = Field(default=256, ge=8)
    """Most tokens of prompt + response the model sees; what is longer loses the start of the prompt."""
    batch_tokens: int = Field(default=8192, ge=64)
    """Padded tokens scored at once."""
    max_missing_rate: float = Field(default=0.1, ge=0, le=1)
    """Largest share of missing scores (NaN, infinite) in a step before the run stops."""


class WeightingSettings(Settings):
    """Automatic weights: raises ρ of the stratum that lags (formulas: `cgpo/weighting.py`)."""

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


class JudgingSettings(Settings):
    """What judges run on."""

    processes: int | None = Field(default=None, ge=1)
    """Worker processes for rule judges, on each rank. Unset: one less than the processors, 1 to 8."""
    memory_gib: float | None = Field(default=4.0, gt=0)
    """Address space of one worker in GiB. null: no limit, for plugins that load models."""
    early_stop: bool = False
    """Ask judges that start programs or ask models only when the cheaper ones found no violation; the others'
    verdicts are then `not_judged`."""
    cache: str = Field(default="run", min_length=1)
    """Where verdicts are kept that are dear to obtain, so that the same question is not asked twice: `run` (in the run
    directory), `off`, or a file that several runs share."""
    llm: LLMSettings | None = None
    """A model for judges to share: `{name: factuality, llm: ${judging.llm}}`. The group `judge` fills it."""


class ScheduleSettings(Settings):
    """How the learning rate changes over the steps (formulas: `cgpo/policy/schedule.py`)."""

    schedule: Literal["constant", "linear", "cosine"] = "constant"
    """After the warm-up the learning rate stays, or falls linearly or along half a cosine, over the steps left.
    `linear` and `cosine` depend on the number of steps, so that it cannot be raised when a run goes on."""
    final_learning_rate_ratio: float = Field(default=0.0, ge=0, le=1)
    """Learning rate of the last step as a share of the highest, for `linear` and `cosine`."""
    warmup_steps: int = Field(default=0, ge=0)
    """Steps over which the learning rate rises linearly to its value."""

    @model_validator(mode="after")
    def _ratio_is_used(self) -> ScheduleSettings:
        if self.schedule == "constant" and self.final_learning_rate_ratio:
            raise ValueError(
                f"`final_learning_rate_ratio` is {self.final_learning_rate_ratio:g}, but a constant schedule does not "
                "fall: set schedule=linear or cosine, or leave the ratio out"
            )
        return self


class KeepBestSettings(Settings):
    """Which checkpoint is the best."""

    metric: str
    """A number of the held-out evaluations: `<stratum>/<quantity>[/<judge>]`, e.g. `math/satisfied_rate`
    (docs/evaluation.md lists them)."""
    mode: Literal["max", "min"] = "max"
    """Whether more of it is better, or less."""


class TrainSettings(ScheduleSettings):
    """The optimiser step and its schedule."""

    steps: int = Field(default=100, ge=1)
    """Optimiser steps of the whole run, those before a resume included."""
    learning_rate: float = Field(default=1e-6, gt=0)
    """AdamW's learning rate."""
    betas: list[Annotated[float, Field(ge=0, lt=1)]] = Field(default=[0.9, 0.95], min_length=2, max_length=2)
    """AdamW's two decay rates."""
    weight_decay: float = Field(default=0.0, ge=0)
    """AdamW's weight decay."""
    max_grad_norm: float = Field(default=1.0, gt=0)
    """The gradient is scaled down to this norm."""
    epochs_per_step: int = Field(default=1, ge=1)
    """Optimiser steps on each step's responses, all strata together, with log-probs computed anew before each. Above 1
    the later ones are off-policy: policy-gradient optimisers then want `clip_range`."""
    micro_batch_tokens: int = Field(default=4096, ge=16)
    """Most tokens (prompt + response) in one forward and backward pass on one rank."""
    share_prompts: bool = True
    """Lay the responses of one prompt in one row behind it, computing the prompt once. Switch off for models that
    do not take a four-dimensional attention mask."""
    balance_ranks: bool = True
    """Share the responses that carry gradient over the ranks so that each has about as many tokens to learn from."""
    logit_chunk_tokens: int = Field(default=256, ge=1)
    """Response tokens whose logits [tokens, vocabulary] exist at once."""
    save_every: int = Field(default=50, ge=0)
    """Steps between checkpoints; 0 = only at the end and when interrupted."""
    keep_checkpoints: int = Field(default=2, ge=1)
    """How many of the newest checkpoints stay on disk."""
    keep_best: KeepBestSettings | None = None
    """Also keep the best checkpoint by a metric of the held-out evaluations: `{metric: math/satisfied_rate}`. An
    evaluation that is better than all before writes a checkpoint, whatever `save_every` says. Unset: none."""

    @model_validator(mode="after")
    def _room_to_fall(self) -> TrainSettings:
        if self.schedule != "constant" and self.warmup_steps >= self.steps:
            raise ValueError(
                f"`warmup_steps` is {self.warmup_steps} and `steps` is {self.steps}: no step is left on which the "
                f"{self.schedule} schedule could fall"
            )
        return self


class EvalSettings(Settings):
    """Held-out evaluation in training."""

    every: int = Field(default=0, ge=0)
    """Steps between evaluations; 0 = never in between."""
    before: bool = False
    """Evaluate before the first step."""
    after: bool = False
    """Evaluate after the last step. With `before`, the run ends with a table of what changed."""
    temperature: float | None = Field(default=None, ge=0)
    """Sampling temperature; 0 = greedy. Unset: the stratum's own, so that rates, rewards and KL are expectations
    under the policy, the quantities CGPO optimises. KL can only be estimated from samples, not at 0."""
    responses_per_prompt: int = Field(default=1, ge=1)
    """Responses to each held-out prompt. With several, the share of prompts with at least one satisfied response is
    reported too, and intervals resample prompts. Needs sampling: greedy responses are all the same."""
    probes: list[JudgeEntry] = [JudgeSpec("repetition"), JudgeSpec("farewell"), JudgeSpec("refusal")]
    """Judges whose violation rates are reported for every stratum, but which constrain nothing."""
    preference: Annotated[JudgeSpec, BeforeValidator(_preference_from_options)] | None = None
    """A judge that compares each response with the reference's, e.g. `{llm: ${judging.llm}}`: options of the judge
    `preference`, or of another one by its `name`. Unset: the win rate is by reward alone."""
    max_unknown_rate: float = Field(default=0.2, ge=0, le=1)
    """Largest share of comparisons by `preference` without an answer; above it the evaluation stops."""
    confidence: float = Field(default=0.95, gt=0, lt=1)
    """Level of the intervals printed beside rates and changes."""

    @model_validator(mode="after")
    def _consistent(self) -> EvalSettings:
        if self.responses_per_prompt > 1 and self.temperature == 0:
            raise ValueError(
                f"`responses_per_prompt` is {self.responses_per_prompt}, but at `temperature` 0 (greedy) all responses "
                "to a prompt are the same: set responses_per_prompt=1, or a temperature above 0"
            )
        names = [spec.label for spec in self.probes]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"`probes` names a judge twice: {', '.join(twice)}; give one another name with `as`")
        return self


class VllmSettings(Settings):
    """vLLM in the process of the policy."""

    kv_cache_gib: float | None = Field(default=None, gt=0)
    """Size of the key-value cache in GiB. Unset: 1 on a CPU; on a GPU, `gpu_memory_utilization` decides."""
    gpu_memory_utilization: float = Field(default=0.4, gt=0, le=1)
    """Share of the GPU's memory vLLM may use (weights and cache)."""
    max_num_seqs: int = Field(default=256, ge=1)
    """Responses generated side by side."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Type of the engine's weights; auto = that of the policy."""
    enforce_eager: bool | None = None
    """No compilation and no CUDA graphs. Unset: true on a CPU, where compiling takes about a minute at each start
    for a small gain, false on a GPU."""


class RolloutSettings(Settings):
    """The rollout engine."""

    engine: str = "vllm"
    """`vllm`, `hf` (transformers, for platforms without vLLM), or one of an installed plugin."""
    max_logprob_gap: float = Field(default=0.05, gt=0)
    """Largest mean |log-prob of the engine − log-prob of the policy| per token after a sync, in nats; above it
    the run stops, because the engine then samples from another model than the one that learns."""
    probe_responses: int = Field(default=4, ge=1)
    """Responses per rank on which the gap is measured after each sync."""
    vllm: VllmSettings = VllmSettings()
    """Settings of the vLLM engine."""
    hf_batch_size: int = Field(default=32, ge=1)
    """Responses generated side by side by the hf engine."""
    options: dict[str, Any] = {}
    """Settings of a plugin's engine."""


class DeepSpeedSettings(Settings):
    """How the policy is sharded."""

    zero_stage: Literal[0, 1, 2, 3] = 0
    """ZeRO stage: 1 shards the optimiser state over ranks, 2 the gradients too, 3 the weights too."""
    offload_optimizer: Literal["none", "cpu"] = "none"
    """Keep AdamW's state and the float32 master weights in the host's memory and step there; needs ZeRO ≥ 1."""
    offload_parameters: Literal["none", "cpu"] = "none"
    """Keep the sharded weights in the host's memory and fetch them layer by layer; needs ZeRO 3."""
    config: dict[str, Any] = {}
    """Further keys for DeepSpeed's own configuration, passed on as they are."""

    @model_validator(mode="after")
    def _stage_can_offload(self) -> DeepSpeedSettings:
        needs = {"offload_optimizer": 1, "offload_parameters": 3}
        for name, stage in needs.items():
            if getattr(self, name) != "none" and self.zero_stage < stage:
                raise ValueError(
                    f"`{name}` is {getattr(self, name)}, but DeepSpeed moves only what it shards: it needs "
                    f"zero_stage ≥ {stage}, and it is {self.zero_stage}"
                )
        return self


class TrackingSettings(Settings):
    """What is recorded and shown."""

    tensorboard: bool = True
    """Write TensorBoard event files into the run directory."""
    wandb: bool = False
    """Log to Weights & Biases (needs the `tracking` extra)."""
    trackio: bool = False
    """Log to trackio, local and offline (needs the `tracking` extra)."""
    project: str = "cgpo"
    """Project name for wandb and trackio."""
    display: Literal["auto", "live", "plain", "off"] = "auto"
    """Progress: live in a terminal, plain lines elsewhere; `auto` decides."""
    report_samples: int = Field(default=12, ge=0)
    """Samples per stratum shown in report.html."""


class PreferenceSettings(Settings):
    """How `cgpo reward` gets its preference pairs when it makes them itself."""

    path: str | None = None
    """JSONL file of `{"prompt", "chosen", "rejected"}`. Unset: pairs are made from the strata's prompts."""
    model: str | None = None
    """Hub name or folder of the model whose responses are compared. Unset: `model.name`."""
    prompts_per_stratum: int = Field(default=40, ge=2)
    """Training prompts taken per stratum (all, if there are fewer)."""
    responses_per_prompt: int = Field(default=4, ge=1)
    """Responses sampled from the model per prompt."""
    temperature: float | None = Field(default=None, gt=0)
    """Sampling temperature of these responses. Unset: each stratum's own. A weak model's are better at a lower one."""
    corruptions_per_prompt: int = Field(default=2, ge=0, le=5)
    """Pairs per prompt of a response over a corruption of it (words shuffled, a loop, another prompt's response,
    an empty answer, cut off)."""
    heldout_share: float = Field(default=0.2, gt=0, lt=1)
    """Share of the prompts whose pairs measure accuracy and are not trained on."""


class RewardStageSettings(Settings):
    """`cgpo reward`: the stage that trains a reward model."""

    base: str = "minilm"
    """Hub name or folder of the encoder to start from; `minilm` is the small one of the quickstart."""
    pairs: PreferenceSettings = PreferenceSettings()
    """Where the preference pairs come from."""
    epochs: int = Field(default=2, ge=1)
    """Passes over the pairs."""
    batch_pairs: int = Field(default=16, ge=1)
    """Pairs per optimiser step."""
    learning_rate: float = Field(default=5e-5, gt=0)
    """AdamW's learning rate; it falls linearly to 0."""
    max_length: int = Field(default=128, ge=8)
    """Most tokens of prompt + response."""
    trainable_layers: int | None = Field(default=None, ge=0)
    """Train only the last so many layers and the head; 0 = the head alone. Unset: everything."""
    micro_batch_tokens: int = Field(default=8192, ge=16)
    """Most padded tokens in one forward and backward pass on one rank."""
    save_every: int = Field(default=200, ge=0)
    """Steps between checkpoints, from which a killed stage goes on; 0 = none."""


class StageDataSettings(Settings):
    """Where the rows of a supervised stage come from, and what is done with those that cannot be used."""

    path: str | None = None
    """JSONL, JSON, Parquet or CSV file, a glob, a folder, or the name of a data set on the Hugging Face hub."""
    name: str | None = None
    """Configuration (subset) of the hub data set."""
    split: str = "train"
    """Split of the data set."""
    size: int | None = Field(default=None, ge=2)
    """Take only the first so many rows. Unset: all."""
    prompt_column: str = "prompt"
    """Column with the prompt: a string or a list of messages."""
    bad_rows: Literal["stop", "drop"] = "stop"
    """A row that cannot be used stops the stage, or is left out. Either way they are counted, the first ones named."""
    too_long: Literal["drop", "stop"] = "drop"
    """What to do with a row of more than `max_length` tokens: leave it out (counted) or stop with an error."""
    heldout_share: float = Field(default=0.05, gt=0, lt=1)
    """Share of the prompts that are held out to measure on and never trained on."""


class ConversationDataSettings(StageDataSettings):
    """Conversations to imitate: `{"prompt", "response"}` or `{"messages"}` rows, or a generator's own."""

    generator: str | None = None
    """Name of a built-in prompt generator that knows golden responses: `math`. Needs `size`."""
    options: dict[str, Any] = {}
    """Options of the generator."""
    response_column: str = "response"
    """Column with the response to the prompt."""
    messages_column: str = "messages"
    """Column with a whole conversation, the last message the assistant's; used where a row has it."""

    @model_validator(mode="after")
    def _at_most_one_source(self) -> ConversationDataSettings:
        if self.generator is not None and self.path is not None:
            raise ValueError("set only one of `generator` and `path`")
        if self.generator is not None and self.size is None:
            raise ValueError("a generator needs `size`, the number of conversations to make")
        if self.generator is None and self.options:
            raise ValueError("`options` belongs to a generator; this is a data set")
        return self


class PairDataSettings(StageDataSettings):
    """Preference pairs: `{"prompt", "chosen", "rejected"}` rows."""

    chosen_column: str = "chosen"
    """Column with the better response: text, or a list of messages that ends with it."""
    rejected_column: str = "rejected"
    """Column with the worse one."""
    kinds: list[str] = []
    """Take only pairs of these kinds (`judged`, `shuffle`, …), where the rows have a `kind` as those of `cgpo reward`
    do. Empty: all."""


class PolicyStageSettings(ScheduleSettings):
    """What the stages that train the policy with labelled data have in common.

    AdamW's other settings (`train.betas`, `train.weight_decay`, `train.max_grad_norm`), `model.dtype` and `deepspeed`
    are those of the run.
    """

    model: str | None = None
    """Hub name or folder of the model to start from. Unset: `model.name`."""
    batch_size: int = Field(default=128, ge=1)
    """Rows per optimiser step, over all ranks. An epoch's last batch holds what is left."""
    learning_rate: float = Field(default=1e-5, gt=0)
    """AdamW's highest learning rate."""
    schedule: Literal["constant", "linear", "cosine"] = "cosine"
    """After the warm-up the learning rate stays, or falls linearly or along half a cosine, over the steps left."""
    final_learning_rate_ratio: float = Field(default=0.1, ge=0, le=1)
    """Learning rate of the last step as a share of the highest, for `linear` and `cosine`."""
    warmup_steps: int = Field(default=200, ge=0)
    """Steps over which the learning rate rises linearly to its value."""
    max_length: int | None = Field(default=None, ge=2)
    """Most tokens of prompt + response. Unset: `model.context_length`."""
    micro_batch_tokens: int = Field(default=4096, ge=16)
    """Most padded tokens in one forward and backward pass on one rank."""
    eval_every: int = Field(default=0, ge=0)
    """Steps between measurements on the held-out rows; 0 = only at the end (and, for `sft`, at the start)."""
    save_every: int = Field(default=200, ge=0)
    """Steps between checkpoints, from which a killed stage goes on; 0 = only when interrupted."""


class SftStageSettings(PolicyStageSettings):
    """`cgpo sft`: imitates given responses. The defaults are those of the CGPO paper (2 epochs, batch 128, learning
    rate 1e-5, 200 warm-up steps, cosine to 0.1)."""

    data: ConversationDataSettings = ConversationDataSettings()
    """The conversations."""
    epochs: int = Field(default=2, ge=1)
    """Passes over the conversations."""
    turns: Literal["all", "last"] = "all"
    """Learn every turn of the assistant in a conversation, or only the last one."""
    packing: bool = True
    """Lay several conversations in one row, none seeing another. Switch off for models that do not take a
    four-dimensional attention mask; the loss is the same."""


class DpoStageSettings(PolicyStageSettings):
    """`cgpo dpo`: a warm-up on preference pairs. Published: 3,000 steps; the rest is our choice."""

    data: PairDataSettings = PairDataSettings()
    """The pairs."""
    steps: int = Field(default=3000, ge=1)
    """Optimiser steps; the pairs are passed over as often as that takes."""
    batch_size: int = Field(default=64, ge=1)
    """Pairs per optimiser step, over all ranks. An epoch's last batch holds what is left."""
    learning_rate: float = Field(default=5e-7, gt=0)
    """AdamW's highest learning rate."""
    beta: float = Field(default=0.1, gt=0)
    """β: how much of a log-ratio counts; a larger one keeps the policy closer to the reference."""
    label_smoothing: float = Field(default=0.0, ge=0, lt=0.5)
    """ε: the share of pairs taken to be labelled the wrong way round."""
    sft_weight: float = Field(default=0.0, ge=0)
    """Weight of the chosen response's loss per token, added so that its likelihood does not fall along."""


class RunSettings(Settings):
    """The whole tree."""

    seed: int = Field(default=0, ge=0)
    """Everything random derives from it."""
    run_dir: str
    """The run's directory. Default: `run_base`, with `-sft`, `-reward` or `-dpo` behind it for the other stages; the
    same command goes on where it stopped."""
    run_base: str | None = None
    """What run directories begin with. Default: `runs/<experiment>`; experiments name the models of earlier stages
    by it (`${run_base}-sft/model`)."""
    model: ModelSettings
    """The policy and its reference."""
    strata: dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")], StratumSettings] = {}
    """Name → stratum. `cgpo sft`, `cgpo dpo` and `cgpo reward` with a file of pairs do without."""
    rewards: dict[str, RewardSettings] = {}
    """Name → reward that strata may use."""
    weighting: WeightingSettings = WeightingSettings()
    """Automatic weights of the strata."""
    judging: JudgingSettings = JudgingSettings()
    """What judges run on."""
    train: TrainSettings = TrainSettings()
    """The optimiser step and its schedule."""
    eval: EvalSettings = EvalSettings()
    """Held-out evaluation."""
    rollout: RolloutSettings = RolloutSettings()
    """The rollout engine."""
    deepspeed: DeepSpeedSettings = DeepSpeedSettings()
    """Sharding."""
    tracking: TrackingSettings = TrackingSettings()
    """Metrics, display and report."""
    reward_stage: RewardStageSettings = RewardStageSettings()
    """Settings of `cgpo reward`."""
    sft_stage: SftStageSettings = SftStageSettings()
    """Settings of `cgpo sft`."""
    dpo_stage: DpoStageSettings = DpoStageSettings()
    """Settings of `cgpo dpo`."""

    @model_validator(mode="after")
    def _consistent(self) -> RunSettings:
        if not self.strata:
            return self
        evaluates = self.eval.before or self.eval.after or self.eval.every
        if evaluates and not any(s.heldout for s in self.strata.values()):
            raise ValueError("`eval` asks for evaluations, but no stratum has `heldout` prompts")
        self._check_keep_best()
        if self.model.dtype != "float32" and self.deepspeed.zero_stage == 0:
            raise ValueError(
                f"`model.dtype` is {self.model.dtype} and `deepspeed.zero_stage` is 0, where DeepSpeed sums the "
                f"gradients of micro-batches in {self.model.dtype}: they would be rounded away. Set deepspeed=zero1 "
                "(on one rank it costs nothing), zero2 or zero3"
            )
        for name, stratum in self.strata.items():
            for reward in stratum.rewards:
                if reward not in self.rewards:
                    known = ", ".join(sorted(self.rewards)) or "(none)"
                    raise ValueError(f"strata.{name}.rewards: unknown reward {reward!r}. Allowed: {known}")
        self._check_schedules()
        return self

    def _check_schedules(self) -> None:
        """Every stratum takes part in some step, and every step has a stratum."""
        steps = self.train.steps
        counts = {name: stratum.schedule.active_steps(0, steps) for name, stratum in self.strata.items()}
        for name, count in counts.items():
            if count == 0:
                start = self.strata[name].schedule.start
                raise ValueError(
                    f"strata.{name}.schedule.start is {start}, but the run has the steps 0 to {steps - 1} "
                    f"(train.steps = {steps}): the stratum would never take part"
                )
        if steps in counts.values():
            return
        schedules = [stratum.schedule for stratum in self.strata.values()]
        idle = [step for step in range(steps) if not any(schedule.active(step) for schedule in schedules)]
        if idle:
            raise ValueError(
                f"strata.*.schedule: in {len(idle)} of {steps} steps, the first of them step {idle[0]} (counted from "
                "0), no stratum takes part; change a `start`, `end` or `every`, or train.steps"
            )

    def _check_keep_best(self) -> None:
        asked = self.train.keep_best
        if asked is None:
            return
        if not (self.eval.every or self.eval.after):
            raise ValueError("`train.keep_best` chooses by evaluations: set `eval.every` (or `eval.after`)")
        from cgpo.evaluation.metrics import evaluation_metric_names

        allowed = evaluation_metric_names(self)
        if asked.metric not in allowed:
            raise ValueError(unknown_name("metric", asked.metric, allowed, "train.keep_best.metric"))
