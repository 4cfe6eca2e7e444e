"""log π(a|s) of given responses (docs/method.md, "Log-probabilities").

For each response token y_t with preceding hidden state h_t:  log_softmax(head(h_t) / T)[y_t]  in float32.
Only response positions reach the output head, and only `chunk` of them at a time, recomputed in the backward pass:
logits of the whole batch, [batch, length, vocabulary], never exist. The end token is part of the response.

A value head, for optimisers that want one, is a linear function of the same hidden states: V(s_t) of the state before
token y_t. It has one output for each stratum that wants values, and starts at 0.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from cgpo.errors import ConfigError
from cgpo.policy.attention import segments
from cgpo.policy.layout import MicroBatch, TokenSequence, micro_batches


class LogProbModel(nn.Module):
    """A causal language model whose forward pass gives log-probs of response tokens instead of logits.

    Args:
        causal_lm: a transformers causal language model.
        chunk: response tokens whose logits exist at once.
        value_outputs: outputs of the value head; 0 makes none.
    """

    def __init__(self, causal_lm: nn.Module, chunk: int, value_outputs: int = 0) -> None:
        super().__init__()
        self.causal_lm = causal_lm
        self.chunk = chunk
        self.value_head = _value_head(causal_lm, value_outputs) if value_outputs else None
        self._adjust = _logit_adjustment(causal_lm.config)

    def forward(self, batch: MicroBatch, temperature: float) -> tuple[Tensor, Tensor]:
        """The log-prob of each response token at `temperature`, and the values of the state before it.

        Returns:
            float32 [M], in nats, and float32 [M, value_outputs]; float64 where the model is.
        """
        hidden = self._hidden(batch).flatten(0, 1)[batch.source]
        parts = zip(torch.split(hidden, self.chunk), torch.split(batch.target, self.chunk), strict=True)
        if torch.is_grad_enabled():
            logprobs = [checkpoint(self._head, h, y, temperature, use_reentrant=False) for h, y in parts]
        else:
            logprobs = [self._head(h, y, temperature) for h, y in parts]
        return torch.cat(logprobs), self._values(hidden)

    def _hidden(self, batch: MicroBatch) -> Tensor:
        """[B, L, hidden size]."""
        body: Any = self.causal_lm.base_model
        if batch.alone:
            outputs = body(input_ids=batch.input_ids, use_cache=False)
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

    def _head(self, hidden: Tensor, target: Tensor, temperature: float) -> Tensor:
        model: Any = self.causal_lm
        logits = self._adjust(model.get_output_embeddings()(hidden))
        logits = _float32_at_least(logits) / temperature
        return logits.gather(1, target[:, None]).squeeze(1) - logits.logsumexp(dim=1)


def _float32_at_least(values: Tensor) -> Tensor:
    return values.to(torch.promote_types(values.dtype, torch.float32))


def _value_head(causal_lm: Any, outputs: int) -> nn.Linear:
    like = causal_lm.get_input_embeddings().weight
    head = nn.Linear(causal_lm.config.get_text_config().hidden_size, outputs, device=like.device, dtype=like.dtype)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    return head


def sequence_sums(token_logprobs: Tensor, sample: Tensor, n: int) -> Tensor:
    """float32 [n]: the sum of the token log-probs [M] of each sample; 0 for samples without tokens here."""
    return torch.zeros(n, dtype=torch.float32, device=token_logprobs.device).index_add(0, sample, token_logprobs)


def check_head(model: LogProbModel, vocabulary: int, share_prompts: bool) -> None:
    """Compares the log-probs with the model's own logits on a few tokens.

    Some architectures change logits after the output head; a change this project does not know would silently
    train on wrong numbers.

    Raises:
        ConfigError: they differ, or the model does not take this layout's inputs.
    """
    causal_lm: Any = model.causal_lm
    ids = [3 + i * 7 % max(vocabulary - 3, 1) for i in range(8)]
    sequences = [TokenSequence(tuple(ids[:4]), tuple(ids[4:])), TokenSequence(tuple(ids[:4]), tuple(ids[5:]))]
    device = next(causal_lm.parameters()).device
    with torch.no_grad():
        (batch,) = micro_batches(sequences, [0, 1], 64, share_prompts)
        batch = batch.to(device)
        ours = sequence_sums(model(batch, 1.0)[0], batch.sample, 2)
        theirs = [_plain_logprob(causal_lm, s, device) for s in sequences]
    gap = max(abs(float(a) - b) for a, b in zip(ours, theirs, strict=True))
    limit = 1e-3 if causal_lm.dtype == torch.float32 else 0.5
    if not gap <= limit:
        raise ConfigError(
            f"{type(causal_lm).__name__}: log-probs from its hidden states differ from its own logits by {gap:.3g} "
            "nats. Either it changes its logits in a way cgpo does not know, or it does not take a "
            "four-dimensional attention mask; for the latter set train.share_prompts=false."
        )


def _plain_logprob(causal_lm: Any, sequence: TokenSequence, device: torch.device) -> float:
    ids = torch.tensor([[*sequence.prompt_ids, *sequence.response_ids]], device=device)
    logprobs = causal_lm(input_ids=ids).logits.float().log_softmax(-1)
    start = len(sequence.prompt_ids)
    return float(logprobs[0, start - 1 : -1].gather(1, ids[0, start:, None]).sum())


def _logit_adjustment(config: Any) -> Callable[[Tensor], Tensor]:
    """What an architecture does to its logits after the output head (Gemma, Granite, Cohere)."""
    if cap := getattr(config, "final_logit_softcapping", None):
        return lambda logits: torch.tanh(logits / cap) * cap
    if divisor := getattr(config, "logits_scaling", None):
        return lambda logits: logits / divisor
    if factor := getattr(config, "logit_scale", None):
        return lambda logits: logits * factor
    return lambda logits: logits
