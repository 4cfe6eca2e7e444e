"""Rows for kernels that take no mask: whole sequences, told apart by where their positions begin.

flash attention's kernels run on GPUs only. Here transformers calls kernels in plain torch in their place, with the
arguments it would give theirs: the lengths in the row, the window, the scale and the cap.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from architectures import SHARING, random_model
from policies import settings_for
from torch import Tensor
from transformers import modeling_flash_attention_utils as flash_utils

from cgpo.errors import ConfigError
from cgpo.policy.attention import attention_implementation
from cgpo.policy.layout import PACKED, TokenSequence, micro_batches
from cgpo.policy.layout_choice import EXACT, choose_layout, layout_gap, layout_text
from cgpo.policy.logprobs import LogProbModel

FAMILIES = ["llama", "qwen2", "gemma2", "gemma3", "mistral", "qwen3-moe"]


def attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    causal: bool,
    softmax_scale: float | None = None,
    window_size: tuple[int, int] = (-1, -1),
    softcap: float = 0.0,
    **unused: Any,
) -> Tensor:
    """Causal attention of one sequence: [L, heads, size] each, fewer heads of keys and values."""
    assert causal
    groups = query.shape[1] // key.shape[1]
    q, k, v = query, key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
    scores = torch.einsum("qhd,khd->hqk", q, k) * (softmax_scale or q.shape[-1] ** -0.5)
    if softcap:
        scores = torch.tanh(scores / softcap) * softcap
    distance = torch.arange(len(q))[:, None] - torch.arange(len(k))[None]
    seen = (distance >= 0) & ((distance <= window_size[0]) | (window_size[0] < 0))
    return torch.einsum("hqk,khd->qhd", scores.masked_fill(~seen, -torch.inf).softmax(-1), v)


@pytest.fixture
def lengths(monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    """Puts the plain kernels in place; where sequences end in each packed row they were called with."""
    called: list[list[int]] = []

    def one_length(query: Tensor, key: Tensor, value: Tensor, **kwargs: Any) -> Tensor:
        return torch.stack([attend(q, k, v, **kwargs) for q, k, v in zip(query, key, value, strict=True)])

    def many_lengths(
        query: Tensor, key: Tensor, value: Tensor, cu_seqlens_q: Tensor, cu_seqlens_k: Tensor, **kwargs: Any
    ) -> Tensor:
        assert torch.equal(cu_seqlens_q, cu_seqlens_k)
        called.append(cu_seqlens_q.tolist())
        sizes = cu_seqlens_q.diff().tolist()
        parts = zip(*(torch.split(t, sizes) for t in (query, key, value)), strict=True)
        return torch.cat([attend(q, k, v, **kwargs) for q, k, v in parts])

    knows = dict.fromkeys(
        ("dropout_p", "deterministic", "s_aux", "learnable_sink", "block_table", "page_table", "cache_seqlens"), False
    ) | dict.fromkeys(("window_size", "softcap", "max_seqlen_q", "max_seqlen_k"), True)
    process = partial(flash_utils._process_flash_attention_kwargs, supports_mapping=knows)
    kernels = (one_length, many_lengths, None, None, None), (process, None)
    monkeypatch.setattr(flash_utils, "lazy_import_flash_attention", lambda *args, **kwargs: kernels)
    return called


def with_flash(family: str, dtype: torch.dtype = torch.float32) -> Any:
    """The family's random model, as if it had been loaded with flash attention."""
    model = random_model(family, dtype=dtype)
    for config in {
        id(c): c for c in (model.config, *(m.config for m in model.modules() if hasattr(m, "config")))
    }.values():
        config._attn_implementation_internal = "flash_attention_2"
    return model


@pytest.mark.parametrize("family", FAMILIES)
def test_log_probs_are_those_of_the_model_with_another_attention(family: str, lengths: list[list[int]]) -> None:
    draw = torch.Generator().manual_seed(3)
    tokens = torch.randint(3, 97, (120,), generator=draw).tolist()
    parts = ((0, 21, 50), (50, 51, 52), (60, 62, 118), (0, 21, 22))  # with the shortest there are
    sequences = [TokenSequence(tuple(tokens[a:b]), tuple(tokens[b:c])) for a, b, c in parts]
    (batch,) = micro_batches(sequences, range(4), 200, PACKED)
    found, _ = LogProbModel(with_flash(family), 7)(batch, 0.7)
    assert lengths
    assert set(map(tuple, lengths)) == {(0, 57, 106, 127, 128)}  # longest first
    own = random_model(family)
    for i, s in enumerate(sequences):
        ids, start = torch.tensor([[*s.prompt_ids, *s.response_ids]]), len(s.prompt_ids)
        logprobs = (own(input_ids=ids, use_cache=False).logits[0, start - 1 : -1] / 0.7).log_softmax(-1)
        expected = logprobs.gather(1, ids[0, start:, None]).squeeze(1)
        torch.testing.assert_close(found[batch.sample == i], expected, atol=1e-5, rtol=0)


def test_it_is_chosen_once_it_is_proved(lengths: list[list[int]]) -> None:
    settings = settings_for("m", model={"context_length": 256}, sampling={"temperature": 0.7})
    for dtype in (torch.float32, torch.bfloat16):
        chosen = choose_layout(LogProbModel(with_flash("gemma3", dtype), 7), settings, "gemma3")
        assert chosen == PACKED
    assert lengths
    assert layout_text(chosen, "flash_attention_2").startswith(
        "whole sequences one behind the other, without padding; "
    )
    shared = settings_for("m", train={"share_prompts": True})
    with pytest.raises(ConfigError, match=r"share_prompts = true needs a mask"):
        choose_layout(LogProbModel(with_flash("llama"), 7), shared, "llama")


def test_kernels_that_do_not_see_where_sequences_end_are_refused(
    lengths: list[list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flash_utils, "_is_packed_sequence", lambda *args: False)
    settings = settings_for("m", model={"context_length": 256})
    chosen = choose_layout(LogProbModel(with_flash("llama"), 7), settings, "llama")
    assert not chosen.shares
    assert "with several in a row log-probs differ" in chosen.reason


@pytest.mark.parametrize("family", [f for f in SHARING if attention_implementation(SHARING[f], "auto", f) == "sdpa"])
def test_transformers_own_masks_tell_them_apart_too(family: str) -> None:
    """What the guard's copy in float32 of a model with flash attention computes with; where not, the guard sees it."""
    largest = layout_gap(LogProbModel(random_model(family), 7), PACKED, 60, 0.7).largest
    if family in ("llama4", "falcon"):  # their code takes chunks and positions from the row
        assert largest > EXACT
    else:
        assert largest < 1e-5
