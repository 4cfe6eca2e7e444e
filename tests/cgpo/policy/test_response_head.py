"""The output head on a few hidden states, against log_softmax(W h + b) by hand; the value head beside it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from architectures import random_model
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaForCausalLM

from cgpo.errors import ConfigError
from cgpo.policy import logprobs
from cgpo.policy.layout import PACKED, SEPARATE, SHARED, Layout, TokenSequence, micro_batches
from cgpo.policy.layout_choice import layout_gap
from cgpo.policy.logprobs import LogProbModel, ResponseHead, sequence_sums

WORDS, SIZE, TOKENS = 11, 6, 7
TEMPERATURE = 0.7


class Adapted(nn.Linear):
    """A linear layer that is more than one, as with an adapter."""


class OnlyAHead(nn.Module):
    """A causal language model of nothing but an output head and what it says of its logits."""

    def __init__(self, head: nn.Linear, **config: float) -> None:
        super().__init__()
        self.head = head
        self.config = SimpleNamespace(**config)
        self.seen: list[int] = []
        plain = head.forward
        head.forward = lambda hidden: self.seen.append(len(hidden)) or plain(hidden)  # type: ignore[method-assign, func-returns-value]

    def get_output_embeddings(self) -> nn.Linear:
        return self.head


def head_of(
    kind: type[nn.Linear] = nn.Linear, *, bias: bool = True, dtype: torch.dtype = torch.float32, **config: float
) -> OnlyAHead:
    torch.manual_seed(0)
    return OnlyAHead(kind(SIZE, WORDS, bias=bias).to(dtype), **config)


def states(dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(1)
    return torch.randn(TOKENS, SIZE, generator=draw).to(dtype), torch.randint(WORDS, (TOKENS,), generator=draw)


def by_hand(model: OnlyAHead, hidden: Tensor, target: Tensor, adjust: Any = lambda logits: logits) -> Tensor:
    bias = 0.0 if model.head.bias is None else model.head.bias.double()
    logits = adjust(hidden.double() @ model.head.weight.double().T + bias)
    return (logits / TEMPERATURE).log_softmax(-1)[torch.arange(len(target)), target]


@pytest.mark.parametrize(
    ("config", "adjust"),
    [
        ({}, lambda logits: logits),
        ({"final_logit_softcapping": 0.5}, lambda logits: torch.tanh(logits / 0.5) * 0.5),
        ({"logits_scaling": 3.0}, lambda logits: logits / 3.0),
        ({"logit_scale": 0.25}, lambda logits: logits * 0.25),
        ({"final_logit_softcapping": None, "logits_scaling": None, "logit_scale": None}, lambda logits: logits),
    ],
)
def test_log_probs_are_those_of_the_logits_as_the_model_changes_them(config: Any, adjust: Any) -> None:
    model = head_of(**config)
    for with_gradient in (True, False):
        with torch.set_grad_enabled(with_gradient):
            found = ResponseHead(model, 3)(*states(), TEMPERATURE)
        torch.testing.assert_close(found.double(), by_hand(model, *states(), adjust), atol=1e-6, rtol=1e-6)


def test_a_chunk_at_a_time_and_a_head_with_modules_of_its_own_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    model, chunks = head_of(Adapted), []
    ResponseHead(model, 3)(*states(), TEMPERATURE)
    assert model.seen == [TOKENS]
    plain = logprobs.chunk_logprobs
    monkeypatch.setattr(logprobs, "chunk_logprobs", lambda h, *rest: chunks.append(len(h)) or plain(h, *rest))
    ResponseHead(head_of(), 3)(*states(), TEMPERATURE)
    assert chunks == [3, 3, 1]


@pytest.mark.parametrize("kind", [nn.Linear, Adapted])
def test_gradients_are_those_by_hand_and_a_head_of_modules_is_computed_again_for_them(kind: type[nn.Linear]) -> None:
    model, (hidden, target) = head_of(kind), states()
    hidden.requires_grad_()
    found = ResponseHead(model, 4)(hidden, target, TEMPERATURE)
    gradients = torch.autograd.grad(found.sum(), [hidden, model.head.weight])
    assert model.seen == ([TOKENS] * 2 if kind is Adapted else [])
    plain = by_hand(model, hidden, target).sum()
    for gradient, expected in zip(gradients, torch.autograd.grad(plain, [hidden, model.head.weight]), strict=True):
        torch.testing.assert_close(gradient, expected.float(), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", [nn.Linear, Adapted])
def test_no_token_has_no_log_prob(kind: type[nn.Linear]) -> None:
    found = ResponseHead(head_of(kind), 3)(torch.zeros(0, SIZE), torch.zeros(0, dtype=torch.long), TEMPERATURE)
    assert found.shape == (0,)


@pytest.mark.parametrize(("dtype", "expected"), [(torch.bfloat16, torch.float32), (torch.float64, torch.float64)])
def test_log_probs_are_float32_at_least(dtype: torch.dtype, expected: torch.dtype) -> None:
    assert ResponseHead(head_of(dtype=dtype), 3)(*states(dtype), TEMPERATURE).dtype == expected


@pytest.mark.parametrize("bias", [True, False])
def test_float32_logits_of_a_bfloat16_head_are_exact_and_gradients_reach_its_weights(bias: bool) -> None:
    model, (hidden, target) = head_of(bias=bias, dtype=torch.bfloat16), states(torch.bfloat16)
    rounded = ResponseHead(model, 3)(hidden, target, TEMPERATURE)
    exact = ResponseHead(model, 3, float32=True)(hidden, target, TEMPERATURE)
    expected = by_hand(model, hidden, target).float()
    torch.testing.assert_close(exact, expected, atol=1e-6, rtol=1e-6)
    assert float((rounded - expected).detach().abs().max()) > 1e-4
    parameters = list(model.head.parameters())
    for found, by_definition in zip(
        torch.autograd.grad(exact.sum(), parameters), torch.autograd.grad(expected.sum(), parameters), strict=True
    ):
        assert found.dtype == torch.bfloat16
        torch.testing.assert_close(found, by_definition, atol=1e-2, rtol=1e-2)


def test_float32_logits_need_a_plain_head() -> None:
    with pytest.raises(
        ConfigError,
        match=r"^train\.float32_logits: the output head is a Adapted, not a linear layer alone\. "
        r"Set it to false, or take the head out of model\.lora\.target_modules$",
    ):
        ResponseHead(head_of(Adapted), 3, float32=True)
    ResponseHead(head_of(Adapted), 3)


def test_the_parameters_that_zero_3_has_to_gather_are_the_head_s_and_stay_the_model_s() -> None:
    model = head_of()
    head = ResponseHead(model, 3)
    assert [id(p) for p in head.shared_parameters] == [id(model.head.weight), id(model.head.bias)]
    assert list(head.parameters()) == []


def llama(dtype: torch.dtype = torch.float32) -> Any:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=31, hidden_size=16, intermediate_size=24, num_hidden_layers=1, num_attention_heads=2
    )
    return LlamaForCausalLM(config).to(dtype).eval()


PAIR = [TokenSequence((5, 6), (7, 8, 9)), TokenSequence((5, 6), (10, 11))]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("layout", [SHARED, PACKED, SEPARATE])
@torch.no_grad()
def test_a_value_is_a_linear_function_of_the_state_before_its_token(layout: Layout, dtype: torch.dtype) -> None:
    model = LogProbModel(llama(dtype), 2, value_outputs=3)
    (batch,) = micro_batches(PAIR, [0, 1], 64, layout)
    _, values = model(batch, 1.0)
    assert values.tolist() == [[0.0] * 3] * 5, "it starts at 0"
    head = model.value_head
    assert head is not None
    assert {p.dtype for p in head.parameters()} == {dtype}
    head.weight.copy_(torch.arange(48).reshape(3, 16) / 64)
    head.bias.copy_(torch.tensor([0.5, 0.0, -2.0]))
    _, values = model(batch, 1.0)
    assert (values.shape, values.dtype) == ((5, 3), torch.float32)
    expected = []
    for sequence in PAIR if batch.sample[0] == 0 else reversed(PAIR):
        ids = torch.tensor([[*sequence.prompt_ids, *sequence.response_ids]])
        hidden = model.causal_lm.model(input_ids=ids).last_hidden_state[0, 1:-1]
        expected.append(hidden.float() @ head.weight.float().T + head.bias.float())
    near = 1e-5 if dtype == torch.float32 else 0.1
    torch.testing.assert_close(values, torch.cat(expected), atol=near, rtol=near)


@torch.no_grad()
def test_a_longer_response_behind_a_shorter_one_is_as_on_its_own() -> None:
    # Its positions reach those places of the row where it stands itself: a mask must not take one for the other.
    pair = [TokenSequence((5, 6), (7, 8)), TokenSequence((5, 6), (9, 10, 11, 12, 13, 14))]
    model = LogProbModel(llama(), 2)
    (together,), (alone,) = micro_batches(pair, [0, 1], 64), micro_batches(pair, [0, 1], 64, SEPARATE)
    assert torch.equal(together.target, alone.target)
    torch.testing.assert_close(model(together, 1.0)[0], model(alone, 1.0)[0], atol=1e-5, rtol=1e-5)


def test_without_a_value_head_there_are_no_values() -> None:
    (batch,) = micro_batches(PAIR, [0, 1], 64)
    for dtype in (torch.float32, torch.bfloat16):
        model = LogProbModel(llama(dtype), 2)
        assert model.value_head is None
        found, values = model(batch, 1.0)
        assert (found.shape, values.shape, values.dtype) == ((5,), (5, 0), torch.float32)


def test_float32_logits_are_off_unless_asked_for() -> None:
    assert [LogProbModel(llama(torch.bfloat16), 2).head.float32, ResponseHead(head_of(), 2).float32] == [False] * 2
    assert LogProbModel(llama(torch.bfloat16), 2, float32_logits=True).head.float32


@pytest.mark.parametrize("layout", [SHARED, PACKED, SEPARATE])
def test_no_keys_and_values_are_kept(layout: Layout) -> None:
    causal_lm, kept = llama(), []
    causal_lm.model.register_forward_hook(lambda module, inputs, outputs: kept.append(outputs.past_key_values))
    for batch in micro_batches(PAIR, [0, 1], 64, layout):
        LogProbModel(causal_lm, 2)(batch, 1.0)
    assert kept == [None]


@pytest.mark.parametrize("family", ["gpt2", "llama4"])
@pytest.mark.parametrize("layout", [SHARED, SEPARATE])
def test_a_body_of_another_name_is_found(family: str, layout: Layout) -> None:
    assert layout_gap(LogProbModel(random_model(family), 7), layout, 24, TEMPERATURE).largest < 1e-5


def test_the_value_head_stands_where_the_model_does() -> None:
    head = LogProbModel(llama().to("meta"), 2, value_outputs=1).value_head
    assert head is not None
    assert {parameter.device.type for parameter in head.parameters()} == {"meta"}


def test_states_and_tokens_are_of_one_number() -> None:
    hidden, target = states()
    with pytest.raises(ValueError, match="zip"):
        ResponseHead(head_of(), 3)(hidden, target[:3], TEMPERATURE)


def test_sums_stand_where_the_log_probs_do() -> None:
    on_meta = torch.zeros(3, device="meta")
    assert sequence_sums(on_meta, on_meta.long(), 4).device.type == "meta"


def test_sums_are_by_sample_and_0_where_one_has_no_token_here() -> None:
    found = sequence_sums(torch.tensor([1.0, 2.0, 4.0]), torch.tensor([2, 0, 2]), 4)
    assert (found.tolist(), found.dtype) == ([2.0, 0.0, 5.0, 0.0], torch.float32)
