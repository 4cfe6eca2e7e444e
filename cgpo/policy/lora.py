"""LoRA: the policy's weights stay, and a product of two thin matrices beside each linear layer is what is trained.

    y = W x + s · B (A x)          A [r, in] starts random, B [out, r] at 0, s = α / r (or α / √r)     arXiv 2106.09685

peft puts the layers into the model. The rollout engine gets W + s · B A under W's own name (`cgpo.policy.weights`), so
that it needs to know nothing of adapters. No dropout: log π must be a function of the weights.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from cgpo.config import LoraSettings
from cgpo.errors import ConfigError

ADAPTER = "default"
"""peft's name of the one adapter."""


def add_adapter(causal_lm: Any, settings: LoraSettings, seed: int) -> Any:
    """Puts an adapter into the model, in place, and freezes everything else.

    Args:
        causal_lm: a transformers causal language model, whole (not sharded).
        settings: `model.lora`.
        seed: of the random matrices A, so that every rank and every run has the same.

    Returns:
        peft's wrapper around the same model, which can save the adapter alone.

    Raises:
        ConfigError: peft is not installed, no module has one of these names, or one is no plain linear layer.
    """
    try:
        from peft import LoraConfig, TaskType, get_peft_model
    except ImportError as error:
        raise ConfigError("model.lora needs peft: pip install 'cgpo[train]'") from error
    config = LoraConfig(
        task_type=TaskType.CAUSAL_LM,
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=0.0,
        target_modules=settings.target_modules,
        use_rslora=settings.rank_stabilised,
    )
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            adapted = get_peft_model(causal_lm, config)
    except ValueError as error:
        linear = sorted({n.rpartition(".")[2] for n, m in causal_lm.named_modules() if isinstance(m, torch.nn.Linear)})
        raise ConfigError(
            f"model.lora.target_modules = {settings.target_modules}: {error}. Linear layers of this model: "
            f"{', '.join(linear)}"
        ) from error
    _check_mergeable(causal_lm)
    return adapted


@contextmanager
def adapter_off(causal_lm: Any) -> Iterator[None]:
    """The model computes as it did before `add_adapter`."""
    layers = list(_layers(causal_lm).values())
    for layer in layers:
        layer.enable_adapters(False)
    try:
        yield
    finally:
        for layer in layers:
            layer.enable_adapters(True)


def adapted_parameters(causal_lm: Any) -> dict[str, Any]:
    """Name of an adapted weight in this model → its LoRA layer; empty without an adapter."""
    return {f"{name}.base_layer.weight": layer for name, layer in _layers(causal_lm).items()}


def factors(layer: Any) -> list[Tensor]:
    """The layer's parameters A [r, in] and B [out, r]."""
    return [layer.lora_A[ADAPTER].weight, layer.lora_B[ADAPTER].weight]


def merged(weight: Tensor, layer: Any) -> Tensor:
    """W + s · B A, summed in float32 and rounded once to W's type; W is untouched. All three must be whole."""
    a, b = (f.detach().float() for f in factors(layer))
    delta = b @ a
    if layer.fan_in_fan_out:
        delta = delta.T
    return weight.detach().float().add(delta, alpha=float(layer.scaling[ADAPTER])).to(weight.dtype)


def merge_for_good(adapted: Any) -> Any:
    """The plain transformers model with the adapter added to its weights, from what `add_adapter` returned."""
    for layer in _layers(adapted.get_base_model()).values():
        layer.base_layer.weight.data = merged(layer.base_layer.weight, layer)
    return adapted.unload()


def leave_frozen_out(module: Any, state: dict[str, Any], prefix: str, local_metadata: Any) -> None:
    """A hook on state dicts: only what is trained stays. DeepSpeed's own overlooks the second name of a tied weight."""
    for name, parameter in module.named_parameters(remove_duplicate=False):
        if not parameter.requires_grad:
            state.pop(prefix + name, None)


def is_adapter(name: str) -> bool:
    """Whether a parameter belongs to the adapter."""
    return f".{ADAPTER}." in name and any(f".{part}." in name for part in ("lora_A", "lora_B"))


def plain_name(name: str) -> str:
    """A parameter's name in the model without adapter."""
    return name.replace(".base_layer.", ".")


def _layers(causal_lm: Any) -> dict[str, Any]:
    if not hasattr(causal_lm, "peft_config"):
        return {}
    from peft.tuners.tuners_utils import BaseTunerLayer

    return {name: module for name, module in causal_lm.named_modules() if isinstance(module, BaseTunerLayer)}


def _check_mergeable(causal_lm: Any) -> None:
    """Refuses layers whose merged weight would not be W + s · B A of one parameter.

    Raises:
        ConfigError: a layer is no linear one, or shares its weight with another module (a tied output head).
    """
    from peft.tuners.lora import Linear

    for name, layer in _layers(causal_lm).items():
        weight = layer.base_layer.weight
        if not isinstance(layer, Linear):
            raise ConfigError(f"model.lora.target_modules: {name} is a {type(layer.base_layer).__name__}, not linear")
        sharing = [
            f"{other}.{key}"
            for other, module in causal_lm.named_modules()
            for key, p in module.named_parameters(recurse=False)
            if p is weight and module is not layer.base_layer
        ]
        if sharing:
            raise ConfigError(
                f"model.lora.target_modules: {name} shares its weight with {sharing[0]}; an adapter on one of the two "
                "could not be merged"
            )
