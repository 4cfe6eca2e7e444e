"""What the tokens of a row attend to where several sequences stand in it.

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
from transformers.masking_utils import AttentionMaskInterface, eager_mask, flex_attention_mask, sdpa_mask

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
        return (seen & same) | (query == key)

    return allowed


def _sdpa(*args: Any, **kwargs: Any) -> Tensor | None:
    return sdpa_mask(*args, **_adapted(kwargs))


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
