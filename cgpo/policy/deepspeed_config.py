"""DeepSpeed's own configuration, made from ours."""

from __future__ import annotations

from typing import Any

from cgpo.config import RunSettings
from cgpo.errors import ConfigError

_OURS = {
    "train_batch_size",
    "train_micro_batch_size_per_gpu",
    "gradient_accumulation_steps",
    "gradient_clipping",
    "zero_optimization.stage",
    "zero_optimization.offload_optimizer",
    "zero_optimization.offload_param",
    "bf16.enabled",
    "fp16.enabled",
    "data_types.grad_accum_dtype",
    "optimizer",
    "scheduler",
}

_GROUPS = ("zero_optimization", "bf16", "fp16", "data_types")


def deepspeed_config(settings: RunSettings) -> dict[str, Any]:
    """The dictionary for `deepspeed.initialize`.

    The number of micro-batches changes from step to step and is steered by the loop, so batch sizes say 1. Gradients
    are summed over micro-batches in float32 whatever the weights' type: left to itself DeepSpeed sums them in the
    weights' type, and three steps of 20 bfloat16 micro-batches of a small net ended 2e-3 from the exact weights instead
    of 1e-8. Stage 1 reduces once a step, so the finished sum travels as float32 too; stages 2 and 3 reduce each
    micro-batch's gradient in the type it was computed in.

    Raises:
        ConfigError: `deepspeed.config` sets what another setting decides.
    """
    extra = settings.deepspeed.config
    nested = {f"{group}.{key}" for group in _GROUPS for key in extra.get(group, {})}
    clash = sorted(_OURS & {*extra, *nested})
    if clash:
        raise ConfigError(
            f"deepspeed.config: {', '.join(clash)} follow from other settings (model.dtype, deepspeed.zero_stage, "
            "deepspeed.offload_*, train.*, strata.*) and cannot be set here"
        )
    dtype = settings.model.dtype
    ours: dict[str, dict[str, Any]] = {
        "zero_optimization": _zero(settings),
        "bf16": {"enabled": dtype == "bfloat16"},
        "fp16": {"enabled": dtype == "float16"},
        "data_types": {"grad_accum_dtype": "fp32"},
    }
    whole_sum = {"communication_data_type": "fp32"} if settings.deepspeed.zero_stage == 1 else {}
    return {
        "train_micro_batch_size_per_gpu": 1,
        "gradient_accumulation_steps": 1,
        "gradient_clipping": settings.train.max_grad_norm,
        "zero_allow_untested_optimizer": True,
        "zero_force_ds_cpu_optimizer": False,  # torch's fused AdamW steps on the host too, and needs no compiler
        "steps_per_print": 10**9,
        **whole_sum,
        **extra,
        **{group: {**extra.get(group, {}), **values} for group, values in ours.items()},
    }


def _zero(settings: RunSettings) -> dict[str, Any]:
    chosen: dict[str, Any] = {"stage": settings.deepspeed.zero_stage}
    if settings.deepspeed.offload_optimizer != "none":
        chosen["offload_optimizer"] = {"device": settings.deepspeed.offload_optimizer}
    if settings.deepspeed.offload_parameters != "none":
        chosen["offload_param"] = {"device": settings.deepspeed.offload_parameters}
    return chosen
