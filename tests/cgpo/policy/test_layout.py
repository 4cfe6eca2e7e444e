"""Rows written out by hand: which tokens stand where, what is predicted from them, and which rows cost least."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from cgpo.policy.layout import (
    PACKED,
    SEPARATE,
    SHARED,
    Layout,
    MicroBatch,
    TokenSequence,
    idle_micro_batch,
    micro_batches,
    pack,
)
from cgpo.types import LearnedTokens

SEQUENCES = [
    TokenSequence((5, 6, 7), (8, 9, 10, 2)),
    TokenSequence((40, 41), (42,)),
    TokenSequence((5, 6, 7), (11, 2)),
    TokenSequence((30,), (31, 32, 33)),
]


def shown(batch: MicroBatch) -> dict[str, list[int] | list[list[int]]]:
    names = ("input_ids", "position_ids", "segment", "source", "target", "sample", "place")
    return {name: getattr(batch, name).tolist() for name in names}


def members(batches: list[MicroBatch]) -> list[list[list[int]]]:
    """For each pass and each of its rows, the sequences whose tokens are predicted from it."""
    return [
        [
            sorted(set(batch.sample[batch.source // batch.input_ids.shape[1] == row].tolist()))
            for row in range(len(batch.input_ids))
        ]
        for batch in batches
    ]


def test_responses_stand_behind_their_prompt_shorter_rows_first() -> None:
    (batch,) = micro_batches(SEQUENCES, [0, 2, 3], 14)
    assert shown(batch) == {
        "input_ids": [[30, 31, 32, 0, 0, 0, 0], [5, 6, 7, 8, 9, 10, 11]],
        "position_ids": [[0, 1, 2, 0, 0, 0, 0], [0, 1, 2, 3, 4, 5, 3]],
        "segment": [[0, 1, 1, -1, -1, -1, -1], [0, 0, 0, 1, 1, 1, 2]],
        # A response's first token is predicted from the prompt's last, which stands in place 7 + 2 for both of them.
        "source": [0, 1, 2, 9, 10, 11, 12, 9, 13],
        "target": [31, 32, 33, 8, 9, 10, 2, 11, 2],
        "sample": [3, 3, 3, 0, 0, 0, 0, 2, 2],
        "place": [0, 1, 2, 0, 1, 2, 3, 0, 1],
    }
    assert not batch.alone
    assert batch.tokens == 14
    assert {t.dtype for t in (batch.input_ids, batch.position_ids, batch.segment)} == {torch.int64}


def test_without_sharing_each_has_a_row_and_one_token_is_predicted_from_its_prompt() -> None:
    (batch,) = micro_batches(SEQUENCES, [2, 1], 8, SEPARATE)
    assert shown(batch) == {
        "input_ids": [[40, 41, 0, 0], [5, 6, 7, 11]],
        "position_ids": [[0, 1, 0, 0], [0, 1, 2, 3]],
        "segment": [[0, 0, -1, -1], [0, 0, 0, 1]],
        "source": [1, 6, 7],
        "target": [42, 11, 2],
        "sample": [1, 2, 2],
        "place": [0, 0, 1],
    }
    assert batch.alone


def test_without_sharing_siblings_stand_in_rows_of_their_own() -> None:
    assert members(micro_batches(SEQUENCES, [0, 2, 3], 18, SEPARATE)) == [[[3], [2], [0]]]


@pytest.mark.parametrize(
    ("budget", "expected"),
    [
        (14, [[[3], [0, 2]]]),  # rows of 3 and 7 tokens, padded to 2 · 7
        (13, [[[3]], [[0, 2]]]),
        (7, [[[3]], [[0, 2]]]),  # 3 + 3 + 1 tokens are one row of 7
        (6, [[[3]], [[2]], [[0]]]),  # rows of 3, 4 and 6: 2 · 4 is more than 6
        (8, [[[3]], [[0, 2]]]),
        (1, [[[3]], [[2]], [[0]]]),
    ],
)
def test_a_pass_is_filled_up_to_its_budget_and_one_that_is_longer_stands_alone(
    budget: int, expected: list[list[list[int]]]
) -> None:
    assert members(micro_batches(SEQUENCES, [0, 2, 3], budget)) == expected


def test_a_pass_takes_as_many_rows_as_its_longest_leaves_room_for() -> None:
    same = [TokenSequence((9, 9 + i), (3,)) for i in range(3)] + [TokenSequence((1, 2), (3, 4))]
    assert [len(b.input_ids) for b in micro_batches(same, range(4), 6)] == [3, 1]
    assert [len(b.input_ids) for b in micro_batches(same, range(4), 11)] == [3, 1]
    assert [len(b.input_ids) for b in micro_batches(same, range(4), 12)] == [4]


def test_a_row_is_full_when_the_next_response_would_pass_the_budget() -> None:
    three = [TokenSequence((1, 2), (10 * i, 3, 4)) for i in range(1, 4)]  # 2 + 2 + 2 + 2 tokens together
    assert members(micro_batches(three, range(3), 8)) == [[[0, 1, 2]]]
    assert members(micro_batches(three, range(3), 7)) == [[[2]], [[0, 1]]]
    assert members(micro_batches(three, range(3), 5)) == [[[0]], [[1]], [[2]]]


# A prompt of 8 tokens and responses of 17, of which 16 are inputs: rows of 1, 2, 3, 4 have 24, 40, 56, 72 tokens.
FOUR = [TokenSequence(tuple(range(1, 9)), (i, *range(20, 36))) for i in range(4)]


@pytest.mark.parametrize(
    ("cell_cost", "expected"),
    [
        # All four in a row cost 72 + 5184 c, two rows of two 80 + 3200 c, four of one 96 + 1152 c: the first changes
        # at c = 8 / 1984 = 0.00403, the second at 16 / 2048 = 1 / 128.
        (0.0, [[0, 1, 2, 3]]),
        (0.0040, [[0, 1, 2, 3]]),
        (0.0041, [[0, 1], [2, 3]]),
        (1 / 128, [[0, 1], [2, 3]]),
        (0.0079, [[0], [1], [2], [3]]),
    ],
)
def test_as_many_responses_stand_in_a_row_as_make_it_cost_least(cell_cost: float, expected: list[list[int]]) -> None:
    found = members(micro_batches(FOUR, range(4), 10_000, Layout(cell_cost=cell_cost)))
    assert found == [expected]


def test_where_unequal_responses_share_is_decided_by_the_tokens_of_all_rows() -> None:
    # 3 + 3 + 1 tokens in a row: 7 + 49 c. Alone 6 + 4 + (36 + 16) / 2 · c. They cost the same at c = 3 / 23.
    two = [SEQUENCES[0], SEQUENCES[2]]
    assert members(micro_batches(two, [0, 1], 100, Layout(cell_cost=0.130))) == [[[0, 1]]]
    assert members(micro_batches(two, [0, 1], 100, Layout(cell_cost=0.131))) == [[[1], [0]]]


def test_a_micro_batch_goes_to_a_device_as_a_whole() -> None:
    (batch,) = micro_batches(SEQUENCES, [0, 2], 64)
    moved = batch.to(torch.device("meta"))
    tensors = [value for value in vars(moved).values() if isinstance(value, torch.Tensor)]
    assert len(tensors) == 6
    assert {tensor.device.type for tensor in tensors} == {"meta"}
    assert moved.alone == batch.alone


def test_the_idle_pass_is_one_token_of_every_vocabulary() -> None:
    batch = idle_micro_batch()
    assert shown(batch) == {
        "input_ids": [[0]],
        "position_ids": [[0]],
        "segment": [[0]],
        "source": [0],
        "target": [0],
        "sample": [0],
        "place": [0],
    }
    assert batch.alone


def talk(*ids: int, learned: tuple[int, ...]) -> LearnedTokens:
    return LearnedTokens(
        np.array(ids, dtype=np.int32), np.array([i in learned for i in range(len(ids))], dtype=np.bool_)
    )


TALKS = [
    talk(5, 6, 7, 8, learned=(1, 3)),
    talk(9, 10, learned=(1,)),
    talk(11, 12, 13, learned=(2,)),
]


def test_conversations_stand_one_behind_the_other_each_from_position_0() -> None:
    (batch,) = pack(TALKS, [1, 0, 2], 6)
    assert shown(batch) == {
        "input_ids": [[5, 6, 7], [11, 12, 9]],
        "position_ids": [[0, 1, 2], [0, 1, 0]],
        "segment": [[1, 1, 1], [1, 1, 2]],
        "source": [0, 2, 4, 5],
        "target": [6, 8, 13, 10],
        "sample": [0, 0, 2, 1],
        "place": [0, 1, 0, 0],
    }
    assert not batch.alone
    assert {t.dtype for t in (batch.input_ids, batch.position_ids, batch.segment)} == {torch.int64}
    first, second = pack(TALKS, [1, 0, 2], 5)
    assert (first.alone, second.alone) == (True, False)


def test_behind_a_shorter_conversation_stands_padding() -> None:
    talks = [TALKS[2], TALKS[0], talk(21, 22, 23, learned=(1,))]
    (batch,) = pack(talks, [2, 0, 1], 9)
    assert shown(batch) == {
        "input_ids": [[5, 6, 7], [11, 12, 0], [21, 22, 0]],  # equally long ones in the order of the list
        "position_ids": [[0, 1, 2], [0, 1, 0], [0, 1, 0]],
        "segment": [[1, 1, 1], [1, 1, -1], [1, 1, -1]],
        "source": [0, 2, 4, 6],
        "target": [6, 8, 13, 22],
        "sample": [1, 1, 0, 2],
        "place": [0, 1, 0, 0],
    }
    assert batch.alone


def test_full_rows_come_before_one_that_none_fitted_into() -> None:
    # Inputs of 6, 4, 3 and 3 tokens: 3 + 3 make a row of 6, which is passed with the first; 4 stands alone.
    talks = [talk(*range(n + 1), learned=(n,)) for n in (6, 4, 3, 3)]
    batches = pack(talks, range(4), 12)
    assert members(batches) == [[[0], [2, 3]], [[1]]]
    assert [batch.tokens for batch in batches] == [12, 4]


def test_without_a_mask_whole_sequences_stand_one_behind_the_other_up_to_the_budget() -> None:
    (batch,) = micro_batches(SEQUENCES, [2, 0, 3], 14, PACKED)
    assert shown(batch) == {
        "input_ids": [[5, 6, 7, 8, 9, 10, 5, 6, 7, 11, 30, 31, 32]],
        "position_ids": [[0, 1, 2, 3, 4, 5, 0, 1, 2, 3, 0, 1, 2]],
        "segment": [[1] * 6 + [2] * 4 + [3] * 3],
        "source": [2, 3, 4, 5, 8, 9, 10, 11, 12],
        "target": [8, 9, 10, 2, 11, 2, 31, 32, 33],
        "sample": [0, 0, 0, 0, 2, 2, 3, 3, 3],
        "place": [0, 1, 2, 3, 0, 1, 0, 1, 2],
    }
    assert (batch.alone, batch.masked) == (False, False)


@pytest.mark.parametrize(
    ("budget", "expected"),
    [
        (13, [[[0, 2, 3]]]),  # 6 + 4 + 3 tokens
        (12, [[[0, 2]], [[3]]]),
        (9, [[[0, 3]], [[2]]]),
        (1, [[[0]], [[2]], [[3]]]),
    ],
)
def test_without_a_mask_a_pass_is_one_row(budget: int, expected: list[list[list[int]]]) -> None:
    batches = micro_batches(SEQUENCES, [0, 2, 3], budget, PACKED)
    assert members(batches) == expected
    assert [batch.alone for batch in batches] == [len(row) == 1 for (row,) in expected]


def test_without_a_mask_rows_are_as_long_as_the_longest_sequence_where_that_is_beyond_the_budget() -> None:
    assert members(micro_batches(SEQUENCES, [0, 1, 2], 5, PACKED)) == [[[0]], [[1, 2]]]  # 6 tokens, and 4 + 2


@pytest.mark.parametrize("layout", [SHARED, PACKED, SEPARATE])
def test_conversations_are_packed_where_they_may_share_a_row(layout: Layout) -> None:
    batches = pack(TALKS, [0, 1, 2], 6, layout)
    expected = {SHARED: [[[0], [1, 2]]], PACKED: [[[0, 1, 2]]], SEPARATE: [[[0], [2]], [[1]]]}
    assert members(batches) == expected[layout]
    assert {batch.masked for batch in batches} == {layout.masked}


@pytest.mark.parametrize("layout", [SHARED, PACKED, SEPARATE])
def test_nothing_is_laid_out_in_no_pass(layout: Layout) -> None:
    assert micro_batches(SEQUENCES, [], 10, layout) == []
    assert pack(TALKS, [], 10, layout) == []


def test_the_default_is_to_share() -> None:
    assert members(micro_batches(SEQUENCES, [0, 2], 64)) == members(micro_batches(SEQUENCES, [0, 2], 64, SHARED))
