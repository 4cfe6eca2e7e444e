"""What a log's cells mean."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from cgpo.feedback.logs.rows import Reactions
from cgpo.feedback.values import BadRowError, id_of, seconds_of

NOON = 1_747_224_000.0
"""14 May 2025, 12:00 UTC; `date -u -d 2025-05-14T12:00:00 +%s`."""


@pytest.mark.parametrize(
    ("value", "label"),
    [(True, 1), (False, 0), (1, 1), (0, 0), (1.0, 1), (None, 0), ("true", 1), ("0", 0), ("1", 1), (" FALSE ", 0)],
)
def test_reactions_without_words(value: Any, label: int) -> None:
    assert Reactions(()).label(value) == label


@pytest.mark.parametrize("value", ["love", 2, -1, 0.5, float("nan"), [], {}, ""])
def test_what_is_no_reaction_is_said_and_never_taken_for_none(value: Any) -> None:
    with pytest.raises(BadRowError, match="reaction not understood"):
        Reactions(()).label(value)


def test_words_are_positive_when_named_and_other_words_are_other_reactions() -> None:
    reactions = Reactions(("Love", "heart"))
    assert [reactions.label(word) for word in ("love", "HEART ", "like", None, True)] == [1, 1, 0, 0, 1]
    assert reactions.counts["'like'"] == 1


def test_the_nearest_word_is_named() -> None:
    reactions = Reactions(("love",))
    for word in ("loved", "haha"):
        reactions.label(word)
    assert "'loved' instead of 'love'" in reactions.nearest_positive()


@pytest.mark.parametrize(
    "value",
    [
        "2025-05-14T12:00:00Z",
        "2025-05-14T14:00:00+02:00",
        "2025-05-14 12:00:00",
        int(NOON),
        NOON,
        str(int(NOON)),
        datetime.datetime(2025, 5, 14, 12),
        datetime.datetime(2025, 5, 14, 12, tzinfo=datetime.UTC),
    ],
)
def test_times(value: Any) -> None:
    assert seconds_of(value) == NOON


def test_milliseconds() -> None:
    assert seconds_of(NOON * 1000, milliseconds=True) == NOON


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "time missing"),
        ("", "time missing"),
        ("yesterday", "time unreadable"),
        ("2025-13-01", "time unreadable"),
        (float("nan"), "time unreadable"),
        ("inf", "time unreadable"),
        (-5, "time unreadable"),
        (10**400, "time unreadable"),
        (True, "time unreadable"),
        ([], "time unreadable"),
    ],
)
def test_times_that_are_none(value: Any, reason: str) -> None:
    with pytest.raises(BadRowError) as caught:
        seconds_of(value)
    assert caught.value.reason == reason


def test_ids_are_text_or_whole_numbers() -> None:
    assert [id_of(value, "user") for value in ("ann", 17, None)] == ["ann", "17", None]
    for value in (1.5, True, "", " ", ["ann"], "\ud800"):
        with pytest.raises(BadRowError, match="user not text"):
            id_of(value, "user")
