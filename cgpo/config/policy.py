"""Settings of the policy: its model, adapter, precision and sharding."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from cgpo.config.base import Settings


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


class DeepSpeedSettings(Settings):
    """How the policy is sharded."""

    zero_stage: Literal[0, 1, 2, 3] = 0
    """ZeRO stage: 1 shards the optimiser state over ranks, 2 the gradients too, 3 the weights too."""
    offload_optimizer: Literal["none", "cpu"] = "none"
    """Keep AdamW's state and the float32 master weights in the host's memory and step there; needs ZeRO ≥ 1."""
    offload_parameters: Literal["none", "cpu"] = "none"
    """Keep the sharded weights in the host's memory and fetch them layer by layer; needs ZeRO 3."""
    config: dict[str, Any] = Field(default={})
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
