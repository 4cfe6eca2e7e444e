"""A model's full weights as a stream, whatever it is sharded over and whatever adapter it carries."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor

from cgpo.policy.lora import adapted_parameters, factors, is_adapter, merged, plain_name


class ModuleWeights:
    """A re-iterable stream of a model's full weights under their transformers names (`rollout.WeightStream`).

    ZeRO-3 shards are gathered one parameter at a time; iterating is then a collective. An adapter is added to each
    weight as it passes, in a copy: the model's own weights are never touched.

    Args:
        causal_lm: the model.
        adapter: False leaves the adapter out: the model as it was before one was put in.
    """

    def __init__(self, causal_lm: Any, *, adapter: bool = True) -> None:
        self._causal_lm = causal_lm
        self._adapted = adapted_parameters(causal_lm) if adapter else {}

    def metadata(self) -> list[tuple[str, torch.dtype, tuple[int, ...]]]:
        """Name, type and full shape of each parameter, without gathering."""
        return [(plain_name(n), p.dtype, tuple(getattr(p, "ds_shape", p.shape))) for n, p in self._parameters()]

    def __iter__(self) -> Iterator[tuple[str, Tensor]]:
        for name, parameter in self._parameters():
            layer = self._adapted.get(name)
            with gathered([parameter, *(factors(layer) if layer else [])]):
                yield plain_name(name), merged(parameter, layer) if layer else parameter.detach()

    def _parameters(self) -> Iterator[tuple[str, torch.nn.Parameter]]:
        return ((name, p) for name, p in self._causal_lm.named_parameters() if not is_adapter(name))


def gathered(parameters: Sequence[Tensor]) -> AbstractContextManager[None]:
    """Within it, parameters that ZeRO-3 has sharded are whole; a collective where there are such."""
    sharded = [p for p in parameters if hasattr(p, "ds_id")]
    if not sharded:
        return nullcontext()
    import deepspeed

    context: AbstractContextManager[None] = deepspeed.zero.GatheredParameters(sharded)
    return context
