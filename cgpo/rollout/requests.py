"""Requests as every engine treats them: those that do not fit are refused, and token ids become text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cgpo.errors import ConfigError
from cgpo.types import GenerationRequest


def check_requests(requests: Sequence[GenerationRequest], context_length: int) -> None:
    """Refuse prompts that are empty or leave no room for a response.

    Raises:
        ConfigError: naming the first such prompt, its length and the context's.
    """
    for request in requests:
        length, where = len(request.prompt_ids), request.prompt.source or request.prompt.id
        if length == 0:
            raise ConfigError(f"strata.{request.stratum}: the prompt {where} has no tokens")
        if length >= context_length:
            raise ConfigError(
                f"strata.{request.stratum}: the prompt {where} has {length} tokens, which leaves no room for a "
                f"response in a context of {context_length} (model.context_length)"
            )


def response_text(tokenizer: Any, response_ids: Sequence[int]) -> str:
    """The response for people and judges to read: special tokens removed, spaces as the model wrote them."""
    text: str = tokenizer.decode(response_ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
    return text
