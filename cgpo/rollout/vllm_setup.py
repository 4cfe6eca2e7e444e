"""Starts vLLM in this process: its environment and its arguments."""

from __future__ import annotations

import os
import warnings
from typing import Any

from cgpo.errors import ConfigError, RunError
from cgpo.rollout.engine import NO_VLLM, EngineContext

ENVIRONMENT = {
    # The engine core in this process: weights go over by reference, and nothing runs while the policy learns.
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    # On a CPU vLLM starts with a dozen warnings about libraries that would make it faster.
    "VLLM_LOGGING_LEVEL": "ERROR",
    "VLLM_NO_USAGE_STATS": "1",
}
"""What vLLM reads from the environment; a value the user has set stays."""

CPU_BLOCK_TOKENS = 32
"""Tokens in a cache block on a CPU. Only whole blocks are shared by the responses to a prompt: with vLLM's own 128 a
prompt of 100 tokens would be computed anew for each of them. Its CPU attention wants multiples of 32."""

CPU_KV_CACHE_GIB = 1.0
"""Default size of the key-value cache on a CPU. vLLM's own default takes a large share of the machine's memory."""
CPU_STEP_TOKENS = 4096
"""Tokens a step of the engine has room for on a CPU; a longer context raises it."""


def start(context: EngineContext) -> Any:
    """A `vllm.LLM` on the policy's model.

    Raises:
        ConfigError: vLLM is not installed.
        RunError: it does not start: the model is not one it knows, or memory is short.
    """
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    _check_process_group(context)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        try:
            from vllm import LLM
        except ImportError as error:
            raise ConfigError(f"{NO_VLLM}. ({error})") from error
        try:
            return LLM(**arguments(context))
        except (ValueError, RuntimeError, AssertionError, OSError) as error:
            raise RunError(f"vLLM does not start with the model {context.model_path}: {error}") from error


def stop(llm: Any) -> None:
    """Shut vLLM down, and leave the process group as it is.

    In one process vLLM ends by destroying the default group, which is the policy's too: its last checkpoint, or any
    later collective, would fail.
    """
    import torch.distributed as dist

    destroy = dist.destroy_process_group

    def destroy_own(group: Any = None) -> None:
        if group is not None and group is not dist.group.WORLD:
            destroy(group)

    dist.destroy_process_group = destroy_own
    try:
        llm.llm_engine.engine_core.shutdown()
    finally:
        dist.destroy_process_group = destroy


def arguments(context: EngineContext) -> dict[str, Any]:
    """The arguments of `vllm.LLM`."""
    from vllm.config.weight_transfer import WeightTransferConfig

    from cgpo.rollout import weight_sync

    settings = context.settings.vllm
    chosen: dict[str, Any] = {
        "model": context.model_path,
        "revision": context.revision,
        "tokenizer_revision": context.revision,
        "trust_remote_code": context.trust_remote_code,
        "dtype": context.dtype if settings.dtype == "auto" else settings.dtype,
        "max_model_len": context.context_length,
        "max_num_seqs": settings.max_num_seqs,
        "seed": context.seed % 2**32,
        "use_tqdm_on_load": False,
        # π is taken at the sampling temperature; vLLM's default reports log-probs before it.
        "logprobs_mode": "processed_logprobs",
        # The k responses to a prompt share its cache.
        "enable_prefix_caching": True,
        "enable_chunked_prefill": True,
        "weight_transfer_config": WeightTransferConfig(backend=weight_sync.BACKEND),
        "worker_extension_cls": f"{weight_sync.__name__}.{weight_sync.WorkerExtension.__name__}",
    }
    if context.world_size > 1:
        # One engine a process, each on the device of its local rank. The default would put all on device 0.
        chosen["distributed_executor_backend"] = "external_launcher"
    return chosen | (_gpu_arguments(context) if can_sleep() else _cpu_arguments(context))


def can_sleep() -> bool:
    """Whether there is a GPU, whose memory a sleeping engine can give back."""
    import torch

    return torch.cuda.is_available()


def weight_sender(llm: Any) -> Any:
    """The policy's side of the weight transfer."""
    from vllm import envs
    from vllm.distributed.weight_transfer.factory import WeightTransferTrainerFactory

    from cgpo.rollout.weight_sync import LocalClient, ShmTrainerInitInfo

    info = ShmTrainerInitInfo(rank=0, same_process=not envs.VLLM_ENABLE_V1_MULTIPROCESSING)
    return WeightTransferTrainerFactory.trainer_init(info, client=LocalClient(llm))


def _gpu_arguments(context: EngineContext) -> dict[str, Any]:
    settings = context.settings.vllm
    chosen: dict[str, Any] = {
        "enforce_eager": bool(settings.enforce_eager),
        "gpu_memory_utilization": settings.gpu_memory_utilization,
        "enable_sleep_mode": True,
    }
    if settings.kv_cache_gib is not None:
        chosen["kv_cache_memory_bytes"] = int(settings.kv_cache_gib * 2**30)
    return chosen


def _cpu_arguments(context: EngineContext) -> dict[str, Any]:
    # A prompt that is cut into two steps makes vLLM turn its seeded generator back, which CPU generators cannot do
    # ("CPU Generator does not use offset"); so a prompt is taken whole, and a step has room for the longest.
    whole = {"enable_chunked_prefill": False, "max_num_batched_tokens": max(context.context_length, CPU_STEP_TOKENS)}
    chosen: dict[str, Any] = {"enforce_eager": True, **whole}
    # vLLM lets the variable win over the argument; it is read here too so that its size is not claimed twice.
    if not os.environ.get("VLLM_CPU_KVCACHE_SPACE"):
        size = context.settings.vllm.kv_cache_gib or CPU_KV_CACHE_GIB
        chosen["kv_cache_memory_bytes"] = int(size * 2**30)
    return chosen


def _check_process_group(context: EngineContext) -> None:
    import torch.distributed as dist

    if context.world_size > 1 and not dist.is_initialized():
        raise RunError(
            f"the run has {context.world_size} processes, but no process group yet: start it before the engine"
        )
