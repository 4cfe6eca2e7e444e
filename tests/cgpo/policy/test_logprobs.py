"""log π(a|s): aligned, masked, at the sampling temperature, the same in every layout."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from policies import settings_for
from transformers import (
    AutoModelForCausalLM,
    CohereConfig,
    Gemma2Config,
    GemmaConfig,
    GPT2Config,
    GraniteConfig,
    LlamaConfig,
)

from cgpo.config import ModelSettings
from cgpo.errors import ConfigError
from cgpo.policy import chunk_logprobs as chunk_module
from cgpo.policy.layout import SHARED, Layout, TokenSequence, idle_micro_batch, micro_batches
from cgpo.policy.layout_choice import choose_layout, layout_gap
from cgpo.policy.loading import load_causal_lm
from cgpo.policy.logprobs import LogProbModel, ResponseHead, sequence_sums

VOCABULARY = 97
SMALL = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
}
SEQUENCES = [
    TokenSequence((5, 6, 7), (8, 9, 10, 2)),
    TokenSequence((5, 6, 7), (11, 2)),
    TokenSequence((5, 6, 7), (12, 13, 14, 15, 16)),
    TokenSequence((20, 21, 22, 23, 24), (2,)),
    TokenSequence((30,), (31, 32, 33)),
]


def tiny(config: Any) -> Any:
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(config, attn_implementation="sdpa").eval()


def sums(
    model: Any, max_tokens: int = 256, share: bool = True, temperature: float = 1.0, chunk: int = 3
) -> torch.Tensor:
    wrapped = LogProbModel(model, chunk)
    total = torch.zeros(len(SEQUENCES))
    for batch in micro_batches(SEQUENCES, range(len(SEQUENCES)), max_tokens, Layout(share)):
        total = total + sequence_sums(wrapped(batch, temperature)[0], batch.sample, len(SEQUENCES))
    return total


def transformers_loss(model: Any, sequence: TokenSequence) -> float:
    """Transformers' own cross-entropy on the response, as a sum of log-probs."""
    ids = torch.tensor([[*sequence.prompt_ids, *sequence.response_ids]])
    labels = ids.clone()
    labels[:, : len(sequence.prompt_ids)] = -100
    return -float(model(input_ids=ids, labels=labels).loss) * len(sequence.response_ids)


def test_agrees_with_transformers_own_loss() -> None:
    model = tiny(LlamaConfig(**SMALL))
    expected = [transformers_loss(model, s) for s in SEQUENCES]
    torch.testing.assert_close(sums(model), torch.tensor(expected), atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize(("max_tokens", "share"), [(256, False), (8, True), (1, True), (1, False), (14, False)])
def test_layout_does_not_change_the_numbers(max_tokens: int, share: bool) -> None:
    model = tiny(LlamaConfig(**SMALL))
    torch.testing.assert_close(sums(model, max_tokens, share), sums(model), atol=1e-4, rtol=1e-5)


def test_a_response_does_not_see_its_siblings() -> None:
    model = tiny(LlamaConfig(**SMALL))
    wrapped = LogProbModel(model, 4)
    alone, together = [SEQUENCES[0]], [TokenSequence((5, 6, 7), (50, 51, 52)), SEQUENCES[0]]
    (one,) = micro_batches(alone, [0], 64)
    (two,) = micro_batches(together, [0, 1], 64)
    mine = wrapped(two, 1.0)[0][two.sample == 1]
    torch.testing.assert_close(mine, wrapped(one, 1.0)[0], atol=1e-5, rtol=1e-5)


def test_temperature_divides_the_logits() -> None:
    model = tiny(LlamaConfig(**SMALL))
    ids = torch.tensor([[5, 6, 7, 8, 9, 10, 2]])
    expected = (model(input_ids=ids).logits / 0.5).log_softmax(-1)[0, 2:6].gather(1, ids[0, 3:, None]).sum()
    assert float(sums(model, temperature=0.5)[0]) == pytest.approx(float(expected), abs=1e-4)


def test_the_end_token_counts_and_nothing_behind_it() -> None:
    (batch,) = micro_batches(SEQUENCES, [0, 3], 64)
    assert batch.target[batch.sample == 0].tolist() == [8, 9, 10, 2]
    assert batch.target[batch.sample == 3].tolist() == [2]
    assert batch.target.numel() == 5  # padding predicts nothing, though 2 is this model's padding id too


def test_gradient_is_that_of_the_plain_model() -> None:
    model = tiny(LlamaConfig(**SMALL))
    weight = torch.tensor([0.3, -0.7, 0.2, 1.1, -0.4])
    (sums(model, chunk=2) * weight).sum().backward()
    ours = {name: p.grad.clone() for name, p in model.named_parameters()}
    model.zero_grad()
    loss = torch.zeros(())
    for w, s in zip(weight, SEQUENCES, strict=True):
        ids = torch.tensor([[*s.prompt_ids, *s.response_ids]])
        start = len(s.prompt_ids)
        logprobs = model(input_ids=ids).logits.log_softmax(-1)[0, start - 1 : -1]
        loss = loss + w * logprobs.gather(1, ids[0, start:, None]).sum()
    loss.backward()
    for name, p in model.named_parameters():
        torch.testing.assert_close(ours[name], p.grad, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("config", [LlamaConfig(**SMALL), GraniteConfig(**SMALL, logits_scaling=3.0)])
def test_logits_exist_for_a_chunk_at_a_time(config: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    head, target = ResponseHead(tiny(config), chunk=4), torch.arange(3, 13)
    hidden = torch.randn(10, SMALL["hidden_size"], requires_grad=True)
    seen: list[int] = []

    def linear(hidden: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        seen.append(len(hidden))
        return plain(hidden, weight, bias)

    plain = torch.nn.functional.linear
    monkeypatch.setattr(chunk_module, "linear", linear)
    monkeypatch.setattr(torch.nn.functional, "linear", linear)
    logprobs = head(hidden, target, 1.0)
    assert seen == [4, 4, 2]
    logprobs.sum().backward()
    assert sorted(seen[3:]) == [2, 4, 4]  # computed anew


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_a_chunks_gradient_is_autograds(dtype: torch.dtype, bias: bool) -> None:
    torch.manual_seed(3)
    sizes = {"hidden": (5, 8), "weight": (11, 8), "bias": (11,)}
    target, factor = torch.tensor([0, 3, 3, 10, 7]), torch.tensor([1.0, -2.0, 0.5, 0.0, 3.0])

    def gradients(logprobs_of: Any) -> list[torch.Tensor]:
        inputs = {name: value.clone().requires_grad_() for name, value in drawn.items()}
        logprobs = logprobs_of(inputs["hidden"], inputs["weight"], inputs.get("bias"))
        return [logprobs, *torch.autograd.grad((logprobs * factor).sum(), list(inputs.values()))]

    def plainly(hidden: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        logits = torch.nn.functional.linear(hidden, weight, bias).to(torch.promote_types(dtype, torch.float32))
        return (logits / 0.7).log_softmax(1).gather(1, target[:, None]).squeeze(1)

    drawn = {name: torch.randn(size, dtype=dtype) for name, size in sizes.items() if bias or name != "bias"}
    ours = gradients(lambda h, w, b: chunk_module.chunk_logprobs(h, w, b, target, 0.7))
    for found, expected in zip(ours, gradients(plainly), strict=True):
        assert found.dtype == expected.dtype
        tolerance = {"atol": 1e-12, "rtol": 1e-12} if dtype == torch.float64 else {"atol": 1e-2, "rtol": 1e-2}
        torch.testing.assert_close(found, expected, **tolerance)


def test_a_frozen_head_gets_no_gradient() -> None:
    hidden, weight = torch.randn(3, 8, requires_grad=True), torch.randn(11, 8)
    chunk_module.chunk_logprobs(hidden, weight, None, torch.tensor([1, 2, 3]), 1.0).sum().backward()
    assert weight.grad is None
    assert hidden.grad is not None


@pytest.mark.parametrize(
    "config",
    [
        GraniteConfig(**SMALL, logits_scaling=3.0),
        CohereConfig(**SMALL, logit_scale=0.25),
        Gemma2Config(**SMALL, head_dim=8, final_logit_softcapping=5.0),
        GemmaConfig(**SMALL, head_dim=8),
    ],
    ids=["granite", "cohere", "gemma2", "gemma"],
)
def test_architectures_that_change_their_logits(config: Any) -> None:
    assert layout_gap(LogProbModel(tiny(config), 4), SHARED, 24, 0.7).largest < 1e-5


def test_an_unknown_change_of_logits_is_refused() -> None:
    model = tiny(LlamaConfig(**SMALL))
    plain = model.forward

    def scaled(*args: Any, **kwargs: Any) -> Any:
        out = plain(*args, **kwargs)
        out.logits = out.logits * 1.5
        return out

    model.forward = scaled
    with pytest.raises(ConfigError, match="are not those of its own logits"):
        choose_layout(LogProbModel(model, 4), settings_for("scaled"), "scaled")


def test_dropout_is_off_in_training_mode(tmp_path: Path) -> None:
    tiny(GPT2Config(vocab_size=VOCABULARY, n_embd=32, n_layer=2, n_head=4, resid_pdrop=0.5)).save_pretrained(tmp_path)
    model = load_causal_lm(str(tmp_path), ModelSettings(name=str(tmp_path))).train()
    torch.testing.assert_close(sums(model, share=False), sums(model, share=False), atol=0, rtol=0)


def test_gradient_checkpointing_recomputes_and_changes_nothing() -> None:
    weight = torch.tensor([0.3, -0.7, 0.2, 1.1, -0.4])
    found = []
    for checkpointing in (False, True):
        model = tiny(LlamaConfig(**SMALL)).train()
        calls: list[int] = []
        if checkpointing:
            model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        model.model.layers[0].input_layernorm.register_forward_hook(lambda m, i, o, calls=calls: calls.append(1))
        (sums(model, 256) * weight).sum().backward()
        found.append((len(calls), [p.grad.clone() for p in model.parameters()]))
    assert found[1][0] == 2 * found[0][0]
    for a, b in zip(found[0][1], found[1][1], strict=True):
        torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-5)


def test_idle_micro_batch_gives_a_finite_number() -> None:
    model = tiny(LlamaConfig(**SMALL))
    assert torch.isfinite(LogProbModel(model, 4)(idle_micro_batch(), 1.0)[0]).all()
