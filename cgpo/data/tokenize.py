"""Prompts as token ids: the chat template applied, and what to do with prompts that are too long."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

from cgpo.data.template import check_template, for_template, open_block, rendered
from cgpo.errors import DataError
from cgpo.types import Prompt


def encode_prompt(tokenizer: Any, prompt: Prompt) -> tuple[int, ...]:
    """Token ids of the conversation in the model's chat template, up to where the response begins.

    Args:
        tokenizer: a tokenizer of transformers.
        prompt: the prompt.

    Raises:
        DataError: the tokenizer has no chat template, or the template refuses the messages or does not show their calls
            of tools.
    """
    check_template(tokenizer)
    import jinja2

    messages = for_template(tokenizer, prompt.messages, prompt.source)
    try:
        ids = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=True, return_dict=False)
    except (jinja2.TemplateError, TypeError) as error:
        raise DataError(f"{prompt.source}: the model's chat template refuses the prompt: {error}") from error
    return tuple(int(i) for i in ids)


def opens_reasoning(tokenizer: Any, prompt: Prompt) -> bool:
    """Whether the chat template itself opens a block of reasoning before a response to this prompt."""
    text = rendered(tokenizer, for_template(tokenizer, prompt.messages, prompt.source), reply=True)
    return open_block(text) is not None


def fit_prompts(
    prompts: Iterable[Prompt],
    tokenizer: Any,
    context_length: int,
    max_tokens: int,
    too_long: Literal["drop", "stop"],
    stratum: str,
) -> tuple[list[tuple[Prompt, tuple[int, ...]]], int]:
    """Encodes prompts and sorts out those that leave no room for `max_tokens` tokens of response.

    Args:
        prompts: the prompts.
        tokenizer: a tokenizer of transformers.
        context_length: most tokens of prompt and response together.
        max_tokens: most tokens of a response.
        too_long: `drop` leaves out prompts that are too long, `stop` makes the first one an error.
        stratum: name of the stratum, for messages.

    Returns:
        The prompts that fit, in order, each with its token ids; and the number of those dropped.

    Raises:
        DataError: a prompt is too long and the policy is `stop`, or all are; or see `encode_prompt`.
    """
    room = context_length - max_tokens
    if room < 1:
        raise DataError(
            f"strata.{stratum}.sampling.max_tokens: {max_tokens} tokens of response leave no room for a prompt "
            f"in a context of {context_length}"
        )
    encoded = [(prompt, encode_prompt(tokenizer, prompt)) for prompt in prompts]
    fitting = [(prompt, ids) for prompt, ids in encoded if len(ids) <= room]
    dropped = len(encoded) - len(fitting)
    if dropped and (too_long == "stop" or not fitting):
        prompt, ids = next((prompt, ids) for prompt, ids in encoded if len(ids) > room)
        raise DataError(
            f"{prompt.source}: the prompt has {len(ids)} tokens; with max_tokens={max_tokens} of response, "
            f"at most {room} fit into the context of {context_length} "
            f"({dropped} of the {len(encoded)} prompts of stratum {stratum!r} are too long). "
            "Shorten them, lower sampling.max_tokens, or raise model.context_length"
            + ("" if too_long == "drop" else ", or set too_long=drop to leave them out")
        )
    return fitting, dropped
