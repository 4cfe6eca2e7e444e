"""The layout of token sequences for one forward pass: responses behind their prompt, and whole conversations.

`micro_batches`: the responses of one prompt share its tokens. They are laid in one row, `prompt r₁ r₂ … r_K`, where
each response attends to the prompt and to itself but not to its siblings, and counts its positions from the prompt's
end. The log-probs are those of K separate rows, for the cost of one prompt instead of K; in RL on short answers most
tokens are prompt.

`pack`: several conversations stand in one row, each seeing itself alone and counting its positions from 0. Rows are as
long as the step's longest conversation, so that attention, which is quadratic in a row's length, costs no more than it
must; a micro-batch has as many rows as the token budget allows. The log-probs are those of separate rows.

Both need a mask. Attention kernels that take none but know where each sequence ends (flash attention) get rows with
whole sequences one behind the other, prompt and all, up to the token budget: nothing is shared, nothing is padded.

Without any of these every sequence has its own row and plain causal attention; padding stands behind it and is seen by
nobody. A sequence's last token is never an input: nothing is predicted from it.

What a row saves in tokens it may lose in attention, whose cells grow with the square of its length. A token's pass
costs 2 N operations, N being the parameters of a model's body; a cell, one query against one key in all layers, costs
`Layout.cell_cost` of that. For each prompt as many responses stand in a row as make its cost least:

    rows of several:   tokens + cell_cost · length²         the masked kernel computes the whole square
    rows of one:       tokens + cell_cost · length² / 2     the causal kernel half of it
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from cgpo.types import LearnedTokens


@dataclass(frozen=True, slots=True)
class TokenSequence:
    """A prompt and one response as token ids; the response has at least one token."""

    prompt_ids: tuple[int, ...]
    response_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Layout:
    """Which rows the sequences of a model stand in.

    Attributes:
        shares: several sequences may stand in one row.
        masked: a mask tells them apart, so that responses can share their prompt. Otherwise their positions do: each
            sequence is whole, and begins at position 0.
        cell_cost: what one query against one key costs, in passes of a token; 0: sharing always pays.
        reason: why it was chosen, for a person.
    """

    shares: bool = True
    masked: bool = True
    cell_cost: float = 0.0
    reason: str = field(default="", compare=False)


SHARED = Layout()
"""As many sequences in a row as the budget allows."""
PACKED = Layout(masked=False)
"""As many whole sequences in a row as the budget allows, with no mask."""
SEPARATE = Layout(shares=False)
"""A row for each sequence."""


@dataclass(frozen=True)
class MicroBatch:
    """The tensors of one forward pass of B rows of at most L tokens, predicting M response tokens.

    Attributes:
        input_ids: int [B, L], right-padded with 0.
        position_ids: int [B, L].
        segment: int [B, L], whose token it is: 0 = the row's shared prompt, 1, 2, … = its sequences, -1 = padding.
        source: int [M], where in the flattened [B·L] rows the token before each response token is.
        target: int [M], the response tokens.
        sample: int [M], index (in the caller's list) of the sequence a response token belongs to.
        alone: every row holds one sequence, from its first place on: plain causal attention is right.
        masked: where a row holds several, a mask made of `segment` tells them apart, not their positions.
    """

    input_ids: Tensor
    position_ids: Tensor
    segment: Tensor
    source: Tensor
    target: Tensor
    sample: Tensor
    alone: bool
    masked: bool = True

    def to(self, device: torch.device) -> MicroBatch:
        """The same on another device."""
        tensors = ("input_ids", "position_ids", "segment", "source", "target", "sample")
        return replace(self, **{name: getattr(self, name).to(device) for name in tensors})

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
    sequences: Sequence[TokenSequence], indices: Sequence[int], max_tokens: int, layout: Layout = SHARED
) -> list[MicroBatch]:
    """Lays the chosen sequences out in passes of at most `max_tokens` padded tokens.

    Args:
        sequences: all sequences; `MicroBatch.sample` indexes this list.
        indices: which of them to lay out.
        max_tokens: budget of a pass. A single sequence that is longer gets a pass of its own.
        layout: whether the responses of one prompt may stand in one row, and when that pays.
    """
    if layout.shares and not layout.masked:
        return _packed(sequences, indices, max_tokens, layout)
    rows = [row for members in _by_prompt(sequences, indices) for row in _rows(members, max_tokens, layout)]
    rows.sort(key=lambda row: row.length)
    batches: list[list[_Row]] = []
    for row in rows:  # ascending, so the newest row decides the padding
        if batches and row.length * (len(batches[-1]) + 1) <= max_tokens:
            batches[-1].append(row)
        else:
            batches.append([row])
    return [_response_tensors(batch) for batch in batches]


def idle_micro_batch() -> MicroBatch:
    """The smallest pass there is: for a rank that has nothing to do while the others compute."""
    return micro_batches([TokenSequence((0,), (0,))], [0], 1)[0]


def _packed(
    sequences: Sequence[TokenSequence], indices: Sequence[int], max_tokens: int, layout: Layout
) -> list[MicroBatch]:
    """The chosen sequences as `pack` lays out conversations whose response is learnt."""
    batches = pack([_learned(sequences[i]) for i in indices], range(len(indices)), max_tokens, layout)
    caller = torch.tensor(indices)
    return [replace(batch, sample=caller[batch.sample]) for batch in batches]


def _learned(sequence: TokenSequence) -> LearnedTokens:
    ids = np.array(sequence.prompt_ids + sequence.response_ids, dtype=np.int32)
    return LearnedTokens(ids, np.arange(len(ids)) >= len(sequence.prompt_ids))


def _by_prompt(sequences: Sequence[TokenSequence], indices: Sequence[int]) -> list[_Row]:
    """One row, however long, for each prompt."""
    members: dict[tuple[int, ...], list[int]] = {}
    for i in indices:
        members.setdefault(sequences[i].prompt_ids, []).append(i)
    return [_Row(prompt, tuple((i, sequences[i].response_ids) for i in of)) for prompt, of in members.items()]


def _rows(whole: _Row, max_tokens: int, layout: Layout) -> list[_Row]:
    """A prompt's responses in the rows that cost least, none longer than the budget unless it holds one alone."""
    if not layout.shares:
        return _split(whole, 1, max_tokens)
    splits = (_split(whole, per_row, max_tokens) for per_row in range(len(whole.members), 0, -1))
    return min(splits, key=lambda rows: sum(_cost(row, layout.cell_cost) for row in rows))


def _split(whole: _Row, per_row: int, max_tokens: int) -> list[_Row]:
    rows: list[_Row] = []
    row: list[tuple[int, tuple[int, ...]]] = []
    length = len(whole.prompt_ids)
    for index, response_ids in whole.members:
        if row and (len(row) == per_row or length + len(response_ids) - 1 > max_tokens):
            rows.append(_Row(whole.prompt_ids, tuple(row)))
            row, length = [], len(whole.prompt_ids)
        row.append((index, response_ids))
        length += len(response_ids) - 1
    return [*rows, _Row(whole.prompt_ids, tuple(row))]


def _cost(row: _Row, cell_cost: float) -> float:
    cells = row.length**2 if len(row.members) > 1 else row.length**2 / 2
    return row.length + cell_cost * cells


def _response_tensors(rows: Sequence[_Row]) -> MicroBatch:
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
    alone = all(len(row.members) == 1 for row in rows)
    places = torch.tensor(source), torch.tensor(target), torch.tensor(sample)
    return MicroBatch(input_ids, position_ids, segment, *places, alone)


def pack(
    conversations: Sequence[LearnedTokens], indices: Sequence[int], max_tokens: int, layout: Layout = SHARED
) -> list[MicroBatch]:
    """Lays the chosen conversations out in passes of at most `max_tokens` padded tokens.

    Args:
        conversations: all of them; `MicroBatch.sample` indexes this list.
        indices: which of them to lay out.
        max_tokens: budget of a pass. A conversation that alone is longer gets its way.
        layout: whether several conversations may stand in a row, and what tells them apart.
    """
    if not indices:
        return []
    inputs = {i: len(conversations[i]) - 1 for i in indices}
    longest_first = sorted(indices, key=lambda i: (-inputs[i], i))
    if layout.shares and not layout.masked:  # one long row a pass: without a mask length costs nothing
        rows = _filled_rows(longest_first, inputs, max(max_tokens, inputs[longest_first[0]]))
        return [_conversation_tensors([row], conversations, layout.masked) for row in rows]
    rows = [[i] for i in longest_first]
    if layout.shares:
        rows = _filled_rows(longest_first, inputs, inputs[longest_first[0]])
    batches: list[list[list[int]]] = []
    for row in rows:  # the longest row of a micro-batch comes first
        if batches and _length(batches[-1][0], inputs) * (len(batches[-1]) + 1) <= max_tokens:
            batches[-1].append(row)
        else:
            batches.append([row])
    return [_conversation_tensors(batch, conversations, layout.masked) for batch in batches]


def _filled_rows(longest_first: Sequence[int], inputs: dict[int, int], capacity: int) -> list[list[int]]:
    """First fit into rows of `capacity` tokens: each conversation goes to the first with room; longest row first."""
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
    rows: Sequence[Sequence[int]], conversations: Sequence[LearnedTokens], masked: bool
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
    alone = all(len(row) == 1 for row in rows)
    places = torch.cat(source), torch.cat(target), torch.cat(sample)
    return MicroBatch(input_ids, position_ids, segment, *places, alone, masked)
