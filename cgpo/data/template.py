"""A model's chat template at work on messages: what it shows of calls of tools, whether it opens a block of reasoning.

A template that knows nothing of tools leaves their calls out without a word: such rows are refused. Some want `content`
as text beside calls, some show the calls only where it is null: each gets what makes it show them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cgpo.errors import DataError
from judges import Message

OPENS, CLOSES = "<think>", "</think>"


def check_template(tokenizer: Any) -> None:
    """Makes sure that a tokenizer has a chat template.

    Raises:
        DataError: it has none.
    """
    if not getattr(tokenizer, "chat_template", None):
        raise DataError(
            f"the tokenizer of {getattr(tokenizer, 'name_or_path', '') or 'this model'!r} has no chat template. Use an "
            "instruction-tuned model, or save the model with one: set tokenizer.chat_template, then save_pretrained"
        )


def rendered(tokenizer: Any, messages: Sequence[Message], *, reply: bool) -> str:
    """The conversation as the template writes it.

    Args:
        tokenizer: a tokenizer of transformers with a chat template.
        messages: the conversation.
        reply: up to where a response begins.

    Raises:
        jinja2.TemplateError, TypeError: the template refuses the messages.
    """
    plain = [dict(message) for message in messages]
    text: str = tokenizer.apply_chat_template(plain, add_generation_prompt=reply, tokenize=False)
    return text


def for_template(tokenizer: Any, messages: Sequence[Message], where: str, what: str = "prompt") -> list[dict[str, Any]]:
    """The messages in the form in which the template shows all of them.

    Args:
        tokenizer: a tokenizer of transformers with a chat template.
        messages: the conversation.
        where: file and row, for messages.
        what: what the row is, for messages.

    Raises:
        DataError: the template refuses them, or leaves out calls of tools or what tools answered.
    """
    import jinja2

    plain = [dict(message) for message in messages]
    if not any(message.get("tool_calls") or message["role"] == "tool" for message in plain):
        return plain
    problems = []
    for empty in ("", None):
        filled = [m if m["content"] is not None else {**m, "content": empty} for m in plain]
        try:
            problem = _hidden(tokenizer, filled)
        except (jinja2.TemplateError, TypeError) as error:
            problem = f"refuses the {what}: {error}"
        if not problem:
            return filled
        problems.append(problem)
    raise DataError(f"{where}: the model's chat template {problems[0]}")


def open_block(prompt: str) -> int | None:
    """Where the block of reasoning begins that a prompt ends with; None where it ends with none."""
    return prompt.rindex(OPENS) if prompt.rstrip().endswith(OPENS) else None


def _hidden(tokenizer: Any, messages: Sequence[dict[str, Any]]) -> str:
    """What the template leaves out of the messages; empty where it shows all."""
    whole = rendered(tokenizer, messages, reply=False)
    for number, message in enumerate(messages, start=1):
        before, after = messages[: number - 1], messages[number:]
        if message.get("tool_calls"):
            silent = {key: value for key, value in message.items() if key != "tool_calls"}
            if _same(tokenizer, [*before, silent, *after], whole):
                return f"does not show the `tool_calls` of message {number}: use a model that knows tools"
        if message["role"] == "tool" and _same(tokenizer, [*before, *after], whole):
            return f"does not show message {number}, a tool's: use a model that knows tools"
    return ""


def _same(tokenizer: Any, messages: Sequence[dict[str, Any]], text: str) -> bool:
    import jinja2

    try:
        return rendered(tokenizer, messages, reply=False) == text
    except (jinja2.TemplateError, TypeError):  # without it there is no conversation: it is looked at
        return False
