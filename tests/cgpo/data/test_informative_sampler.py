"""Drawing prompts that gave a contrast: the share, the way back, and the resume."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from cgpo.data.informative import InformativeSampler
from cgpo.errors import DataError
from cgpo.types import Prompt


def prompts(count: int) -> list[Prompt]:
    return [Prompt(f"p{i}", ({"role": "user", "content": f"p {i}"},)) for i in range(count)]


def play(sampler: InformativeSampler, batches: int, size: int, dull: set[str]) -> list[list[str]]:
    """Draws batches; the prompts in `dull` never give a contrast, all others do."""
    found = []
    for _ in range(batches):
        batch = [prompt.id for prompt in sampler.sample(size)]
        sampler.observe({prompt: prompt not in dull for prompt in batch})
        found.append(batch)
    return found


def flat(batches: list[list[str]]) -> list[str]:
    return [prompt for batch in batches for prompt in batch]


def test_every_prompt_comes_once_before_any_comes_twice_where_all_give_a_contrast() -> None:
    sampler = InformativeSampler(prompts(12), 1, share=0.5)
    first, second = play(sampler, 3, 4, set()), play(sampler, 3, 4, set())
    assert sorted(flat(first)) == sorted(flat(second)) == sorted(p.id for p in prompts(12))
    assert first != second


def test_the_share_of_a_batch() -> None:
    # 30 of 40 prompts are dull. Plain sampling would bring three dull ones among four; share 0.75 brings one.
    dull = {f"p{i}" for i in range(30)}
    sampler = InformativeSampler(prompts(40), 1, share=0.75)
    play(sampler, 30, 4, dull)  # until all are known
    assert sampler.informative_pool == 0.25
    counts = [sum(prompt in dull for prompt in batch) for batch in play(sampler, 40, 4, dull)]
    assert set(counts) == {1}


def test_dull_prompts_come_back_in_turn() -> None:
    dull = {f"p{i}" for i in range(6)}
    sampler = InformativeSampler(prompts(8), 1, share=0.5)
    play(sampler, 10, 4, dull)
    drawn = Counter(flat(play(sampler, 12, 4, dull)))
    assert [drawn[prompt] for prompt in sorted(dull)] == pytest.approx([4] * 6, abs=1)  # 12 batches × 2 over 6 prompts
    assert drawn["p6"] == drawn["p7"] == 12


def test_a_fraction_is_carried_over() -> None:
    # 1 − share = 0.25 of batches of one: every fourth prompt is a dull one.
    dull = {"p0", "p1"}
    sampler = InformativeSampler(prompts(4), 1, share=0.75)
    play(sampler, 8, 1, dull)
    drawn = [batch[0] in dull for batch in play(sampler, 40, 1, dull)]
    assert sum(drawn) == 10
    assert sum(drawn[:8]) == 2


def test_dull_prompts_never_come_more_often_than_in_plain_sampling() -> None:
    # One of ten is dull: a tenth of the draws, not the half that 1 − share would allow.
    sampler = InformativeSampler(prompts(10), 1, share=0.5)
    play(sampler, 5, 5, {"p3"})
    assert Counter(flat(play(sampler, 40, 5, {"p3"})))["p3"] == pytest.approx(20, abs=1)


def test_all_dull_is_plain_sampling_and_one_contrast_brings_a_prompt_back() -> None:
    everything = {prompt.id for prompt in prompts(6)}
    sampler = InformativeSampler(prompts(6), 1, share=0.9)
    play(sampler, 4, 3, everything)
    assert sampler.informative_pool == 0
    assert sorted(flat(play(sampler, 2, 3, everything))) == sorted(everything)
    sampler.observe({"p2": True, "p4": None})
    assert all("p2" in batch for batch in play(sampler, 3, 3, everything - {"p2"}))


def test_unknown_changes_nothing() -> None:
    sampler = InformativeSampler(prompts(4), 1, share=0.5)
    sampler.observe({"p0": False})
    before = sampler.state_dict()
    sampler.observe({"p0": None, "p1": None})
    assert sampler.state_dict() == before


def test_a_batch_larger_than_the_set() -> None:
    batch = [prompt.id for prompt in InformativeSampler(prompts(3), 1, share=0.5).sample(7)]
    assert sorted(Counter(batch).values()) == [2, 2, 3]


def test_a_saved_position_goes_on_bit_for_bit() -> None:
    dull = {f"p{i}" for i in range(0, 20, 3)}
    whole = InformativeSampler(prompts(20), 7, share=0.6)
    play(whole, 9, 3, dull)
    state = json.loads(json.dumps(whole.state_dict()))
    again = InformativeSampler(prompts(20), 7, share=0.6)
    play(again, 2, 3, set())  # what it knew before does not matter
    again.load_state_dict(state)
    assert play(again, 12, 3, dull) == play(whole, 12, 3, dull)
    assert again.state_dict() == whole.state_dict()


def test_another_data_set_or_seed_is_refused() -> None:
    state = InformativeSampler(prompts(4), 1, share=0.5).state_dict()
    with pytest.raises(DataError, match="4 then, 5 now"):
        InformativeSampler(prompts(5), 1, share=0.5, stratum="math").load_state_dict(state)
    with pytest.raises(DataError, match="seed 1, not 2"):
        InformativeSampler(prompts(4), 2, share=0.5).load_state_dict(state)


def test_all_prompts_are_upcoming_because_the_order_is_not_known_yet() -> None:
    sampler = InformativeSampler(prompts(4), 1, share=0.5)
    assert len(sampler.upcoming(1, 2)) == 4
    assert sampler.upcoming(0, 2) == []
