"""log π(a|s) of given responses (docs/method.md, "Log-probabilities").

For each response token y_t with preceding hidden state h_t:  log_softmax(head(h_t) / T)[y_t]  in float32.
Only response positions reach the output head, and only `chunk` of them at a time, recomputed in the backward pass:
logits of the whole batch, [batch, length, vocabulary], never exist. The end token is part of the response.

A value head, for optimisers that want one, is a linear function of the same hidden states: V(s_t) of the state before
token y_t. It has one output for each stratum that wants values, and starts at 0.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from cgpo.errors import ConfigError
from cgpo.policy.attention import segments
from cgpo.policy.chunk_logprobs import chunk_logprobs
from cgpo.policy.layout import MicroBatch


class LogProbModel(nn.Module):
    """A causal language model whose forward pass gives log-probs of response tokens instead of logits.

    Args:
        causal_lm: a transformers causal language model.
        chunk: response tokens whose logits exist at once.
        value_outputs: outputs of the value head; 0 makes none.
        float32_logits: multiply by the output head in float32.

    Raises:
        ConfigError: `float32_logits`, and the output head is more than a linear layer.
    """

    def __init__(
        self, causal_lm: nn.Module, chunk: int, value_outputs: int = 0, *, float32_logits: bool = False
    ) -> None:
        super().__init__()
        self.causal_lm: Any = causal_lm
        self.head = ResponseHead(causal_lm, chunk, float32=float32_logits)
        self.value_head = _value_head(causal_lm, value_outputs) if value_outputs else None

    def forward(self, batch: MicroBatch, temperature: float) -> tuple[Tensor, Tensor]:
        """The log-prob of each response token at `temperature`, and the values of the state before it.

        Returns:
            float32 [M], in nats, and float32 [M, value_outputs]; float64 where the model is.
        """
        hidden = self._hidden(batch).flatten(0, 1)[batch.source]
        return self.head(hidden, batch.target, temperature), self._values(hidden)

    def _hidden(self, batch: MicroBatch) -> Tensor:
        """[B, L, hidden size]."""
        body = _body(self.causal_lm)
        if batch.alone:
            outputs = body(input_ids=batch.input_ids, use_cache=False)
        elif not batch.masked:  # transformers sees in the positions where a sequence begins
            outputs = body(input_ids=batch.input_ids, position_ids=batch.position_ids, use_cache=False)
        else:
            ones = torch.ones_like(batch.input_ids)
            with segments(batch.segment, batch.position_ids):
                outputs = body(
                    input_ids=batch.input_ids, attention_mask=ones, position_ids=batch.position_ids, use_cache=False
                )
        hidden: Tensor = outputs.last_hidden_state
        return hidden

    def _values(self, hidden: Tensor) -> Tensor:
        if self.value_head is None:
            return hidden.new_zeros(len(hidden), 0, dtype=torch.float32)
        values: Tensor = self.value_head(hidden)
        return _float32_at_least(values)


class ResponseHead(nn.Module):
    """The output head with its log-softmax, `chunk` tokens at a time, as one module.

    ZeRO-3 gathers the weights of a module each time it is called, on all ranks at once: ranks with unequally many
    tokens must call it equally often. This one is called once a pass, and calls the model's head past DeepSpeed's
    hooks; `shared_parameters` have to be gathered for it.

    Args:
        causal_lm: the model whose head it is.
        chunk: response tokens whose logits exist at once.
        float32: multiply in float32 whatever the model's type.
    """

    def __init__(self, causal_lm: Any, chunk: int, *, float32: bool = False) -> None:
        super().__init__()
        self._of = (causal_lm,)  # in a tuple: its parameters stay those of the model
        self.chunk = chunk
        self.float32 = float32
        if float32 and type(self._linear) is not nn.Linear:
            raise ConfigError(
                f"train.float32_logits: the output head is a {type(self._linear).__name__}, not a linear layer alone. "
                "Set it to false, or take the head out of model.lora.target_modules"
            )
        self._adjust = _logit_adjustment(causal_lm.config)

    @property
    def shared_parameters(self) -> list[nn.Parameter]:
        """The parameters of the model that it computes with."""
        return list(self._linear.parameters())

    @property
    def _linear(self) -> nn.Module:
        linear: nn.Module = self._of[0].get_output_embeddings()
        return linear

    def forward(self, hidden: Tensor, target: Tensor, temperature: float) -> Tensor:
        """The log-prob of each response token.

        Args:
            hidden: [M, hidden size], the state before each token.
            target: int [M].
            temperature: of the distribution.

        Returns:
            float32 [M], in nats; float64 where the model is.
        """
        linear: Any = self._linear
        if type(linear) is not nn.Linear:  # one with an adapter has modules of its own, which are called as a whole
            return self._recomputed(linear.forward, hidden, target, temperature)
        weight: Tensor = linear.weight
        bias: Tensor | None = linear.bias
        if self.float32:  # copies, made once a pass; gradients flow through them
            weight, bias = _float32_at_least(weight), None if bias is None else _float32_at_least(bias)
        hidden = hidden.to(weight.dtype)
        parts = zip(torch.split(hidden, self.chunk), torch.split(target, self.chunk), strict=True)
        if self._adjust is None:
            return torch.cat([chunk_logprobs(h, weight, bias, y, temperature) for h, y in parts])
        multiply = partial(nn.functional.linear, weight=weight, bias=bias)
        return torch.cat([self._recomputed(multiply, h, y, temperature) for h, y in parts])

    def _recomputed(
        self, multiply: Callable[[Tensor], Tensor], hidden: Tensor, target: Tensor, temperature: float
    ) -> Tensor:
        """The log-probs of any head, whose logits are computed anew in the backward pass."""
        if not torch.is_grad_enabled():
            return self._logprobs(multiply, hidden, target, temperature)
        logprobs: Tensor = checkpoint(self._logprobs, multiply, hidden, target, temperature, use_reentrant=False)
        return logprobs

    def _logprobs(
        self, multiply: Callable[[Tensor], Tensor], hidden: Tensor, target: Tensor, temperature: float
    ) -> Tensor:
        logits = multiply(hidden)
        logits = logits if self._adjust is None else self._adjust(logits)
        logits = _float32_at_least(logits) / temperature
        return logits.gather(1, target[:, None]).squeeze(1) - logits.logsumexp(dim=1)


def _float32_at_least(values: Tensor) -> Tensor:
    return values.to(torch.promote_types(values.dtype, torch.float32))


def _body(causal_lm: Any) -> Any:
    body = causal_lm.base_model
    return causal_lm.model if body is causal_lm else body  # Llama-4 names its body otherwise than it is called


def _value_head(causal_lm: Any, outputs: int) -> nn.Linear:
    like = causal_lm.get_input_embeddings().weight
    head = nn.Linear(causal_lm.config.get_text_config().hidden_size, outputs, device=like.device, dtype=like.dtype)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    return head


def sequence_sums(token_logprobs: Tensor, sample: Tensor, n: int) -> Tensor:
    """float32 [n]: the sum of the token log-probs [M] of each sample; 0 for samples without tokens here."""
    return torch.zeros(n, dtype=torch.float32, device=token_logprobs.device).index_add(0, sample, token_logprobs)


def _logit_adjustment(config: Any) -> Callable[[Tensor], Tensor] | None:
    """What an architecture does to its logits after the output head (Gemma, Granite, Cohere); None: nothing."""
    if cap := getattr(config, "final_logit_softcapping", None):
        return lambda logits: torch.tanh(logits / cap) * cap
    if divisor := getattr(config, "logits_scaling", None):
        return lambda logits: logits / divisor
    if factor := getattr(config, "logit_scale", None):
        return lambda logits: logits * factor
    return None
