"""Packed conversations: the same log-probs as alone, within the token budget, each once."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cgpo.policy.layout import PACKED, SEPARATE, SHARED, Layout, pack
from cgpo.policy.logprobs import LogProbModel, sequence_sums
from cgpo.types import LearnedTokens

LAYOUTS = st.sampled_from([SHARED, PACKED, SEPARATE])


def conversation(rng: random.Random, length: int) -> LearnedTokens:
    """Some stretches learnt, the first token never, the last one always."""
    learned = [False, *[rng.random() < 0.5 for _ in range(length - 2)], True]
    ids = [rng.randrange(5, 900) for _ in range(length)]
    return LearnedTokens(np.array(ids, dtype=np.int32), np.array(learned, dtype=np.bool_))


@pytest.fixture(scope="module")
def talks() -> list[LearnedTokens]:
    rng = random.Random(1)
    return [conversation(rng, length) for length in (30, 7, 12, 2, 25, 9, 18)]


@pytest.fixture(scope="module")
def causal_lm(tiny_model: str) -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32)


def plain_loss(causal_lm: Any, talk: LearnedTokens) -> float:
    """Sum of the loss over learnt tokens as transformers computes it, from labels with −100 elsewhere."""
    ids = torch.from_numpy(talk.ids).long()[None]
    labels = ids.masked_fill(~torch.from_numpy(talk.learned)[None], -100)
    with torch.no_grad():
        return float(causal_lm(input_ids=ids, labels=labels).loss) * int(talk.learned.sum())


@pytest.mark.parametrize("layout", [SHARED, PACKED, SEPARATE])
@pytest.mark.parametrize("budget", [40, 10_000])
def test_packed_and_unpacked_losses_are_those_of_transformers(
    causal_lm: Any, talks: list[LearnedTokens], layout: Layout, budget: int
) -> None:
    model = LogProbModel(causal_lm, chunk=16)
    sums = torch.zeros(len(talks))
    for batch in pack(talks, range(len(talks)), budget, layout):
        with torch.no_grad():
            logprobs, _ = model(batch, 1.0)
        sums += sequence_sums(logprobs, batch.sample, len(talks))
    assert (-sums).tolist() == pytest.approx([plain_loss(causal_lm, talk) for talk in talks], abs=1e-4)


def test_packing_saves_padding(talks: list[LearnedTokens]) -> None:
    real = sum(len(talk) - 1 for talk in talks)
    padded = {
        layout: sum(batch.tokens for batch in pack(talks, range(len(talks)), 10_000, layout))
        for layout in (PACKED, SHARED, SEPARATE)
    }
    assert real == padded[PACKED] <= padded[SHARED] < padded[SEPARATE]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(2, 40), min_size=1, max_size=30), st.integers(10, 200), LAYOUTS)
def test_every_learnt_token_once_within_the_budget(lengths: list[int], budget: int, layout: Layout) -> None:
    rng = random.Random(repr(lengths))
    talks = [conversation(rng, length) for length in lengths]
    chosen = [i for i in range(len(talks)) if i % 3 != 1] or [0]
    batches = pack(talks, chosen, budget, layout)
    found = [(int(s), int(t)) for batch in batches for s, t in zip(batch.sample, batch.target, strict=True)]
    expected = [(i, int(t)) for i in chosen for t in talks[i].ids[talks[i].learned]]
    assert sorted(found) == sorted(expected)
    longest = max(len(talks[i]) - 1 for i in chosen)
    for batch in batches:
        assert batch.tokens <= max(budget, longest)
        assert int(batch.position_ids.max()) < longest


def test_nothing_to_lay_out() -> None:
    assert pack([], [], 10) == []
