"""Conversations to imitate, from a data set or a generator, checked row by row."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from cgpo.config import ConversationDataSettings
from cgpo.data.generators import generate
from cgpo.data.generators.golden import golden_response
from cgpo.data.messages import content, message_list, messages_of
from cgpo.data.rows import RawRow
from cgpo.data.stage_rows import column, parse_rows, stage_rows
from cgpo.errors import DataError
from judges import Message


@dataclass(frozen=True, slots=True)
class Conversation:
    """Messages that end with the assistant's.

    Attributes:
        messages: oldest first.
        source: file and row, for messages to people.
    """

    messages: tuple[Message, ...]
    source: str = ""

    @property
    def prompt(self) -> tuple[Message, ...]:
        """The messages before the first turn of the assistant: a split keeps conversations together that share them."""
        return tuple(itertools.takewhile(lambda m: m["role"] != "assistant", self.messages))


def read_conversations(
    settings: ConversationDataSettings, *, seed: int, where: str
) -> tuple[list[Conversation], list[str]]:
    """All conversations of a stage.

    Args:
        settings: where they come from.
        seed: of a generator.
        where: the setting to name in errors, such as `sft_stage.data`.

    Returns:
        The conversations in order, and a sentence for each bad row that was left out.

    Raises:
        DataError: the source cannot be read or is empty; or a row is bad and `bad_rows` is `stop`.
        ConfigError: no source is named, or the generator knows no golden responses.
    """
    if settings.generator is not None:
        assert settings.size is not None
        prompts = generate(
            settings.generator, settings.size, seed=seed, heldout=False, options=settings.options, where=where
        )
        answers: list[tuple[Message, ...]] = [
            (*p.messages, {"role": "assistant", "content": golden_response(settings.generator, p, where)})
            for p in prompts
        ]
        return [Conversation(messages, p.source) for p, messages in zip(prompts, answers, strict=True)], []
    rows, unreadable = stage_rows(settings, where)
    return parse_rows(rows, lambda row: _conversation(row, settings), settings, where, unreadable)


def _conversation(row: RawRow, settings: ConversationDataSettings) -> Conversation:
    if row.values.get(settings.messages_column) is not None:
        messages = message_list(row.values[settings.messages_column], row.where, "the conversation")
    else:
        prompt = messages_of(column(row, settings.prompt_column), row.where)
        response = content(column(row, settings.response_column), row.where, "the response")
        messages = (*prompt, {"role": "assistant", "content": response})
    if messages[-1]["role"] != "assistant":
        raise DataError(f"{row.where}: the last message must be the assistant's, not the {messages[-1]['role']}'s")
    conversation = Conversation(messages, row.where)
    if not any(m["role"] == "user" for m in conversation.prompt):
        raise DataError(f"{row.where}: no message of the user stands before the assistant's first one")
    return conversation
