"""The order of prompts: epochs without repetition, resumed bit for bit, and never over other data."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cgpo.data.ids import contents_fingerprint
from cgpo.data.sampler import PromptSampler
from cgpo.errors import DataError
from cgpo.types import Prompt


def prompts(count: int, prefix: str = "p") -> list[Prompt]:
    return [Prompt(f"{prefix}{i}", ({"role": "user", "content": f"{prefix} {i}"},)) for i in range(count)]


def ids(batch: list[Prompt]) -> list[str]:
    return [prompt.id for prompt in batch]


def test_an_epoch_holds_every_prompt_once_and_each_has_its_own_order() -> None:
    sampler = PromptSampler(prompts(12), seed=3)
    epochs = [[*ids(sampler.sample(4)), *ids(sampler.sample(4)), *ids(sampler.sample(4))] for _ in range(3)]
    assert all(sorted(epoch) == sorted(ids(prompts(12))) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2] != epochs[0]


def test_the_seed_decides_the_order() -> None:
    def order(seed: int) -> list[str]:
        return ids(PromptSampler(prompts(12), seed).sample(12))

    assert order(1) == order(1) != order(2)


def test_a_batch_larger_than_the_set_runs_over_whole_epochs() -> None:
    sampler = PromptSampler(prompts(3), seed=0)
    batch = ids(sampler.sample(7))
    assert sorted(batch[:3]) == sorted(batch[3:6]) == ["p0", "p1", "p2"]
    assert sampler.epoch == 2
    rest = ids(sampler.sample(2))
    assert sorted([batch[6], *rest]) == ["p0", "p1", "p2"]


def test_one_prompt() -> None:
    assert ids(PromptSampler(prompts(1), seed=0).sample(3)) == ["p0"] * 3


@settings(max_examples=200, deadline=None)
@given(count=st.integers(1, 12), sizes=st.lists(st.integers(1, 12), min_size=1, max_size=12), seed=st.integers(0, 5))
def test_whatever_the_batches_epochs_are_complete_and_batches_have_no_prompt_twice(
    count: int, sizes: list[int], seed: int
) -> None:
    sampler = PromptSampler(prompts(count), seed)
    stream: list[str] = []
    for size in sizes:
        batch = ids(sampler.sample(size))
        assert len(batch) == size
        if size <= count:
            assert len(set(batch)) == size
        stream += batch
    for start in range(0, len(stream) - count + 1, count):
        assert len(set(stream[start : start + count])) == count


@settings(max_examples=100, deadline=None)
@given(count=st.integers(1, 9), sizes=st.lists(st.integers(1, 11), min_size=2, max_size=10), stop=st.integers(0, 9))
def test_a_resumed_sampler_goes_on_as_one_that_never_stopped(count: int, sizes: list[int], stop: int) -> None:
    whole = PromptSampler(prompts(count), seed=7)
    expected = [ids(whole.sample(size)) for size in sizes]
    first = PromptSampler(prompts(count), seed=7)
    found = [ids(first.sample(size)) for size in sizes[:stop]]
    state = json.loads(json.dumps(first.state_dict()))
    second = PromptSampler(prompts(count), seed=7)
    second.load_state_dict(state)
    assert found + [ids(second.sample(size)) for size in sizes[stop:]] == expected
    assert second.state_dict() == whole.state_dict()


@pytest.mark.parametrize("changed", [prompts(5), prompts(4, "q"), prompts(4)[::-1]])
def test_other_data_than_the_checkpoints_is_refused(changed: list[Prompt]) -> None:
    state = PromptSampler(prompts(4), seed=0).state_dict()
    with pytest.raises(DataError) as caught:
        PromptSampler(changed, seed=0, stratum="math").load_state_dict(state)
    assert str(caught.value) == (
        f"stratum 'math': the prompts are not those the checkpoint was made with (4 then, {len(changed)} now; their "
        "texts or their order changed). Restore the data set or start a new run."
    )


def test_other_reference_answers_than_the_checkpoints_are_refused() -> None:
    def answered(answer: Any, golden: str | None = None) -> list[Prompt]:
        return [replace(prompt, metadata={"answer": answer, "kind": "sum"}, baseline=golden) for prompt in prompts(4)]

    state = json.loads(json.dumps(PromptSampler(answered("4"), seed=0).state_dict()))
    PromptSampler(answered("4", golden="another"), seed=0).load_state_dict(state)  # its baseline is made anew
    for changed in ("5", 4, None, ["4"]):
        with pytest.raises(DataError, match="stratum 'math': the prompts' metadata are not those the checkpoint was"):
            PromptSampler(answered(changed), seed=0, stratum="math").load_state_dict(state)
    said = [replace(p, messages=({**p.messages[0], "name": "Ann"},)) for p in answered("4")]
    with pytest.raises(DataError, match="metadata are not those"):
        PromptSampler(said, seed=0).load_state_dict(state)
    del state["contents"]  # as earlier versions wrote it
    PromptSampler(answered("5"), seed=0).load_state_dict(state)


def test_metadata_of_any_kind_have_a_fingerprint() -> None:
    class Anything:
        """Its repr has an address."""

    def fingerprint() -> str:
        values = {"at": date(2026, 1, 2), "raw": b"x", "array": np.arange(3), "thing": Anything()}
        return contents_fingerprint([Prompt("p", ({"role": "user", "content": "\ud800"},), values)])

    assert fingerprint() == fingerprint()


def test_another_seed_than_the_checkpoints_is_refused() -> None:
    state = PromptSampler(prompts(4), seed=0).state_dict()
    with pytest.raises(DataError, match="the checkpoint was made with seed 0, not 1"):
        PromptSampler(prompts(4), seed=1).load_state_dict(state)


def test_nothing_to_sample() -> None:
    with pytest.raises(DataError, match="stratum 'chat' has no prompts to sample from"):
        PromptSampler([], seed=0, stratum="chat")
    with pytest.raises(ValueError, match="cannot sample 0 prompts"):
        PromptSampler(prompts(1), seed=0).sample(0)


@given(st.integers(1, 9), st.integers(1, 12), st.integers(0, 9), st.integers(0, 9))
def test_upcoming_is_what_comes_and_does_not_move(count: int, size: int, before: int, batches: int) -> None:
    sampler = PromptSampler(prompts(count), seed=5)
    for _ in range(before):
        sampler.sample(size)
    state = sampler.state_dict()
    upcoming = ids(sampler.upcoming(batches, size))
    assert sampler.state_dict() == state
    drawn = {prompt.id for _ in range(batches) for prompt in sampler.sample(size)}
    assert sorted(upcoming) == sorted(drawn)
