"""Conversations as token ids, with a mark on every token that is to be learnt: the assistant's turns and their ends.

A turn is tokenized apart from what stands before it, as it is when the model generates it; what the template puts
behind the token that ends a turn is not learnt. A template that writes earlier turns differently once others follow
(it drops their reasoning, say) gives each learnt turn a sequence of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from cgpo.data.conversations import Conversation
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
        self._special = {*tokenizer.all_special_ids, *(i for i, token in added if token.special)}

    def encode(self, conversation: Conversation, turns: Literal["all", "last"]) -> list[LearnedTokens]:
        """The conversation as one sequence, or as one for each learnt turn where the template asks for it.

        Raises:
            DataError: the template refuses the messages; names the row.
        """
        import jinja2

        messages = conversation.messages
        places = [i for i, m in enumerate(messages) if m["role"] == "assistant"]
        places = places[-1:] if turns == "last" else places
        try:
            chained = self._chained(messages, places)
            return [chained] if chained else [self._single(messages, place) for place in places]
        except jinja2.TemplateError as error:
            raise DataError(f"{conversation.source}: the model's chat template refuses the row: {error}") from error

    def _chained(self, messages: Sequence[Message], places: Sequence[int]) -> LearnedTokens | None:
        """All turns in one sequence; None where the text up to a turn is no beginning of the whole text."""
        whole = self._render(messages, reply=False)
        parts: list[tuple[list[int], int]] = []
        end = 0
        for place in places:
            question = self._render(messages[:place], reply=True)
            answered = self._render(messages[: place + 1], reply=False)
            if not (answered.startswith(question) and whole.startswith(answered)):
                return None
            turn = self._ids(answered[len(question) :])
            parts += [(self._ids(whole[end : len(question)]), 0), self._ended(turn)]
            end = len(answered)
        return _joined(parts)

    def _single(self, messages: Sequence[Message], place: int) -> LearnedTokens:
        question = self._ids(self._render(messages[:place], reply=True))
        turn = [*self._ids(messages[place]["content"]), self._end]
        return _joined([(question, 0), (turn, len(turn))])

    def _ended(self, turn: list[int]) -> tuple[list[int], int]:
        """A turn's tokens, and how many of them are learnt: up to the token that ends it, added if there is none."""
        last = max((i for i, token in enumerate(turn) if token in self._special), default=None)
        return ([*turn, self._end], len(turn) + 1) if last is None else (turn, last + 1)

    def _render(self, messages: Sequence[Message], *, reply: bool) -> str:
        plain = [dict(m) for m in messages]
        text: str = self._tokenizer.apply_chat_template(plain, add_generation_prompt=reply, tokenize=False)
        return text

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False, verbose=False)
        return ids


def _joined(parts: Sequence[tuple[list[int], int]]) -> LearnedTokens:
    ids = [token for part, _ in parts for token in part]
    learned = [place < count for part, count in parts for place in range(len(part))]
    return LearnedTokens(np.array(ids, dtype=np.int32), np.array(learned, dtype=np.bool_))
