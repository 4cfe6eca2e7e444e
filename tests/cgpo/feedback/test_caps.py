"""Caps, and which texts are nearly the same."""

from __future__ import annotations

import numpy as np
import pytest
from feedback_tables import row, table

from cgpo.feedback.logs.near_duplicates import group, signature
from cgpo.feedback.preparation.contribution import caps, over_cap
from cgpo.feedback.settings import CapSettings

LONG = (
    "I am so glad that your garden does well this year. Tomatoes like warm nights and a lot of water in the morning, "
    "and a little shade at noon does no harm. Tell me how they taste when the first ones are red, will you?"
)


def groups(*texts: str) -> list[int]:
    return group(np.stack([signature(text) for text in texts])).tolist()


def test_near_duplicates_are_one_group() -> None:
    again = LONG.replace("noon", "midday")
    assert groups("something else entirely, my friend", LONG, again, LONG.upper().replace(",", "")) == [0, 1, 1, 1]


def test_different_texts_are_not() -> None:
    assert groups("You are welcome!", "You are very kind!", "🎉", "❤", "") == [0, 1, 2, 3, 4]


def test_short_texts_are_equal_by_their_words() -> None:
    assert groups("Bye!", "bye", "Bye bye", "🎉", " 🎉 ") == [0, 0, 2, 3, 3]


def test_the_resemblance_is_estimated_without_bias() -> None:
    """Of the union of two texts' word runs a known share is common: the mean estimate over 200 pairs is that share."""
    rng = np.random.default_rng(0)
    estimates = []
    for _ in range(200):
        words = [f"w{n}" for n in rng.integers(0, 10**9, 42)]
        # 40 runs of three words; the other text lacks the last 10 words: 30 runs in common, 40 in the union.
        a, b = signature(" ".join(words)), signature(" ".join(words[:-10]))
        estimates.append((a == b).mean())
    assert np.mean(estimates) == pytest.approx(0.75, abs=0.02)


def test_over_cap() -> None:
    over = over_cap(np.array([5, 5, -1, 5, 7, -1, 5]), np.array([3, 1, 0, 2, 9, 0, 4]), 2)
    assert over.tolist() == [True, False, False, False, False, False, True]
    assert not over_cap(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64), 2).any()


def test_each_cap_in_turn() -> None:
    rows = [row("the same text for all", 0, n, f"u{n}") for n in range(1, 5)]  # capped at 3
    rows += [row(f"a text of its own, the number is {n} {n * n}", int(n < 14), n, "heavy") for n in range(10, 20)]
    rows += [row(f"without a user {n} {n * 7} {n * 11}", 1, n) for n in range(30, 40)]
    log = table(rows)
    found = {r: log.time[m].tolist() for r, _, m in caps(log, CapSettings(8, 2, 3, "newest"), seed=0)}
    assert found == {
        "cap: near-duplicates": [1.0],
        "cap: rows of a user": [10.0, 11.0],
        "cap: positives of a user": [],  # 12 and 13 are left, both allowed
    }
    found = {r: log.time[m].tolist() for r, _, m in caps(log, CapSettings(None, 2, None, "newest"), seed=0)}
    assert found == {"cap: positives of a user": [10.0, 11.0]}


def test_what_stays_at_random_follows_from_the_seed() -> None:
    log = table([row(f"text number {n} of {n * n}", 0, n, "u") for n in range(1, 41)])
    kept = {}
    for seed in (0, 0, 1):
        ((_, _, over),) = caps(log, CapSettings(5, None, None), seed)
        again = kept.setdefault(seed, over.tolist())
        assert again == over.tolist()
    assert kept[0] != kept[1]
