"""Settings of how responses are sampled, and by which engine."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from cgpo.config.base import Settings


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
    allow: list[Literal["top_p", "top_k", "min_p"]] = Field(default=[])
    """Truncations to allow in training although the sampler is then not the policy."""

    @property
    def truncations(self) -> list[str]:
        """Which of `top_p`, `top_k` and `min_p` make the sampler another distribution than π."""
        active = {"top_p": self.top_p < 1, "top_k": self.top_k > 0, "min_p": self.min_p > 0}
        return [name for name, on in active.items() if on]


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
    """Largest mean |log-prob of the engine − log-prob of the policy| per token, in nats: of fixed tokens after each
    sync, and of each stratum's responses before a step is learnt from. Above it the run stops, because the engine then
    samples from another model than the one that learns. In 16-bit types twice the gap measured before the first step
    is allowed where that is more."""
    max_logprob_gap_quantile: float | None = Field(default=None, gt=0)
    """99 % of a stratum's response tokens in a step must be within this gap, in nats. Unset: ten times what the mean
    may be."""
    probe_responses: int = Field(default=4, ge=1)
    """Responses per rank on which the gap is measured after each sync."""
    vllm: VllmSettings = VllmSettings()
    """Settings of the vLLM engine."""
    hf_batch_size: int = Field(default=32, ge=1)
    """Responses generated side by side by the hf engine."""
    options: dict[str, Any] = Field(default={})
    """Settings of a plugin's engine."""
