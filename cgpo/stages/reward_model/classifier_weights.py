"""Which weights of a sequence classifier are trained, and all of them gathered on one rank."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from cgpo import distributed


def freeze_lower_layers(model: Any, trainable_layers: int | None) -> None:
    """Leaves gradients only to the last `trainable_layers` transformer layers and what comes after them.

    Args:
        model: a Hugging Face sequence classifier.
        trainable_layers: None changes nothing; 0 leaves only what is not in the base model, the head.
    """
    if trainable_layers is None:
        return
    base = model.base_model
    lists = [module for module in base.modules() if isinstance(module, torch.nn.ModuleList)]
    layers: list[Any] = list(max(lists, key=len, default=[]))
    base.requires_grad_(False)
    if not trainable_layers:
        return
    # Registration order is the order of the forward pass: embeddings, layers, final norm or pooler.
    trained = {id(p) for layer in layers[-trainable_layers:] for p in layer.parameters()}
    reached = False
    for parameter in base.parameters():
        reached = reached or id(parameter) in trained
        parameter.requires_grad_(reached)


def full_state_dict(engine: Any) -> dict[str, Tensor] | None:
    """The whole weights on rank 0 (None on the others), gathered from ZeRO-3 shards; every rank must call it."""
    module = engine.module
    sharded = [p for p in module.parameters() if hasattr(p, "ds_id")]
    if not sharded:
        return _copy(module) if distributed.rank() == 0 else None
    import deepspeed

    with deepspeed.zero.GatheredParameters(sharded):
        return _copy(module) if distributed.rank() == 0 else None


def _copy(module: Any) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().clone() for name, tensor in module.state_dict().items()}
