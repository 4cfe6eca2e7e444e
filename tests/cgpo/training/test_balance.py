"""Sharing samples over ranks: nothing lost, evenly, the responses of a prompt together."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from cgpo.policy.layout import TokenSequence
from cgpo.training.balance import Sample, balanced, cost, partition, prompt_groups


def sample(prompt: tuple[int, ...], length: int, temperature: float = 1.0) -> Sample:
    return Sample(TokenSequence(prompt, (7,) * length), torch.ones(length), torch.zeros(length, 0), temperature)


def test_longest_first_each_to_the_lightest() -> None:
    # 9 → rank 0; 7 → 1; 6 → 1 (7 < 9) = 13; 5 → 0 = 14; 4 → 1 = 17; 2 → 0 = 16
    assert partition([5, 9, 2, 7, 6, 4], 2) == [[0, 1, 2], [3, 4, 5]]
    assert partition([3], 3) == [[0], [], []]
    assert partition([], 2) == [[], []]


@given(st.lists(st.integers(1, 1000), max_size=40), st.integers(1, 5))
def test_every_index_once_and_within_the_bound(costs: list[int], parts: int) -> None:
    found = partition(costs, parts)
    assert sorted(i for part in found for i in part) == list(range(len(costs)))
    if costs:
        least = max(max(costs), -(-sum(costs) // parts))  # no partition has a smaller maximum than this
        largest = max(sum(costs[i] for i in part) for part in found)
        assert largest <= sum(costs) / parts + max(costs)
        assert largest >= least


def test_responses_of_a_prompt_stay_together() -> None:
    one, two, three = sample((1, 2), 4), sample((3,), 5), sample((1, 2), 3)
    hotter = sample((1, 2), 3, temperature=0.7)
    groups = prompt_groups([one, two, three, hotter])
    assert [[id(s) for s in group] for group in groups] == [[id(one), id(three)], [id(two)], [id(hotter)]]
    assert cost(groups[0]) == 2 + 3 + 2


def test_one_rank_keeps_everything() -> None:
    samples = [sample((i,), i + 1) for i in range(5)]
    assert {id(s) for s in balanced(samples)} == {id(s) for s in samples}
