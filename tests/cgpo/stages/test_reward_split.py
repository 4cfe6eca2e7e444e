"""Rows of several heads are split together; bad labels and ratings are refused."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from cgpo.config import PointwiseHeadSettings, RegressionHeadSettings
from cgpo.errors import DataError
from cgpo.stages.reward_model.encoding import describe_head
from cgpo.stages.reward_model.rows import HeadRows, RewardRow, label, rating, read_text_rows
from cgpo.stages.reward_model.split import split_rows

LOVE = PointwiseHeadSettings(objective="pointwise", path="rows.jsonl")
QUALITY = RegressionHeadSettings(objective="regression", path="rows.jsonl")


def row(prompt: str, response: str = "a", target: float = 0.0, copies: int = 1, heldout: bool = False) -> RewardRow:
    return RewardRow(({"role": "user", "content": prompt},), (response,), target, copies, heldout)


def prompts(rows: list[RewardRow]) -> set[str]:
    return {row.key for row in rows}


def test_no_prompt_stands_on_two_sides_of_all_heads_together() -> None:
    first = [row(f"p{i}", f"a{j}") for i in range(40) for j in range(2)]
    second = [row(f"p{i}", "b") for i in range(20, 60)]
    found = split_rows(
        {"a": HeadRows(first), "b": HeadRows(second)}, {"a": 0.1, "b": 0.3}, seed=3, validation_share=0.2
    )
    sides = [set[str](), set[str](), set[str]()]
    for split in found.values():
        for side, rows in zip(sides, (split.train, split.validation, split.heldout), strict=True):
            side |= prompts(rows)
            assert rows
    assert len(set.union(*sides)) == sum(map(len, sides)) == 60
    assert sum(len(r) for r in (found["a"].train, found["a"].validation, found["a"].heldout)) == 80
    assert len(found["b"].heldout) >= 12  # its own share, and what the other head holds out


def test_heads_of_the_same_prompts_hold_out_no_more_than_the_largest_share() -> None:
    pairs = [row(f"p{i}", "a", heldout=i % 5 == 0) for i in range(100)]
    graded = [row(f"p{i}", "b") for i in range(100)]
    more = [row(f"p{i}", "c") for i in range(50, 150)]
    heads = {"rated": HeadRows(graded), "pairs": HeadRows(pairs), "more": HeadRows(more)}
    found = split_rows(heads, {"rated": 0.1, "more": 0.1}, seed=7)
    # The pairs' 20 hold the 10 of either other head: nobody loses more than that.
    assert prompts(found["pairs"].heldout) == {row(f"p{i}").key for i in range(0, 100, 5)}
    assert prompts(found["rated"].heldout) == prompts(found["pairs"].heldout)
    assert len(found["more"].heldout) == 10


def test_a_split_in_time_is_kept_but_what_is_held_out_is_not_trained_on() -> None:
    feedback = [row("Hi", "Hello!"), row("Hi", "Good day."), row("Bye", "Bye!"), row("Hi", "Hello!", heldout=True)]
    pairs = [row("Hi", "Hello!"), row("Why", "x"), row("Bye", "y", heldout=True)]
    found = split_rows({"love": HeadRows(feedback, by_prompt=False), "help": HeadRows(pairs)}, {}, seed=0)
    love = found["love"]
    # "Hello!" is held out here; the prompt "Bye" is held out by the other head
    assert [r.responses for r in love.train] == [("Good day.",)]
    assert (len(love.heldout), love.leaked, love.shared_prompts) == (1, 2, 1)
    # the other head does not learn from what this one measures on, either
    assert [r.responses for r in found["help"].train] == [("x",)]
    assert found["help"].leaked == 1


def test_one_prompt_cannot_be_split() -> None:
    with pytest.raises(DataError, match=r"head love: 1 different prompt\(s\): at least 2"):
        split_rows({"love": HeadRows([row("p", "a"), row("p", "b")])}, {"love": 0.1}, seed=0)


def test_nothing_left_to_train_on() -> None:
    heads = {"a": HeadRows([row("p", heldout=True), row("q")]), "b": HeadRows([row("p"), row("r", heldout=True)])}
    with pytest.raises(DataError, match=r"head b: 0 training and 2 held-out rows.*held out, here or elsewhere"):
        split_rows(heads, {}, seed=0)


@pytest.mark.parametrize("value", [0, 1, "0", "1", True, False, "true", "FALSE", 1.0])
def test_labels_in_their_usual_forms(value: object) -> None:
    assert label(value, "r", "label") == float(str(value).lower() in ("1", "true", "1.0"))


@pytest.mark.parametrize("value", [2, -1, 0.5, None, "yes", math.nan, [1]])
def test_other_labels_are_refused(value: object) -> None:
    with pytest.raises(DataError, match=r"rows.jsonl row 3: 'label' must be 0 or 1, or false or true; got"):
        label(value, "rows.jsonl row 3", "label")


@pytest.mark.parametrize("value", [math.nan, math.inf, "nan", "1e999", 1e200, 10**400, "good", None, True])
def test_other_ratings_are_refused(value: object) -> None:
    with pytest.raises(DataError, match=r"r: 'rating' must be a"):
        rating(value, "r", "rating")


def test_one_class_only() -> None:
    with pytest.raises(DataError, match=r"heads.love: 0 of 7 training rows are positive"):
        describe_head("love", LOVE, [row("p", copies=3), row("q", copies=4)], None)


def test_rates_from_the_rows_that_are_trained_on() -> None:
    rows = [row("p", target=1.0, copies=5), row("q"), row("r", copies=15)]
    assert describe_head("love", LOVE, rows, 0.02).training_rate == 5 / 21
    assert describe_head("love", LOVE, rows, 0.02).true_rate == 0.02
    assert describe_head("love", LOVE, rows, None).true_rate == 5 / 21  # nobody says: no shift
    given = LOVE.model_copy(update={"true_rate": 0.1})
    assert describe_head("love", given, rows, None).true_rate == 0.1


def test_ratings_without_variance() -> None:
    with pytest.raises(DataError, match=r"all 2 training ratings are 4.*'rating' the right column"):
        describe_head("quality", QUALITY, [row("p", target=4.0), row("q", target=4.0)], None)
    found = describe_head("quality", QUALITY, [row("p", target=1.0), row("q", target=4.0)], None)
    assert (found.mean, found.std) == (2.5, 1.5)


def test_bad_rows_are_named_or_left_out(tmp_path: Path) -> None:
    rows = [
        {"prompt": "p", "response": "a", "label": 1},
        {"prompt": "p", "response": " ", "label": 1},
        {"prompt": "p", "response": "b", "label": "maybe"},
        {"prompt": "p", "response": "c", "lable": 0},
    ]
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps(r) + "\n" for r in rows))
    head = LOVE.model_copy(update={"path": str(file)})
    with pytest.raises(DataError, match=r"(?s)3 of 4 rows.*response is empty.*got 'maybe'.*Did you mean 'lable'"):
        read_text_rows(head, "reward_stage.heads.love")
    kept = read_text_rows(head.model_copy(update={"bad_rows": "drop"}), "reward_stage.heads.love")
    assert ([r.responses for r in kept.rows], len(kept.bad)) == ([("a",)], 3)
