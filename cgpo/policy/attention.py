"""Attention in rows that hold several sequences: the masks, and which of transformers' implementations computes.

transformers states the mask of each kind of layer (full, sliding window, chunks) as a function of two places in a
sequence: may the query at place q see the key at place k? It calls it with places in the row, which are the same thing
where a row holds one sequence. Here a row holds several (`cgpo.policy.layout`), and the function is called with the
*positions* the tokens have in their own sequence, and its answer holds within a segment and towards the shared prompt:

    allowed(q, k) = mask(position_q, position_k) ∧ (segment_k = 0 ∨ segment_k = segment_q),    or q = k

So every kind of layer that transformers has a mask for is right without a word about it here. Masks are made on the
model's device, one for each kind of layer, when a pass needs them, and never for a row of one sequence: plain causal
attention has none.

transformers finds the maker of masks by the name of the attention implementation. Ours take the places of its own, and
are the same but within `segments`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import AutoModelForCausalLM
from transformers.masking_utils import AttentionMaskInterface, eager_mask, flex_attention_mask, sdpa_mask
from transformers.utils import is_flash_attn_2_available

from cgpo.errors import ConfigError

MaskFunction = Callable[[Any, Any, Any, Any], Tensor]
"""transformers' mask functions: (row, head, query's place, key's place) → may attend."""


@dataclass(frozen=True, slots=True)
class _Rows:
    segment: Tensor
    position: Tensor


_rows: ContextVar[_Rows | None] = ContextVar("_rows", default=None)


@contextmanager
def segments(segment: Tensor, position: Tensor) -> Iterator[None]:
    """Within it, a model's forward pass attends within the segments of its rows.

    The model has to be given an attention mask of ones: without a mask transformers looks for packed sequences itself.

    Args:
        segment: int [B, L]: 0 = the row's shared prompt, which all its segments see; 1, 2, … = what sees nothing of its
            neighbours; -1 = padding, which sees itself alone.
        position: int [B, L], the place of each token in its own sequence.
    """
    token = _rows.set(_Rows(segment, position))
    try:
        yield
    finally:
        _rows.reset(token)


def within_segments(mask_function: MaskFunction, segment: Tensor, position: Tensor) -> MaskFunction:
    """`mask_function` of places in a sequence, as a function of places in rows as `segments` describes them."""

    def allowed(row: Any, head: Any, query: Any, key: Any) -> Tensor:
        of_query, of_key = segment[row, query], segment[row, key]
        same = ((of_key == 0) | (of_key == of_query)) & (of_query >= 0)
        seen = mask_function(row, head, position[row, query], position[row, key])
        both: Tensor = (seen & same) | (query == key)
        return both

    return allowed


def _sdpa(*args: Any, **kwargs: Any) -> Tensor | None:
    mask: Tensor | None = sdpa_mask(*args, **_adapted(kwargs))
    return mask


def _eager(*args: Any, **kwargs: Any) -> Tensor | None:
    mask: Tensor | None = eager_mask(*args, **_adapted(kwargs))
    return mask


def _flex(*args: Any, **kwargs: Any) -> Any:
    return flex_attention_mask(*args, **_adapted(kwargs))


def _adapted(kwargs: dict[str, Any]) -> dict[str, Any]:
    """The arguments of a mask's maker, for the rows at hand."""
    rows = _rows.get()
    if rows is None:
        return kwargs
    mask = within_segments(kwargs["mask_function"], rows.segment, rows.position)
    return {**kwargs, "mask_function": mask, "attention_mask": None, "allow_is_causal_skip": False}


for _name, _maker in {"sdpa": _sdpa, "eager": _eager, "flex_attention": _flex}.items():
    AttentionMaskInterface.register(_name, _maker)


def attention_implementation(config: Any, wanted: str, name: str) -> str:
    """transformers' name of the attention a model is to be loaded with.

    torch's scaled_dot_product_attention knows neither a cap on attention's logits nor sinks, and transformers drops the
    cap there without a word (Gemma-2).

    Args:
        config: the model's configuration.
        wanted: as `train.attention`.
        name: of the model, for messages.

    Raises:
        ConfigError: this model, or this machine, cannot.
    """
    model = AutoModelForCausalLM._model_mapping.get(type(config), None)  # None: code from a hub, which is tried
    gpu, capped = torch.cuda.is_available(), bool(getattr(config.get_text_config(), "attn_logit_softcapping", None))
    why_not = {
        "sdpa": _first(
            (capped, "it caps the logits of its attention, which torch's attention does not"),
            (model is not None and not model._supports_sdpa, f"transformers has no such code for {_class_of(model)}"),
        ),
        "flex": _first(
            (not gpu, "there is no GPU here, and on a CPU FlexAttention has no backward pass"),
            (model is not None and not model._supports_flex_attn, f"transformers has none for {_class_of(model)}"),
        ),
        "flash": _first(
            (not gpu, "there is no GPU here"),
            (not is_flash_attn_2_available(), "the package flash-attn is not installed"),
            (model is not None and not model._supports_flash_attn, f"transformers has none for {_class_of(model)}"),
        ),
        "eager": None,
    }
    if wanted == "auto":
        wanted = next(kind for kind in ("sdpa", "flex", "eager") if why_not[kind] is None)
    if (reason := why_not[wanted]) is not None:
        possible = ", ".join(kind for kind, reason in why_not.items() if reason is None)
        raise ConfigError(f"train.attention = {wanted}: {name}: {reason}. Possible here: auto, {possible}")
    return {"flex": "flex_attention", "flash": "flash_attention_2"}.get(wanted, wanted)


def _first(*reasons: tuple[bool, str]) -> str | None:
    return next((reason for holds, reason in reasons if holds), None)


def _class_of(model: Any) -> str:
    return "it" if model is None else str(model.__name__)
