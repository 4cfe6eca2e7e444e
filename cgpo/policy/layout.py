"""The layout of token sequences for one forward pass: responses behind their prompt, and whole conversations.

`micro_batches`: the responses of one prompt share its tokens. They are laid in one row, `prompt r₁ r₂ … r_K`, where
each response attends to the prompt and to itself but not to its siblings, and counts its positions from the prompt's
end. The log-probs are those of K separate rows, for the cost of one prompt instead of K; in RL on short answers most
tokens are prompt.

`pack`: several conversations stand in one row, each seeing itself alone and counting its positions from 0. Rows are as
long as the step's longest conversation, so that attention, which is quadratic in a row's length, costs no more than it
must; a micro-batch has as many rows as the token budget allows. The log-probs are those of separate rows.

Without either every sequence has its own row and a plain padding mask, for models that do not take a four-dimensional
attention mask. A sequence's last token is never an input: nothing is predicted from it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from cgpo.types import LearnedTokens


@dataclass(frozen=True, slots=True)
class TokenSequence:
    """A prompt and one response as token ids; the response has at least one token."""

    prompt_ids: tuple[int, ...]
    response_ids: tuple[int, ...]


@dataclass(frozen=True)
class MicroBatch:
    """The tensors of one forward pass of B rows of at most L tokens, predicting M response tokens.

    Attributes:
        input_ids: int [B, L], right-padded with 0.
        position_ids: int [B, L].
        attention_mask: bool [B, 1, L, L] (True = may attend) for shared prompts, else int [B, L] (1 = a token).
        source: int [M], where in the flattened [B·L] rows the token before each response token is.
        target: int [M], the response tokens.
        sample: int [M], index (in the caller's list) of the sequence a response token belongs to.
    """

    input_ids: Tensor
    position_ids: Tensor
    attention_mask: Tensor
    source: Tensor
    target: Tensor
    sample: Tensor

    def to(self, device: torch.device) -> MicroBatch:
        """The same on another device."""
        return MicroBatch(*(getattr(self, f).to(device) for f in self.__dataclass_fields__))

    @property
    def place(self) -> Tensor:
        """int [M], which token of its response each one is: 0, 1, …"""
        number = torch.arange(len(self.sample), device=self.sample.device)
        first = torch.ones_like(self.sample, dtype=torch.bool)
        first[1:] = self.sample[1:] != self.sample[:-1]
        return number - torch.where(first, number, 0).cummax(0).values

    @property
    def tokens(self) -> int:
        """Padded tokens: what the pass costs."""
        return self.input_ids.numel()


@dataclass(frozen=True, slots=True)
class _Row:
    """A prompt with some of its responses behind it."""

    prompt_ids: tuple[int, ...]
    members: tuple[tuple[int, tuple[int, ...]], ...]  # (index of the sequence, its response ids)

    @property
    def length(self) -> int:
        return len(self.prompt_ids) + sum(len(ids) - 1 for _, ids in self.members)


def micro_batches(
    sequences: Sequence[TokenSequence], indices: Sequence[int], max_tokens: int, share_prompts: bool = True
) -> list[MicroBatch]:
    """Lays the chosen sequences out in passes of at most `max_tokens` padded tokens.

    Args:
        sequences: all sequences; `MicroBatch.sample` indexes this list.
        indices: which of them to lay out.
        max_tokens: budget of a pass. A single sequence that is longer gets a pass of its own.
        share_prompts: lay the responses of one prompt in one row.
    """
    rows = _rows(sequences, indices, max_tokens, share_prompts)
    rows.sort(key=lambda row: row.length)
    batches: list[list[_Row]] = []
    for row in rows:  # ascending, so the newest row decides the padding
        if batches and row.length * (len(batches[-1]) + 1) <= max_tokens:
            batches[-1].append(row)
        else:
            batches.append([row])
    return [_response_tensors(batch, share_prompts) for batch in batches]


def idle_micro_batch(share_prompts: bool = True) -> MicroBatch:
    """The smallest pass there is: for a rank that has nothing to do while the others compute."""
    sequence = TokenSequence((0,), (0,))
    return micro_batches([sequence], [0], 1, share_prompts)[0]


def _rows(
    sequences: Sequence[TokenSequence], indices: Sequence[int], max_tokens: int, share_prompts: bool
) -> list[_Row]:
    by_prompt: dict[object, list[int]] = {}
    for i in indices:
        by_prompt.setdefault(sequences[i].prompt_ids if share_prompts else i, []).append(i)
    rows: list[_Row] = []
    for members in by_prompt.values():
        prompt_ids = sequences[members[0]].prompt_ids
        row: list[tuple[int, tuple[int, ...]]] = []
        length = len(prompt_ids)
        for i in members:
            response_ids = sequences[i].response_ids
            if row and length + len(response_ids) - 1 > max_tokens:
                rows.append(_Row(prompt_ids, tuple(row)))
                row, length = [], len(prompt_ids)
            row.append((i, response_ids))
            length += len(response_ids) - 1
        rows.append(_Row(prompt_ids, tuple(row)))
    return rows


def _response_tensors(rows: Sequence[_Row], share_prompts: bool) -> MicroBatch:
    size = max(row.length for row in rows)
    input_ids = torch.zeros(len(rows), size, dtype=torch.long)
    position_ids = torch.zeros(len(rows), size, dtype=torch.long)
    segment = torch.full((len(rows), size), -1, dtype=torch.long)  # 0 = prompt, k = its k-th response, -1 = padding
    source: list[int] = []
    target: list[int] = []
    sample: list[int] = []
    for b, row in enumerate(rows):
        prompt_length = len(row.prompt_ids)
        input_ids[b, :prompt_length] = torch.tensor(row.prompt_ids)
        position_ids[b, :prompt_length] = torch.arange(prompt_length)
        segment[b, :prompt_length] = 0
        start = prompt_length
        for k, (index, response_ids) in enumerate(row.members, start=1):
            inputs = len(response_ids) - 1
            input_ids[b, start : start + inputs] = torch.tensor(response_ids[:-1], dtype=torch.long)
            position_ids[b, start : start + inputs] = torch.arange(prompt_length, prompt_length + inputs)
            segment[b, start : start + inputs] = k
            source += [b * size + prompt_length - 1, *range(b * size + start, b * size + start + inputs)]
            target += response_ids
            sample += [index] * len(response_ids)
            start += inputs
    mask = _mask(segment) if share_prompts else (segment >= 0).long()
    return MicroBatch(input_ids, position_ids, mask, torch.tensor(source), torch.tensor(target), torch.tensor(sample))


def pack(
    conversations: Sequence[LearnedTokens], indices: Sequence[int], max_tokens: int, *, packed: bool = True
) -> list[MicroBatch]:
    """Lays the chosen conversations out in passes of at most `max_tokens` padded tokens.

    Args:
        conversations: all of them; `MicroBatch.sample` indexes this list.
        indices: which of them to lay out.
        max_tokens: budget of a pass. A conversation that alone is longer gets its way.
        packed: several conversations in a row.
    """
    if not indices:
        return []
    inputs = {i: len(conversations[i]) - 1 for i in indices}
    longest_first = sorted(indices, key=lambda i: (-inputs[i], i))
    rows = _filled_rows(longest_first, inputs) if packed else [[i] for i in longest_first]
    batches: list[list[list[int]]] = []
    for row in rows:  # the longest row of a micro-batch comes first
        if batches and _length(batches[-1][0], inputs) * (len(batches[-1]) + 1) <= max_tokens:
            batches[-1].append(row)
        else:
            batches.append([row])
    return [_conversation_tensors(batch, conversations, packed=packed) for batch in batches]


def _filled_rows(longest_first: Sequence[int], inputs: dict[int, int]) -> list[list[int]]:
    """First fit: each conversation goes to the first row with room; longest row first."""
    capacity = inputs[longest_first[0]]
    rows: list[list[int]] = []
    room: list[int] = []
    for i in longest_first:
        place = next((r for r, free in enumerate(room) if free >= inputs[i]), None)
        if place is None:
            rows.append([i])
            room.append(capacity - inputs[i])
        else:
            rows[place].append(i)
            room[place] -= inputs[i]
    return sorted(rows, key=lambda row: -_length(row, inputs))


def _length(row: Sequence[int], inputs: dict[int, int]) -> int:
    return sum(inputs[i] for i in row)


def _conversation_tensors(
    rows: Sequence[Sequence[int]], conversations: Sequence[LearnedTokens], *, packed: bool
) -> MicroBatch:
    size = max(sum(len(conversations[i]) - 1 for i in row) for row in rows)
    input_ids = torch.zeros(len(rows), size, dtype=torch.long)
    position_ids = torch.zeros(len(rows), size, dtype=torch.long)
    segment = torch.full((len(rows), size), -1, dtype=torch.long)  # k = the row's k-th conversation, -1 = padding
    source: list[Tensor] = []
    target: list[Tensor] = []
    sample: list[Tensor] = []
    for b, row in enumerate(rows):
        start = 0
        for k, i in enumerate(row, start=1):
            ids = torch.from_numpy(conversations[i].ids).long()
            place = slice(start, start + len(ids) - 1)
            input_ids[b, place] = ids[:-1]
            position_ids[b, place] = torch.arange(len(ids) - 1)
            segment[b, place] = k
            learned = torch.from_numpy(conversations[i].learned).nonzero().squeeze(1)
            source.append(b * size + start + learned - 1)
            target.append(ids[learned])
            sample.append(torch.full_like(learned, i))
            start = place.stop
    mask = _mask(segment) if packed else (segment >= 0).long()
    return MicroBatch(input_ids, position_ids, mask, torch.cat(source), torch.cat(target), torch.cat(sample))


def _mask(segment: Tensor) -> Tensor:
    """The four-dimensional attention mask, causal and within segments.

    Args:
        segment: int [B, L]: 0 = the row's shared prompt, which all its segments see; 1, 2, … = what sees nothing of its
            neighbours; -1 = padding, which sees itself alone.

    Returns:
        bool [B, 1, L, L].
    """
    size = segment.shape[1]
    causal = torch.ones(size, size, dtype=torch.bool).tril()
    query, key = segment[:, :, None], segment[:, None, :]
    return ((causal & ((key == 0) | (key == query)) & (query >= 0)) | torch.eye(size, dtype=torch.bool))[:, None]
