"""Held-out prompts found among those to train on: shares counted by hand."""

from __future__ import annotations

from cgpo.data.overlap import Overlap, heldout_overlaps, words_of
from judges import Message

LONG = "one two three four five six seven eight nine ten eleven twelve"  # 12 words: 5 8-grams


def prompt(text: str) -> tuple[Message, ...]:
    return ({"role": "user", "content": text},)


def found(training: list[str], heldout: list[str], *, share: float = 0.7, common: int = 10) -> list[Overlap]:
    return heldout_overlaps(
        [prompt(t) for t in training], [prompt(h) for h in heldout], words=8, share=share, common=common
    )


def test_words_are_case_and_space_blind_and_marks_count() -> None:
    assert words_of(prompt("What is\n3 + 4?")) == ("what", "is", "3", "+", "4", "?")
    assert words_of(({"role": "system", "content": "Be brief."}, *prompt("Hi"))) == ("hi",)


def test_the_same_words_are_exact_however_short() -> None:
    assert found(["Hello!", "hi"], ["hello !"]) == [Overlap(0, 0, 1.0, exact=True)]
    assert found(["what is 3 + 4"], ["what is 3 - 4"]) == []


def test_the_share_is_that_of_the_held_out_prompts_ngrams() -> None:
    # the first eleven of its words hold 4 of its 5 8-grams, the first ten hold 3
    eleven, ten = LONG.rpartition(" ")[0], LONG.rpartition(" ")[0].rpartition(" ")[0]
    assert found([f"please say {eleven} and stop", f"say {ten}"], [LONG]) == [Overlap(0, 0, 0.8, exact=False)]
    assert [o.share for o in found([ten], [LONG], share=0.6)] == [0.6]
    # a short training prompt in a long held-out one holds few of its 8-grams
    assert found([eleven], [f"{LONG} {LONG.upper()} thirteen fourteen fifteen sixteen"]) == []


def test_the_nearest_held_out_prompt_is_named() -> None:
    other = LONG.replace("one", "uno")  # shares 4 of its 5 8-grams with LONG
    assert found([f"say {LONG}"], [other, LONG]) == [Overlap(0, 1, 1.0, exact=False)]


def test_what_many_prompts_share_is_not_counted() -> None:
    wish = "and end your response with the final answer is and the number please"
    training = [f"what is {n} plus {n} {wish}" for n in range(11)]
    # eleven prompts have the wish: its 8-grams, more than a third of the held-out prompt's, say nothing of a sum
    assert found(training, [f"what is 99 plus 99 {wish}"], share=0.3) == []
    # of so few it cannot be told: 6 of the 11 8-grams are the wish's alone
    assert [o.index for o in found(training[:2], [f"what is 99 plus 99 {wish}"], share=0.3)] == [0, 1]
    assert found(training[:3], [f"what is 99 plus 99 {wish}"], share=0.3) == []
    assert [o.exact for o in found(training, [training[3]])] == [True]
