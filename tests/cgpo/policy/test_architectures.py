"""Every family in every layout offered for it: log-probs and gradients are the model's own, windows or not, T ≠ 1.

A wrong mask was seen once with each: masks that ignore the window, rows that share in models with a state, positions
counted along the row, a cap that is dropped.
"""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch
from architectures import ALONE, FAMILIES, SHARING, VOCABULARY, random_model
from policies import settings_for
from transformers import LlamaConfig, LlamaForCausalLM
from transformers.masking_utils import AttentionMaskInterface, causal_mask_function

from cgpo.errors import ConfigError
from cgpo.policy import attention
from cgpo.policy.attention import attention_implementation, within_segments
from cgpo.policy.layout import SEPARATE, SHARED, Layout, TokenSequence, micro_batches
from cgpo.policy.layout_choice import LayoutGap, choose_layout, layout_gap, layout_text, stateful_layer
from cgpo.policy.logprobs import LogProbModel

CASES = [*((family, SHARED) for family in SHARING), *((family, SEPARATE) for family in FAMILIES)]
NAMES = [f"{family}-{'shared' if layout.shares else 'separate'}" for family, layout in CASES]


def settings(**train: Any) -> Any:
    return settings_for("m", model={"context_length": 256}, train=train, sampling={"temperature": 0.7})


def sequences() -> list[TokenSequence]:
    draw = torch.Generator().manual_seed(3)
    tokens = torch.randint(3, VOCABULARY, (80,), generator=draw).tolist()
    prompt = tuple(tokens[:21])
    return [TokenSequence(prompt, tuple(part)) for part in (tokens[21:50], tokens[50:52], tokens[52:75])]


@pytest.mark.parametrize(("family", "layout"), CASES, ids=NAMES)
def test_log_probs_are_the_model_s_own(family: str, layout: Layout) -> None:
    gap = layout_gap(LogProbModel(random_model(family), 7), layout, 60, 0.7)
    assert gap.largest < 1e-5


@pytest.mark.parametrize(("family", "layout"), CASES, ids=NAMES)
def test_gradients_are_the_model_s_own(family: str, layout: Layout) -> None:
    model, weight = random_model(family), torch.tensor([0.5, -1.3, 0.8])
    loss = torch.zeros(())
    for w, s in zip(weight, sequences(), strict=True):
        ids, start = torch.tensor([[*s.prompt_ids, *s.response_ids]]), len(s.prompt_ids)
        logprobs = (model(input_ids=ids, use_cache=False).logits[0, start - 1 : -1] / 0.7).log_softmax(-1)
        loss = loss + w * logprobs.gather(1, ids[0, start:, None]).sum()
    loss.backward()
    theirs = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])
    model.zero_grad()
    ours = LogProbModel(model, 5)
    for batch in micro_batches(sequences(), range(3), 100, layout):
        (ours(batch, 0.7)[0] * weight[batch.sample]).sum().backward()
    mine = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])
    torch.testing.assert_close(mine, theirs, atol=float(1e-5 * theirs.abs().max()), rtol=1e-4)


@pytest.mark.parametrize("family", ["llama", "gemma3", "gpt-oss", "qwen3.5", "lfm2"])
def test_in_bfloat16_they_are_as_near_as_rounding(family: str) -> None:
    layout = SHARED if family in SHARING else SEPARATE
    exact = random_model(family).to(torch.bfloat16).float()  # the same rounded weights
    model = random_model(family, dtype=torch.bfloat16)
    gap = layout_gap(LogProbModel(model, 7), layout, 60, 1.0)
    assert gap.mean < 0.1
    assert layout_gap(LogProbModel(exact, 7), layout, 60, 1.0).largest < 1e-5


@pytest.mark.parametrize("family", FAMILIES)
def test_the_choice_is_to_share_where_that_is_exact(family: str) -> None:
    chosen = choose_layout(LogProbModel(random_model(family), 7), settings(), family)
    assert chosen.shares == (family in SHARING)


@pytest.mark.parametrize("family", ALONE)
def test_sharing_that_is_asked_for_where_it_is_not_exact_is_refused(family: str) -> None:
    with pytest.raises(ConfigError, match=r"train\.share_prompts = true: .*Use auto or false"):
        choose_layout(LogProbModel(random_model(family), 7), settings(share_prompts=True), family)


@pytest.mark.parametrize("family", ["lfm2", "granite-hybrid", "jamba", "qwen3.5"])
def test_the_guard_sees_state_that_leaks_in_bfloat16(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cgpo.policy.layout_choice.stateful_layer", lambda model: None)
    model = LogProbModel(random_model(family, dtype=torch.bfloat16), 7)
    assert not choose_layout(model, settings(), family).shares


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("family", ["gemma3", "mistral", "olmo3", "llama4"])
def test_the_guard_sees_a_window_that_is_ignored(
    family: str, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        attention,
        "within_segments",
        lambda mask, s, p, real=attention.within_segments: real(causal_mask_function, s, p),
    )
    model = LogProbModel(random_model(family, dtype=dtype), 7)
    assert not choose_layout(model, settings(), family).shares


def test_the_guard_sees_it_by_a_small_copy_of_a_model_too_large_to_compare(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cgpo.policy.layout_choice.AFFORDABLE", 0)
    assert choose_layout(LogProbModel(random_model("gemma3"), 7), settings(), "gemma3").shares
    monkeypatch.setattr(
        attention,
        "within_segments",
        lambda mask, s, p, real=attention.within_segments: real(causal_mask_function, s, p),
    )
    chosen = choose_layout(LogProbModel(random_model("gemma3"), 7), settings(), "gemma3")
    told = (
        r"^a row for each sequence \(with several in a row log-probs differ by up to .* nats a token .*\); attention: "
    )
    assert re.search(told, layout_text(chosen, "sdpa"))


def test_a_number_that_is_none_is_seen_in_every_comparison(monkeypatch: pytest.MonkeyPatch) -> None:
    # gemma-3 is compared at two lengths; the second one says NaN.
    found = iter([LayoutGap(0.0, 0.0), LayoutGap(0.0, float("nan")), LayoutGap(0.0, 0.0), LayoutGap(0.0, 0.0)])
    monkeypatch.setattr("cgpo.policy.layout_choice.layout_gap", lambda *args: next(found))
    assert not choose_layout(LogProbModel(random_model("gemma3"), 7), settings(), "gemma3").shares
    assert list(found) == []


def test_a_small_copy_has_no_padding_token_beyond_its_words() -> None:
    small = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = LlamaConfig(vocab_size=1600, pad_token_id=1500, **small)
    model = LlamaForCausalLM(config).to(torch.bfloat16).eval()
    assert choose_layout(LogProbModel(model, 7), settings(), "padded").shares
    assert model.config.pad_token_id == 1500


def test_what_was_chosen_is_said_with_its_reason() -> None:
    def said(family: str, **train: Any) -> str:
        return layout_text(choose_layout(LogProbModel(random_model(family), 7), settings(**train), family), "sdpa")

    assert said("llama").startswith("the responses of a prompt share a row where that costs less; attention: sdpa")
    assert said("llama", share_prompts=True).startswith("the responses of a prompt share a row; ")
    assert said("llama", share_prompts=False).startswith("a row for each sequence (train.share_prompts=false); ")
    assert said("lfm2").startswith(
        "a row for each sequence (layers of the kind conv have a state that runs through a row)"
    )


def test_the_guard_sees_siblings_that_see_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        attention, "within_segments", lambda mask, s, p, real=within_segments: real(mask, s.clamp(max=1), p)
    )
    for dtype in (torch.float32, torch.bfloat16):
        assert not choose_layout(LogProbModel(random_model("llama", dtype=dtype), 7), settings(), "llama").shares


@pytest.mark.parametrize("family", SHARING)
def test_eager_attention_is_the_same(family: str) -> None:
    gap = layout_gap(LogProbModel(random_model(family, "eager"), 7), SHARED, 60, 0.7)
    assert gap.largest < 1e-5


def test_a_block_mask_is_that_of_torch_s_attention() -> None:
    segment = torch.tensor([[0] * 20 + [1] * 30 + [2] * 70 + [-1] * 8, [0] * 5 + [1] * 100 + [2] * 23])
    position = torch.cat(
        [
            torch.cat([torch.arange(20), torch.arange(20, 50), torch.arange(20, 90), torch.zeros(8)])[None],
            torch.cat([torch.arange(5), torch.arange(5, 105), torch.arange(5, 28)])[None],
        ]
    ).long()
    made = {}
    for name in ("sdpa", "flex_attention"):
        maker = AttentionMaskInterface._global_mapping[name]
        with attention.segments(segment, position):
            made[name] = maker(
                batch_size=2,
                q_length=128,
                kv_length=128,
                mask_function=_window_of_16,
                attention_mask=torch.ones(2, 128, dtype=torch.bool),
            )
    b, q, k = (torch.arange(n) for n in (2, 128, 128))
    flex = made["flex_attention"].mask_mod(b[:, None, None], torch.tensor(0), q[None, :, None], k[None, None, :])
    assert torch.equal(flex, made["sdpa"][:, 0])
    assert made["sdpa"][0, 0, 50, 19]  # the first token of the second response sees the end of the prompt,
    assert not made["sdpa"][0, 0, 50, 20:50].any()  # nothing of its sibling,
    assert not made["sdpa"][0, 0, 50, :5].any()  # and no further back than the window


def _window_of_16(row: Any, head: Any, query: Any, key: Any) -> torch.Tensor:
    seen: torch.Tensor = (key <= query) & (key > query - 16)
    return seen


def test_attention_that_cannot_be_had_is_refused_by_name() -> None:
    for wanted, why in (("flash", "there is no GPU here"), ("flex", "no backward pass")):
        with pytest.raises(
            ConfigError, match=rf"train\.attention = {wanted}: llama: .*{why}.*Possible here: auto, sdpa"
        ):
            attention_implementation(SHARING["llama"], wanted, "llama")
    with pytest.raises(ConfigError, match="caps the logits of its attention"):
        attention_implementation(SHARING["gemma2"], "sdpa", "gemma2")
    with pytest.raises(ConfigError, match="transformers has no such code for GptOssForCausalLM"):
        attention_implementation(SHARING["gpt-oss"], "sdpa", "gpt-oss")
    assert attention_implementation(SHARING["gemma2"], "auto", "gemma2") == "eager"


def test_kinds_of_layers_with_a_state_are_known() -> None:
    stateful = {family for family in FAMILIES if stateful_layer(random_model(family)) is not None}
    assert stateful == {"lfm2", "granite-hybrid", "jamba", "mamba2", "qwen3.5"}
