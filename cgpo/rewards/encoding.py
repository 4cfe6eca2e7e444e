"""The encoding of a prompt and a response for a reward model; the same in training and in scoring.

An encoder (BERT and its kin) gets a text pair, prompt then response. A model with a chat template gets the
conversation with the response as its last turn. What is longer than `max_length` loses the start of the prompt: the
response is what is judged, and the end of the prompt is what it answers. Only a response that alone is too long loses
its own end.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cgpo.errors import ConfigError
from cgpo.types import Prompt
from judges.messages import message_text

if TYPE_CHECKING:
    from torch import Tensor, device


@dataclass(frozen=True, slots=True)
class Encoded:
    """One prompt with one response.

    Attributes:
        ids: token ids.
        types: which of the two a token belongs to, where the model asks for it.
        truncated: the whole was longer.
    """

    ids: tuple[int, ...]
    types: tuple[int, ...] | None = None
    truncated: bool = False

    def __len__(self) -> int:
        return len(self.ids)


class ResponseEncoder:
    """Turns a prompt and a response into token ids.

    Args:
        tokenizer: a fast Hugging Face tokenizer with a chat template or a separator token, and a padding token
            (`cgpo.rewards.loading` gives one to a tokenizer that has none).
        max_length: most tokens.
        where: what the tokenizer belongs to, for messages.

    Raises:
        ConfigError: the tokenizer has neither a chat template nor a separator, or nothing to pad with.
    """

    def __init__(self, tokenizer: Any, max_length: int, where: str) -> None:
        self._tokenizer = tokenizer
        self._max_length = max_length
        self._chat = tokenizer.chat_template is not None
        if not tokenizer.is_fast or not (self._chat or tokenizer.sep_token):
            raise ConfigError(
                f"{where}: its tokenizer has neither a chat template nor a separator token, so there is no telling "
                "how to put a prompt and a response together. Use a chat model or an encoder such as BERT"
            )
        if tokenizer.pad_token_id is None:
            raise ConfigError(f"{where}: its tokenizer has no token to pad with")
        self.pad_id: int = tokenizer.pad_token_id

    def encode(self, prompt: Prompt, response: str) -> Encoded:
        """At most `max_length` tokens of the prompt with the response. Lone surrogates become question marks."""
        return self._as_chat(prompt, clean(response)) if self._chat else self._as_pair(prompt, clean(response))

    def _as_pair(self, prompt: Prompt, response: str) -> Encoded:
        # split_special_tokens: a "[SEP]" that a response spells out is text, not structure.
        encoding = self._tokenizer(
            clean(prompt.text), response, truncation=False, padding=False, split_special_tokens=True, verbose=False
        )
        parts = encoding.sequence_ids(0)
        positions = _fit(parts, self._max_length)
        types = encoding.get("token_type_ids")
        ids = encoding["input_ids"]
        token_types = tuple(types[i] for i in positions) if types is not None else None
        return Encoded(tuple(ids[i] for i in positions), token_types, len(positions) < len(ids))

    def _as_chat(self, prompt: Prompt, response: str) -> Encoded:
        # Calls of tools in words: few templates of reward models show them, and none refuses to leave them out.
        messages = [{"role": m["role"], "content": clean(message_text(m))} for m in prompt.messages]
        template = self._tokenizer.apply_chat_template
        question = template(messages, tokenize=False, add_generation_prompt=True)
        whole = template([*messages, {"role": "assistant", "content": response}], tokenize=False)
        # A template that renders earlier turns differently once an answer follows gives no boundary: then all of it
        # counts as prompt and the end is kept.
        split = len(question) if whole.startswith(question) else len(whole)
        head = self._tokenizer.encode(whole[:split], add_special_tokens=False, verbose=False)
        tail = self._tokenizer.encode(whole[split:], add_special_tokens=False, verbose=False)
        ids = [*head, *tail]
        positions = _fit([0] * len(head) + [1] * len(tail), self._max_length)
        return Encoded(tuple(ids[i] for i in positions), None, len(positions) < len(ids))


def _fit(parts: Sequence[int | None], max_length: int) -> list[int]:
    """Positions to keep: 0 marks a prompt token, 1 a response token, None a special one (never dropped)."""
    excess = max(0, len(parts) - max_length)
    prompt = [i for i, part in enumerate(parts) if part == 0]
    response = [i for i, part in enumerate(parts) if part == 1]
    dropped = set(prompt[:excess])
    rest = excess - len(dropped)
    dropped.update(response[len(response) - rest :])
    return [i for i in range(len(parts)) if i not in dropped]


def clean(text: str) -> str:
    """Text without lone surrogates, which tokenizers and servers refuse: they become question marks."""
    return text.encode("utf-8", "replace").decode("utf-8")


def batches_by_length(lengths: Sequence[int], batch_tokens: int) -> Iterator[list[int]]:
    """Indices in batches of similar length, shortest first, each of at most `batch_tokens` padded tokens.

    One text that alone is longer makes a batch of its own.
    """
    batch: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda i: lengths[i]):
        if batch and (len(batch) + 1) * lengths[index] > batch_tokens:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch


def collate(batch: Sequence[Encoded], pad_id: int, to: device) -> dict[str, Tensor]:
    """Model inputs [N, T], padded on the right to the longest; the mask comes from lengths, never from ids."""
    import torch

    width = max(len(item) for item in batch)
    rows = {"input_ids": [[*e.ids, *[pad_id] * (width - len(e))] for e in batch]}
    rows["attention_mask"] = [[1] * len(e) + [0] * (width - len(e)) for e in batch]
    if batch[0].types is not None:
        rows["token_type_ids"] = [[*(e.types or ()), *[0] * (width - len(e))] for e in batch]
    return {name: torch.tensor(values, device=to) for name, values in rows.items()}
