"""The `hf` engine: transformers alone, for platforms without vLLM.

A decoding loop of its own rather than `model.generate`: every request has its own noise, temperature and limit,
leaves the batch at the step in which it ends, and log-probs are taken as tokens are drawn instead of from a stored
[steps, batch, vocabulary].
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from cgpo.errors import ConfigError, RunError, nearest
from cgpo.rollout.engine import EngineContext, TokenIds, WeightStream, check_ready, whole_pass
from cgpo.rollout.requests import check_requests, response_text
from cgpo.rollout.sampling import draw, token_logprobs
from cgpo.types import GenerationRequest, Rollout


@dataclass
class _PartialResponse:
    """A response in the making."""

    request: GenerationRequest
    generator: torch.Generator
    limit: int
    ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    finish_reason: str | None = None

    def take(self, logits: Tensor, end_ids: frozenset[int]) -> None:
        """Draw the next token from `logits` [V]."""
        sampling = self.request.sampling
        logprobs = token_logprobs(logits, sampling)
        token = draw(logprobs, sampling, self.generator)
        self.ids.append(token)
        self.logprobs.append(float(logprobs[token]))
        if token in end_ids:
            self.finish_reason = "stop"
        elif len(self.ids) >= self.limit:
            self.finish_reason = "length"


class HfEngine:
    """A `RolloutEngine` on transformers, with its own copy of the model."""

    def __init__(self, context: EngineContext) -> None:
        """Load the model.

        Raises:
            ConfigError: there is no such causal language model.
        """
        self._context = context
        self._device = _device()
        self._model, self._tokenizer = _load(context)
        self._model.to(self._device)
        self._accepts = frozenset(inspect.signature(self._model.forward).parameters)
        self._end_ids = _end_ids(self._model, self._tokenizer)
        self._broken: str | None = None
        self._asleep = False

    def generate(self, requests: Sequence[GenerationRequest]) -> Iterator[Rollout]:
        """See `RolloutEngine.generate`. At temperature 0 the log-probs are those of temperature 1."""
        self._check_usable()
        check_requests(requests, self._context.context_length)
        return self._stream(list(requests))

    def _stream(self, requests: list[GenerationRequest]) -> Iterator[Rollout]:
        size = self._context.settings.hf_batch_size
        for start in range(0, len(requests), size):
            yield from self._decode([self._row(request) for request in requests[start : start + size]])

    def _row(self, request: GenerationRequest) -> _PartialResponse:
        room = self._context.context_length - len(request.prompt_ids)
        generator = torch.Generator(device=self._device).manual_seed(request.seed)
        return _PartialResponse(request, generator, min(request.sampling.max_tokens, room))

    @torch.no_grad()
    def _decode(self, rows: list[_PartialResponse]) -> Iterator[Rollout]:
        """Decode a batch to its end, yielding each row when it is finished."""
        ids, mask = self._left_padded([row.request.prompt_ids for row in rows])
        positions = (mask.cumsum(-1) - 1).clamp(min=0)
        cache: Any = None
        while rows:
            output = self._forward(ids, mask, positions, cache)
            cache = output.past_key_values
            for row, logits in zip(rows, output.logits[:, -1], strict=True):
                row.take(logits, self._end_ids)
            for row in rows:
                if row.finish_reason is not None:
                    yield self._rollout(row)
            going = [i for i, row in enumerate(rows) if row.finish_reason is None]
            if 0 < len(going) < len(rows):
                rest = torch.tensor(going, device=self._device)
                cache.batch_select_indices(rest)
                mask, positions = mask[rest], positions[rest]
            rows = [rows[i] for i in going]
            ids = torch.tensor([[row.ids[-1]] for row in rows], device=self._device)
            mask = torch.cat([mask, mask.new_ones(len(mask), 1)], dim=-1)
            positions = positions[:, -1:] + 1

    def _left_padded(self, prompts: Sequence[TokenIds]) -> tuple[Tensor, Tensor]:
        """Ids and mask, [B, T] each. The mask comes from lengths: the padding id may be a real token too."""
        width = max(len(prompt) for prompt in prompts)
        ids = torch.zeros(len(prompts), width, dtype=torch.long)
        mask = torch.zeros(len(prompts), width, dtype=torch.long)
        for row, prompt in enumerate(prompts):
            ids[row, width - len(prompt) :] = torch.tensor(prompt)
            mask[row, width - len(prompt) :] = 1
        return ids.to(self._device), mask.to(self._device)

    def _forward(self, ids: Tensor, mask: Tensor, positions: Tensor, cache: Any) -> Any:
        optional = {"position_ids": positions, "logits_to_keep": 1}
        known = {name: value for name, value in optional.items() if name in self._accepts}
        return self._model(input_ids=ids, attention_mask=mask, past_key_values=cache, use_cache=True, **known)

    def _rollout(self, row: _PartialResponse) -> Rollout:
        text = response_text(self._tokenizer, row.ids)
        return Rollout(row.request, text, tuple(row.ids), tuple(row.logprobs), str(row.finish_reason))

    @torch.no_grad()
    def score(self, sequences: Sequence[tuple[TokenIds, TokenIds]]) -> list[list[float]]:
        """See `RolloutEngine.score`. One sequence at a time, because [B, T, V] logits of many would not fit."""
        self._check_usable()
        return [self._score_one(prompt_ids, response_ids) for prompt_ids, response_ids in sequences]

    def _score_one(self, prompt_ids: TokenIds, response_ids: TokenIds) -> list[float]:
        if not response_ids:
            return []
        ids = torch.tensor([prompt_ids + response_ids], device=self._device)
        positions = len(response_ids) + 1
        keep = {"logits_to_keep": positions} if "logits_to_keep" in self._accepts else {}
        logits = self._model(input_ids=ids, use_cache=False, **keep).logits[0, -positions:-1]
        scores: list[float] = logits.float().log_softmax(-1).gather(1, ids[0, 1 - positions :, None])[:, 0].tolist()
        return scores

    @torch.no_grad()
    def sync(self, weights: WeightStream) -> None:
        """See `RolloutEngine.sync`."""
        self._check_usable()
        # Both names of a tied weight lead to the same parameter.
        parameters = dict(self._model.named_parameters(remove_duplicate=False))
        canonical = [name for name, _ in self._model.named_parameters()]
        _check_fit(parameters, canonical, weights)
        try:
            with closing(whole_pass(weights)) as stream:
                for name, tensor in stream:
                    parameters[name].copy_(tensor)
        except BaseException as error:
            self._broken = f"{type(error).__name__}: {error}"
            raise

    def sleep(self) -> None:
        """Move the weights to the host (GPU only)."""
        self._asleep = True
        if self._model is not None:
            self._model.to("cpu")

    def wake(self) -> None:
        """See `RolloutEngine.wake`."""
        self._asleep = False
        if self._model is not None:
            self._model.to(self._device)

    def close(self) -> None:
        """See `RolloutEngine.close`."""
        self._model = None

    def _check_usable(self) -> None:
        if self._model is None:
            raise RunError("the rollout engine is closed")
        check_ready(self._broken, self._asleep)


def _device() -> torch.device:
    if not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))


def _load(context: EngineContext) -> tuple[Any, Any]:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    origin = {"revision": context.revision, "trust_remote_code": context.trust_remote_code}
    try:
        model = AutoModelForCausalLM.from_pretrained(
            context.model_path, dtype=getattr(torch, context.dtype), attn_implementation="sdpa", **origin
        )
        tokenizer = AutoTokenizer.from_pretrained(context.model_path, **origin)
    except (OSError, ValueError, KeyError) as error:
        raise ConfigError(
            f"the rollout engine cannot load a causal language model from {context.model_path}: {error}"
        ) from error
    return model.eval().requires_grad_(False), tokenizer


def _end_ids(model: Any, tokenizer: Any) -> frozenset[int]:
    """Tokens that end a response: the tokenizer's, and what the model's generation configuration adds."""
    named = model.generation_config.eos_token_id
    more = named if isinstance(named, list) else [named]
    return frozenset(int(i) for i in [tokenizer.eos_token_id, *more] if i is not None)


def _check_fit(parameters: dict[str, Any], canonical: list[str], weights: WeightStream) -> None:
    """Refuse weights that are not this model's, before any is touched.

    Raises:
        RunError: a name is unknown or missing, or a shape differs.
    """
    arriving: set[int] = set()
    for name, _, shape in weights.metadata():
        if name not in parameters:
            close = nearest(name, parameters)
            meant = f" (nearest: {close!r})" if close else ""
            raise RunError(f"weight sync: the engine's model has no parameter {name!r}{meant}")
        if tuple(parameters[name].shape) != tuple(shape):
            raise RunError(
                f"weight sync: {name} has shape {tuple(shape)}, the engine's {tuple(parameters[name].shape)}"
            )
        arriving.add(id(parameters[name]))
    missing = [name for name in canonical if id(parameters[name]) not in arriving]
    if missing:
        raise RunError(f"weight sync: no weights for {len(missing)} parameters of the engine, such as {missing[0]!r}")
