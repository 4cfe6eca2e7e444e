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
    "optimizer",
    "scheduler",
}


def deepspeed_config(settings: RunSettings) -> dict[str, Any]:
    """The dictionary for `deepspeed.initialize`.

    The number of micro-batches changes from step to step and is steered by the loop, so batch sizes say 1.

    Raises:
        ConfigError: `deepspeed.config` sets what another setting decides.
    """
    extra = settings.deepspeed.config
    clash = sorted(_OURS & {*extra, *(f"zero_optimization.{k}" for k in extra.get("zero_optimization", {}))})
    if clash:
        raise ConfigError(
            f"deepspeed.config: {', '.join(clash)} follow from other settings (deepspeed.zero_stage, train.*, "
            "strata.*) and cannot be set here"
        )
    bf16 = settings.model.dtype == "bfloat16"
    return {
        "train_micro_batch_size_per_gpu": 1,
        "gradient_accumulation_steps": 1,
        "gradient_clipping": settings.train.max_grad_norm,
        "bf16": {"enabled": bf16},
        "zero_allow_untested_optimizer": True,
        "steps_per_print": 10**9,
        **extra,
        "zero_optimization": {"stage": settings.deepspeed.zero_stage, **extra.get("zero_optimization", {})},
    }
