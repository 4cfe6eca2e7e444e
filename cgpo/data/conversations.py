"""Conversations to imitate, from a data set or a generator, checked row by row."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from cgpo.config import ConversationDataSettings, PromptSettings, RowSourceSettings
from cgpo.data.generators import generate
from cgpo.data.generators.golden import golden_response
from cgpo.data.messages import content, message_list, messages_of
from cgpo.data.rows import RawRow, read_rows
from cgpo.errors import ConfigError, DataError, unknown_name
from judges import Message

NAMED_PROBLEMS = 10
"""How many bad rows a message names."""

Given = TypeVar("Given")
Row = TypeVar("Row")


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
        """What stands before the first turn of the assistant: two conversations that share it are kept together."""
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


def stage_rows(settings: RowSourceSettings, where: str) -> tuple[list[RawRow], list[str]]:
    """The first `size` rows of a stage's data set, and a sentence for each line that is no row.

    Raises:
        ConfigError: no data set is named. DataError: it cannot be read, is empty, or has fewer rows.
    """
    if settings.path is None:
        raise ConfigError(f"{where}.path is not set: name a JSONL or Parquet file, or a data set on the hub")
    source = PromptSettings(path=settings.path, name=settings.name, split=settings.split)
    unreadable: list[str] = []
    rows = list(itertools.islice(read_rows(source, where, unreadable.append), settings.size))
    if not rows and not unreadable:
        raise DataError(f"{where}: {settings.path!r} is empty, it has no rows")
    if settings.size is not None and len(rows) < settings.size:
        raise DataError(f"{where}.size: {settings.size} rows asked for, but {settings.path!r} has {len(rows)}")
    return rows, unreadable


def parse_rows(
    rows: Iterable[Given],
    parse: Callable[[Given], Row],
    settings: RowSourceSettings,
    where: str,
    unreadable: Sequence[str] = (),
) -> tuple[list[Row], list[str]]:
    """Rows as `parse` reads them, and a sentence for each that it refused, after those that could not be read.

    Raises:
        DataError: some are bad and `bad_rows` is `stop`, or all are; says how many and names the first.
    """
    good: list[Row] = []
    problems = list(unreadable)
    for row in rows:
        try:
            good.append(parse(row))
        except DataError as error:
            problems.append(str(error))
    if problems and (settings.bad_rows == "stop" or not good):
        hint = f"\nMend them, or leave them out with {where}.bad_rows=drop" if good else ""
        head = f"{where}: {len(problems)} of {len(good) + len(problems)} rows cannot be used"
        raise DataError("\n".join([head, *named(problems)]) + hint)
    return good, problems


def named(problems: list[str]) -> list[str]:
    """The first problems, a line each, and how many more there are."""
    more = len(problems) - NAMED_PROBLEMS
    return [f"  {problem}" for problem in problems[:NAMED_PROBLEMS]] + ([f"  … and {more} more"] if more > 0 else [])


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


def column(row: RawRow, name: str) -> Any:
    """A cell.

    Raises:
        DataError: the row has no such column; names the nearest one.
    """
    if name not in row.values:
        raise DataError(unknown_name("column", name, map(str, row.values), row.where))
    return row.values[name]
