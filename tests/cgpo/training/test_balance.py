"""Sharing samples over ranks: nothing lost, evenly, the responses of a prompt together."""

from __future__ import annotations

import itertools

import torch
from hypothesis import given
from hypothesis import strategies as st

from cgpo.policy.layout import TokenSequence
from cgpo.training.balance import LearningSample, balance_over_ranks, cost, partition, prompt_groups


def sample(prompt: tuple[int, ...], length: int, temperature: float = 1.0) -> LearningSample:
    return LearningSample(TokenSequence(prompt, (7,) * length), torch.ones(length), torch.zeros(length, 0), temperature)


def test_longest_first_each_to_the_lightest() -> None:
    # 9 → rank 0; 7 → 1; 6 → 1 (7 < 9) = 13; 5 → 0 = 14; 4 → 1 = 17; 2 → 0 = 16
    assert partition([5, 9, 2, 7, 6, 4], 2) == [[0, 1, 2], [3, 4, 5]]
    assert partition([3], 3) == [[0], [], []]
    assert partition([], 2) == [[], []]


def best_maximum(costs: list[int], parts: int) -> int:
    """The smallest possible largest load, by trying every partition."""
    return min(
        max(sum(c for c, part in zip(costs, choice, strict=True) if part == p) for p in range(parts))
        for choice in itertools.product(range(parts), repeat=len(costs))
    )


@given(st.lists(st.integers(1, 60), min_size=1, max_size=7), st.integers(1, 3))
def test_every_index_once_and_within_the_bound_of_the_best_partition(costs: list[int], parts: int) -> None:
    shares = partition(costs, parts)
    assert sorted(i for share in shares for i in share) == list(range(len(costs)))
    largest = max(sum(costs[i] for i in share) for share in shares)
    # Graham 1969: 4/3 − 1/(3 ranks) of the best possible maximum; whole numbers, so that no rounding decides.
    assert 3 * parts * largest <= (4 * parts - 1) * best_maximum(costs, parts)


def test_the_bound_is_reached() -> None:
    # Graham's own worst case for two ranks: 3 + 2 + 2 = 7 beside 3 + 2 = 5, where 3 + 3 and 2 + 2 + 2 give 6 and 6.
    costs = [3, 3, 2, 2, 2]
    assert max(sum(costs[i] for i in share) for share in partition(costs, 2)) == 7
    assert best_maximum(costs, 2) == 6


def test_responses_of_a_prompt_stay_together() -> None:
    one, two, three = sample((1, 2), 4), sample((3,), 5), sample((1, 2), 3)
    hotter = sample((1, 2), 3, temperature=0.7)
    groups = prompt_groups([one, two, three, hotter])
    assert [[id(s) for s in group] for group in groups] == [[id(one), id(three)], [id(two)], [id(hotter)]]
    assert cost(groups[0]) == 2 + 3 + 2


def test_one_rank_keeps_everything() -> None:
    samples = [sample((i,), i + 1) for i in range(5)]
    assert {id(s) for s in balance_over_ranks(samples)} == {id(s) for s in samples}
