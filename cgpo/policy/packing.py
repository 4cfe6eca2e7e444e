"""How whole conversations are laid out for one forward pass.

Packed: several conversations stand in one row, each seeing itself alone and counting its positions from 0. Rows are as
long as the step's longest conversation, so that attention, which is quadratic in a row's length, costs no more than it
must; a micro-batch has as many rows as the token budget allows. Unpacked: a row each, with a plain padding mask. The
log-probs are the same.

A conversation's last token is never an input: nothing is predicted from it.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from cgpo.policy.layout import MicroBatch
from cgpo.types import LearnedTokens


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
    return [_tensors(batch, conversations, packed=packed) for batch in batches]


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


def _tensors(rows: Sequence[Sequence[int]], conversations: Sequence[LearnedTokens], *, packed: bool) -> MicroBatch:
    size = max(sum(len(conversations[i]) - 1 for i in row) for row in rows)
    input_ids = torch.zeros(len(rows), size, dtype=torch.long)
    position_ids = torch.zeros(len(rows), size, dtype=torch.long)
    segment = torch.full((len(rows), size), -1, dtype=torch.long)  # k = the row's k-th conversation, -1 = padding
    source: list[Tensor] = []
    target: list[Tensor] = []
    sample: list[Tensor] = []
    for b, row in enumerate(rows):
        start = 0
        for k, i in enumerate(row):
            ids = torch.from_numpy(conversations[i].ids).long()
            here = slice(start, start + len(ids) - 1)
            input_ids[b, here] = ids[:-1]
            position_ids[b, here] = torch.arange(len(ids) - 1)
            segment[b, here] = k
            learned = torch.from_numpy(conversations[i].learned).nonzero().squeeze(1)
            source.append(b * size + start + learned - 1)
            target.append(ids[learned])
            sample.append(torch.full_like(learned, i))
            start = here.stop
    mask = _block_mask(segment) if packed else (segment >= 0).long()
    return MicroBatch(input_ids, position_ids, mask, torch.cat(source), torch.cat(target), torch.cat(sample))


def _block_mask(segment: Tensor) -> Tensor:
    """bool [B, 1, L, L]: causal, and only within one's own conversation. Padding sees itself alone."""
    size = segment.shape[1]
    causal = torch.ones(size, size, dtype=torch.bool).tril()
    same = segment[:, :, None] == segment[:, None, :]
    inside = (segment >= 0)[:, :, None]
    return ((causal & same & inside) | torch.eye(size, dtype=torch.bool))[:, None]
