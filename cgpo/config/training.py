"""Settings of the optimiser step, of its schedule, and of what is kept of it (`train`)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from cgpo.config.base import Settings


class ScheduleSettings(Settings):
    """How the learning rate changes over the steps (formulas: `cgpo/policy/schedule.py`)."""

    schedule: Literal["constant", "linear", "cosine"] = "constant"
    """After the warm-up the learning rate stays, or falls linearly or along half a cosine, over the steps left.
    `linear` and `cosine` depend on the number of steps, so that it cannot be raised when a run goes on."""
    final_learning_rate_ratio: float = Field(default=0.0, ge=0, le=1)
    """Learning rate of the last step as a share of the highest, for `linear` and `cosine`. 0: it would be 0 one step
    later, so that the last step is not without effect."""
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
    """Steps of the whole run, those before a resume included."""
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
    share_prompts: bool | Literal["auto"] = "auto"
    """Lay the responses of one prompt in one row behind it, computing the prompt once; in the stages, several
    conversations in one row. `auto`: where the model's numbers stay the same and it costs less. true: always; an error
    with a model whose numbers would change. false: a row for each sequence."""
    attention: Literal["auto", "flash", "flex", "sdpa", "eager"] = "auto"
    """How attention is computed. `flash` (package flash-attn, GPUs): whole sequences one behind the other in one
    row, without masks or padding. `flex` (GPUs): block masks. `sdpa`: torch's own. `eager`: the model's own plain code,
    slow. `auto`: sdpa where the model's attention is all that sdpa computes; else flex on a GPU, eager on a CPU."""
    balance_ranks: bool = True
    """Share the responses that carry gradient over the ranks so that each has about as many tokens to learn from."""
    reuse_engine_logprobs: bool = False
    """Take the rollout engine's log-probs of a step's responses as the policy's, which saves a forward pass over them.
    The gradient pass then measures the gap between the two, and the optimiser step is not taken where it is above
    `rollout.max_logprob_gap`. Later epochs of a step, and strata that learn values, compute their own all the same."""
    logit_chunk_tokens: int = Field(default=256, ge=1)
    """Response tokens whose logits [tokens, vocabulary] exist at once."""
    float32_logits: bool = False
    """Multiply by the output head in float32 where the model is in a 16-bit type. Without it logits are rounded to that
    type, as rollout engines round them: about 0.02 nats a token. Costs time and a float32 copy of the head's weight."""
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
