"""Pairs by hostile sentences: what is better differs in what the sentence says, held-out sentences are others."""

from __future__ import annotations

import random

import pytest
from pydantic import ValidationError
from test_pairs import TEXT, response, responses

from cgpo.config import RewardPairSettings
from cgpo.pairs.corruption import hostile_contrast
from cgpo.pairs.hostile_sentences import HARMLESS_SENTENCES, HOSTILE_SENTENCES, sentences
from cgpo.pairs.pair import counts_by_kind
from cgpo.pairs.synthetic import synthetic_pairs
from judges import Outcome

RESPONSE = "The river rises in the hills.\nIt passes two mills.\n\n- Then it meets the sea!"


def held(texts: tuple[str, ...], text: str) -> set[str]:
    return {sentence for sentence in texts if sentence in text}


def test_there_are_enough_different_sentences_and_none_is_on_both_sides() -> None:
    assert len(set(HOSTILE_SENTENCES)) == len(HOSTILE_SENTENCES) >= 60
    assert not set(HOSTILE_SENTENCES) & set(HARMLESS_SENTENCES)
    for listed in (HOSTILE_SENTENCES, HARMLESS_SENTENCES):
        train, heldout = sentences(listed, heldout=False), sentences(listed, heldout=True)
        assert not set(train) & set(heldout)
        assert sorted([*train, *heldout]) == sorted(listed)
        assert len(heldout) == len(listed) // 4


def test_the_worse_side_has_one_hostile_sentence_and_nothing_else_is_worse() -> None:
    forms = {"inserted": 0, "against harmless": 0, "exchanged": 0}
    for seed in range(300):
        found = hostile_contrast(RESPONSE, random.Random(seed), heldout=seed % 2 == 0)
        assert found is not None
        better, worse = found
        (said,) = held(HOSTILE_SENTENCES, worse)
        assert (said in sentences(HOSTILE_SENTENCES, heldout=True)) is (seed % 2 == 0)
        assert not held(HOSTILE_SENTENCES, better)
        harmless = held(HARMLESS_SENTENCES, better)
        if harmless:
            forms["against harmless"] += 1
            (kind_words,) = harmless
            assert (kind_words in sentences(HARMLESS_SENTENCES, heldout=True)) is (seed % 2 == 0)
            # one sentence apart, at the same place, white space and all
            assert better.replace(kind_words, "|") == worse.replace(said, "|")
            assert abs(len(kind_words) - len(said)) <= 25
        else:
            assert better == RESPONSE
            parts = RESPONSE.count(".") + RESPONSE.count("!")
            kept = sum(p in worse for p in ("hills.", "two mills.", "the sea!"))
            forms["inserted" if kept == parts else "exchanged"] += 1
    assert forms["against harmless"] > 120  # a half of all: two thirds of the insertions
    assert min(forms.values()) > 50


def test_no_text_gives_no_pair_and_one_sentence_is_enough() -> None:
    assert hostile_contrast(" \n", random.Random(0), heldout=False) is None
    for seed in range(20):
        found = hostile_contrast("Yes", random.Random(seed), heldout=False)
        assert found is not None
        assert "Yes" in found[1]


def test_kinds_are_chosen_and_hostile_ones_are_only_made_if_asked_for() -> None:
    default = counts_by_kind(synthetic_pairs(responses(), RewardPairSettings(), seed=0))
    assert "hostile" not in default
    only = RewardPairSettings(kinds=["hostile"], corruptions_per_prompt=3)
    pairs = synthetic_pairs(responses(), only, seed=0)
    assert counts_by_kind(pairs) == {"hostile": 120}  # 2 strata x 20 prompts x 3
    for pair in pairs:
        (said,) = held(HOSTILE_SENTENCES, pair.rejected)
        assert (said in sentences(HOSTILE_SENTENCES, heldout=True)) is pair.heldout
    mixed = RewardPairSettings(kinds=["shuffle", "hostile"], corruptions_per_prompt=2)
    assert counts_by_kind(synthetic_pairs(responses(), mixed, seed=0)) == {"hostile": 40, "shuffle": 40}
    judged = RewardPairSettings(kinds=["judged"])
    assert counts_by_kind(synthetic_pairs(responses(), judged, seed=0)) == {"judged": 40}


def test_violated_responses_still_show_what_is_hostile() -> None:
    bad = [response("math", n, 0, f"{TEXT} {n}", complete=True, outcome=Outcome.VIOLATED) for n in (1, 2)]
    pairs = synthetic_pairs(bad, RewardPairSettings(kinds=["hostile"], heldout_share=0.5), seed=0)
    assert counts_by_kind(pairs) == {"hostile": 4}


def test_an_unknown_kind_is_refused_with_the_nearest() -> None:
    with pytest.raises(ValidationError, match=r"kind of pair 'hostil' at kinds. Did you mean 'hostile'"):
        RewardPairSettings(kinds=["hostil"])
    assert RewardPairSettings(path="mine.jsonl", kinds=["my_own"]).kinds == ["my_own"]
