"""The split in time, and what may not be on both sides of it."""

from __future__ import annotations

import pytest
from feedback_tables import row, table

from cgpo.errors import DataError
from cgpo.feedback.preparation.split import split
from cgpo.feedback.settings import SplitSettings


def test_rows_of_one_time_are_on_one_side() -> None:
    log = table([row(f"r{n}", n % 2, time) for n, time in enumerate([1, 2, 3, 4, 5, 5, 5, 9, 10, 11])])
    found = split(log, SplitSettings(heldout_share=0.4))  # the first held-out row would be the second of time 5
    assert log.time[found.heldout].tolist() == [5, 5, 5, 9, 10, 11]
    assert log.time[found.train].tolist() == [1, 2, 3, 4]


def test_a_given_time_begins_the_heldout_rows_and_the_gap_is_on_neither_side() -> None:
    log = table([row(f"r{n}", n % 2, n) for n in range(1, 11)])
    found = split(log, SplitSettings(heldout_from=8, gap=3))
    assert log.time[found.train].tolist() == [1, 2, 3, 4]
    assert log.time[found.gap].tolist() == [5, 6, 7]
    assert log.time[found.heldout].tolist() == [8, 9, 10]


def test_a_conversation_is_on_one_side() -> None:
    turn = ("Hi", "Hello!")
    early = [
        row("again", 0, 1, prompt="p"),  # the same prompt and response as a held-out row
        row("Hello!", 0, 2, prompt="Hi"),  # the beginning of a held-out conversation
        row("longer", 0, 3, prompt="q", before=(("p2", "short"),)),  # goes on from a held-out one
        row("by id", 0, 4, conversation="c1"),
        row("Hello!", 1, 5, prompt="Hi there"),  # another conversation with an equal response
        row("own", 0, 6, prompt="Hi", before=(("Hi", "Hullo!"),), conversation="c2"),  # another branch
    ]
    late = [
        row("again", 1, 11, prompt="p"),
        row("next", 0, 12, prompt="And?", before=(turn,)),
        row("short", 0, 13, prompt="p2"),
        row("other", 0, 14, conversation="c1"),
    ]
    log = table(early + late)
    found = split(log, SplitSettings(heldout_from=10))
    assert log.time[found.shared].tolist() == [1, 2, 3, 4]
    assert log.time[found.train].tolist() == [5, 6]
    assert log.time[found.period].tolist() == [1, 2, 3, 4, 5, 6]  # p₀ is measured on all of them


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (SplitSettings(heldout_from=99), "no held-out rows"),
        (SplitSettings(heldout_from=1), "no training rows"),
        (SplitSettings(heldout_from=8, gap=20), "no training rows"),
        (SplitSettings(heldout_from=3), "training rows have reactions of one class only: 0 positive, 2 not"),
    ],
)
def test_an_empty_side_or_one_class_is_refused(settings: SplitSettings, words: str) -> None:
    log = table([row(f"r{n}", n >= 3, n) for n in range(1, 11)])
    with pytest.raises(DataError, match=words):
        split(log, settings)


def test_all_rows_at_one_time_cannot_be_split() -> None:
    with pytest.raises(DataError, match="no training rows"):
        split(table([row(f"r{n}", n % 2, 5) for n in range(10)]), SplitSettings())


def test_a_log_of_one_conversation_says_why_nothing_is_left() -> None:
    log = table([row("a", n % 2, n, prompt="p") for n in range(1, 11)])
    with pytest.raises(DataError, match="the conversations of all 5 rows of the training period are also held out"):
        split(log, SplitSettings(heldout_share=0.5))
