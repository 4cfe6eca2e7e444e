"""Conversations as token ids, with a mark on every token that is to be learnt: the assistant's turns and their ends.

A turn is tokenized apart from what stands before it, as it is when the model generates it; what the template puts
behind the token that ends a turn is not learnt. A template that writes earlier turns differently once others follow
(it drops their reasoning, say) gives each learnt turn a sequence of its own.

Where the template opens a block of reasoning before a response, a turn that has none closes the block first: it is
learnt as an answer after no reasoning, `<think>\n\n</think>\n\n`, and not as reasoning.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from cgpo.data.conversations import Conversation
from cgpo.data.template import CLOSES, OPENS, for_template, open_block, rendered
from cgpo.errors import DataError
from cgpo.types import LearnedTokens
from judges import Message


class TurnEncoder:
    """Encodes conversations with a model's chat template.

    Args:
        tokenizer: a tokenizer of transformers.

    Raises:
        DataError: it has no chat template or no end token.
    """

    def __init__(self, tokenizer: Any) -> None:
        name = getattr(tokenizer, "name_or_path", "") or "this model"
        if not tokenizer.chat_template or tokenizer.eos_token_id is None:
            missing = "end token" if tokenizer.chat_template else "chat template"
            raise DataError(f"the tokenizer of {name!r} has no {missing}. Use an instruction-tuned model")
        self._tokenizer = tokenizer
        self._end: int = tokenizer.eos_token_id
        added = tokenizer.added_tokens_decoder.items()
        special = {*tokenizer.all_special_ids, *(i for i, token in added if token.special)}
        self._special = special - {i for i, token in added if str(token) in (OPENS, CLOSES)}

    def encode(self, conversation: Conversation, turns: Literal["all", "last"]) -> list[LearnedTokens]:
        """The conversation as one sequence, or as one for each learnt turn where the template asks for it.

        Raises:
            DataError: the template refuses the messages, or does not show their calls of tools; names the row.
        """
        import jinja2

        messages = for_template(self._tokenizer, conversation.messages, conversation.source, "row")
        places = [i for i, m in enumerate(messages) if m["role"] == "assistant"]
        places = places[-1:] if turns == "last" else places
        try:
            chained = self._chained(messages, places)
            return [chained] if chained else [self._single(messages, place, conversation.source) for place in places]
        except (jinja2.TemplateError, TypeError) as error:
            raise DataError(f"{conversation.source}: the model's chat template refuses the row: {error}") from error

    def response(self, prompt: Sequence[Message], text: str, source: str = "") -> tuple[int, ...]:
        """The token ids of a response that nobody generated, ended as the template ends a turn.

        Args:
            prompt: what it answers; its own ids are those of `cgpo.data.tokenize.encode_prompt`.
            text: the response.
            source: file and row, for messages.

        Raises:
            DataError: the template refuses the messages.
        """
        messages = (*prompt, {"role": "assistant", "content": text})
        (tokens,) = self.encode(Conversation(messages, source), "last")
        return tuple(tokens.ids[tokens.learned].tolist())

    def _chained(self, messages: Sequence[Message], places: Sequence[int]) -> LearnedTokens | None:
        """All turns in one sequence; None where the text up to a turn is no beginning of the whole text."""
        whole = self._render(messages, reply=False)
        parts: list[tuple[list[int], int]] = []
        end = 0
        for place in places:
            question = self._render(messages[:place], reply=True)
            answered = self._render(messages[: place + 1], reply=False)
            turn = answered.removeprefix(question)
            if not whole.startswith(answered) or self._turn(question, answered, messages[place]) != turn:
                return None
            parts += [(self._ids(whole[end : len(question)]), 0), self._ended(self._ids(turn))]
            end = len(answered)
        return _joined(parts)

    def _single(self, messages: Sequence[Message], place: int, source: str) -> LearnedTokens:
        question = self._render(messages[:place], reply=True)
        answered = self._render(messages[: place + 1], reply=False)
        turn = self._turn(question, answered, messages[place])
        if turn is not None:
            ids, learned = self._ended(self._ids(turn))
            return _joined([(self._ids(question), 0), (ids[:learned], learned)])
        if messages[place].get("tool_calls"):
            raise DataError(
                f"{source}: the model's chat template writes message {place + 1} in another way than it asks for it: "
                "its `tool_calls` cannot be learnt"
            )
        said = str(messages[place]["content"] or "")
        text = _without_opening(said, question) if CLOSES in said else _closing(question, messages[place]) + said
        ids = [*self._ids(text), self._end_after(answered, said)]
        return _joined([(self._ids(question), 0), (ids, len(ids))])

    def _turn(self, question: str, answered: str, message: Message) -> str | None:
        """What the template writes behind `question`, with its end; None where it writes something else than is said.

        Args:
            question: the conversation up to where the turn begins.
            answered: the conversation with the turn.
            message: the turn.
        """
        block = open_block(question)
        if answered.startswith(question) and (block is None or CLOSES in answered[len(question) :]):
            return answered[len(question) :]
        head = question[:block] if block is not None else None
        if head is None or CLOSES in str(message["content"]) or not answered.startswith(head):
            return None
        # The template leaves the block out of what is said already, or never closes it: a plain answer would be
        # learnt as reasoning.
        return _closing(question, message) + answered[len(head) :].removeprefix(question[len(head) :])

    def _ended(self, turn: list[int]) -> tuple[list[int], int]:
        """A turn's tokens, and how many of them are learnt: up to the token that ends it, added if there is none."""
        last = max((i for i, token in enumerate(turn) if token in self._special), default=None)
        return ([*turn, self._end], len(turn) + 1) if last is None else (turn, last + 1)

    def _end_after(self, answered: str, said: str) -> int:
        """The token with which the template ends a turn, found behind the turn's words."""
        words = said.rpartition(CLOSES)[2].strip()
        _, found, rest = answered.rpartition(words) if words else ("", "", "")
        return next((token for token in self._ids(rest) if found and token in self._special), self._end)

    def _render(self, messages: Sequence[Message], *, reply: bool) -> str:
        return rendered(self._tokenizer, messages, reply=reply)

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False, verbose=False)
        return ids


def _closing(question: str, message: Message) -> str:
    """What closes the block that `question` opens, behind the turn's reasoning where it has some; else nothing."""
    if open_block(question) is None:
        return ""
    reasoning = str(message.get("reasoning_content") or "").strip()
    line = "" if question.endswith("\n") else "\n"
    return f"{line}{reasoning}\n{CLOSES}\n\n"


def _without_opening(said: str, question: str) -> str:
    """A turn with its reasoning, without the tag that the template has written already."""
    if open_block(question) is None:
        return said
    opened = said.lstrip().removeprefix(OPENS)
    return opened.removeprefix("\n") if question.endswith("\n") else opened


def _joined(parts: Sequence[tuple[list[int], int]]) -> LearnedTokens:
    ids = [token for part, _ in parts for token in part]
    learned = [place < count for part, count in parts for place in range(len(part))]
    return LearnedTokens(np.array(ids, dtype=np.int32), np.array(learned, dtype=np.bool_))
