"""Pairs from ratings and from the best of several responses; cleaning; held-out prompts. Expected pairs by hand."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from cgpo.compose import compose
from cgpo.config import ContaminationSettings, PairDataSettings, RewardPairSettings
from cgpo.data.contamination import HeldoutPrompt
from cgpo.errors import DataError
from cgpo.pairs.cleaning import clean_pairs
from cgpo.pairs.pair import PreferencePair
from cgpo.pairs.rows import PairData, read_preference_rows
from cgpo.stages.reward_model.sources import HeadSources
from cgpo.tracking.progress import StageProgress

ASKED = ({"role": "user", "content": "q"},)


def read(tmp_path: Path, rows: list[dict[str, Any]], heldout: Any = (), **more: Any) -> PairData:
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    settings = PairDataSettings(path=str(file), heldout_share=0.5, **more)
    return read_preference_rows(settings, seed=0, where="dpo_stage.data", heldout=heldout)


def texts(found: PairData) -> list[tuple[str, str, str, float]]:
    return [(p.prompt[-1]["content"], p.chosen, p.rejected, p.margin) for p in found.pairs]


def rated(prompt: str, *ratings: tuple[str, Any]) -> list[dict[str, Any]]:
    return [{"prompt": prompt, "response": text, "rating": rating} for text, rating in ratings]


def test_ratings_of_one_prompt_make_pairs_with_their_difference(tmp_path: Path) -> None:
    # the rows of a prompt need not stand together, and a prompt may be text or messages
    rows = rated("q", ("good", 4.5), ("bad", 1)) + rated("other", ("a", 2), ("b", "3.5")) + rated("lonely", ("x", 1))
    rows.append({"prompt": [{"role": "user", "content": "q"}], "response": "middling", "rating": 3})
    found = read(tmp_path, rows, form="ratings")
    assert texts(found) == [
        ("q", "good", "bad", 3.5),
        ("q", "middling", "bad", 2.0),
        ("q", "good", "middling", 1.5),
        ("other", "b", "a", 1.5),
    ]
    assert found.left_out["without_contrast"] == 1
    assert found.lines("here") == [
        "here: 1 prompts make no pair: their responses are graded alike, or there is only one"
    ]
    assert {p.kind for p in found.pairs} == {"rated"}
    assert found.sources[0].endswith("rows.jsonl row 1 and " + found.sources[0].rpartition(" and ")[2])


def test_small_differences_and_more_than_asked_for_make_no_pairs(tmp_path: Path) -> None:
    rows = rated("q", ("good", 4.5), ("bad", 1), ("middling", 3)) + rated("other", ("a", 1), ("b", 3))
    assert len(read(tmp_path, rows, form="ratings", min_rating_difference=2.0).pairs) == 3
    one = read(tmp_path, rows, form="ratings", pairs_per_prompt=1)
    assert texts(one) == [("q", "good", "bad", 3.5), ("other", "b", "a", 2.0)]


@pytest.mark.parametrize(
    ("grades", "expected"),
    [
        ({"scores": [0.5, 2.0, -1]}, [("b", "c", 3.0), ("a", "c", 1.5), ("b", "a", 1.5)]),
        ({"ranks": [2, 1, 3]}, [("b", "c", 0.0), ("a", "c", 0.0), ("b", "a", 0.0)]),
        ({"best": 1}, [("b", "a", 0.0), ("b", "c", 0.0)]),
        ({"ranks": [1, 1, 2]}, [("a", "c", 0.0), ("b", "c", 0.0)]),
    ],
)
def test_best_of_n(tmp_path: Path, grades: dict[str, Any], expected: list[tuple[str, str, float]]) -> None:
    rows = [{"prompt": p, "responses": ["a", "b", "c"], **grades} for p in ("q", "other")]
    found = texts(read(tmp_path, rows, form="best_of_n"))
    assert sorted(f[1:] for f in found if f[0] == "q") == sorted(expected)


@pytest.mark.parametrize(
    ("row", "form", "message"),
    [
        (
            {"prompt": "q", "response": "a", "ratng": 1},
            "ratings",
            r"unknown column 'rating' at .*row 3. Did you mean 'ratng'",
        ),
        (
            {"prompt": "q", "response": "a", "rating": "high"},
            "ratings",
            r"'rating' must be a finite number; got 'high'",
        ),
        ({"prompt": "q", "response": "a", "rating": True}, "ratings", r"'rating' must be a finite number; got True"),
        ({"prompt": "q", "response": "a", "rating": 10**400}, "ratings", r"'rating' must be a finite number"),
        ({"prompt": "q", "response": " ", "rating": 1}, "ratings", r"'response' is empty"),
        ({"prompt": "q", "responses": ["a"], "best": 0}, "best_of_n", r"'responses' must be a list of at least two"),
        ({"prompt": "q", "responses": ["a", "b"], "best": 2}, "best_of_n", r"'best' must be a position from 0 to 1"),
        ({"prompt": "q", "responses": ["a", "b"], "scores": [1]}, "best_of_n", r"'scores' must be a list of at least"),
        ({"prompt": "q", "responses": ["a", "b"], "scores": [1, 2, 3]}, "best_of_n", r"3 scores for 2 responses"),
        ({"prompt": "q", "responses": ["a", "b"]}, "best_of_n", r"exactly one of 'scores', 'ranks', 'best'.*none"),
        ({"prompt": "q", "responses": ["a", "b"], "best": 0, "ranks": [1, 2]}, "best_of_n", r"it has 'ranks', 'best'"),
    ],
)
def test_what_is_no_grade(tmp_path: Path, row: dict[str, Any], form: str, message: str) -> None:
    good = {
        "ratings": [*rated("p", ("a", 1), ("b", 2))],
        "best_of_n": [{"prompt": p, "responses": ["a", "b"], "best": 0} for p in ("p", "r")],
    }[form]
    with pytest.raises(DataError, match=message):
        read(tmp_path, [*good, row], form=form)


def test_pairs_of_one_prompt_cannot_be_split(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"dpo_stage\.data: 1 different prompt\(s\): at least 2 are needed"):
        read(tmp_path, rated("q", ("good", 4), ("bad", 1)), form="ratings")


def test_options_of_another_form_are_refused_and_both_stages_have_the_same() -> None:
    with pytest.raises(ValidationError, match="`form` is pairs"):
        PairDataSettings(pairs_per_prompt=2)
    asked = RewardPairSettings(path="x.jsonl", form="ratings", rating_column="stars", min_rating_difference=1.0)
    data = asked.as_data()
    assert (data.path, data.form, data.rating_column, data.min_rating_difference) == ("x.jsonl", "ratings", "stars", 1)


def pair(chosen: str, rejected: str) -> PreferencePair:
    return PreferencePair(ASKED, chosen, rejected)


def test_cleaning_by_hand() -> None:
    given = [
        pair("a", "b"),
        pair("same ", " same"),
        pair("a ", "b\n"),  # the first again, but for white space
        pair("x", "y"),
        pair("y", "x"),  # and the other way round: neither is kept
        pair("x", "y"),
        pair("a", "c"),
    ]
    cleaned = clean_pairs(given)
    assert cleaned.pairs == [pair("a", "b"), pair("a", "c")]
    assert cleaned.positions == [0, 6]
    assert cleaned.left_out == {"equal": 1, "duplicates": 1, "contradictions": 3}


def test_the_same_texts_to_another_prompt_are_no_duplicate() -> None:
    other = PreferencePair(({"role": "user", "content": "another"},), "b", "a")
    assert clean_pairs([pair("a", "b"), other]).pairs == [pair("a", "b"), other]


def test_pairs_of_held_out_prompts_are_left_out_or_refused(tmp_path: Path) -> None:
    rows = [{"prompt": p, "chosen": "a", "rejected": "b"} for p in ("What is  3 + 4?", "What is 3 - 4?", "Hello.")]
    held = [HeldoutPrompt(({"role": "user", "content": "what is 3 + 4?"},), "strata.math.heldout, item 1")]
    found = read(tmp_path, rows, heldout=held)
    assert [p.prompt[0]["content"] for p in found.pairs] == ["What is 3 - 4?", "Hello."]
    assert found.left_out["contaminated"] == 1
    assert found.lines("here") == [
        "here: left out: 1 prompts are held-out prompts too: 1 word for word, 0 nearly\n"
        f"  pairs {found.contaminated[0].prompt_id}: 100% of strata.math.heldout, item 1"
    ]
    with pytest.raises(DataError, match=r"dpo_stage\.data\.contamination: prompts to train on are held-out prompts"):
        read(tmp_path, rows, heldout=held, contamination=ContaminationSettings(action="stop"))
    assert len(read(tmp_path, rows, heldout=held, contamination=ContaminationSettings(action="off")).pairs) == 3


def test_a_file_of_held_out_prompts(tmp_path: Path) -> None:
    rows = [{"prompt": p, "chosen": "a", "rejected": "b"} for p in ("one", "two", "three")]
    bench = tmp_path / "bench.jsonl"
    bench.write_text('{"prompt": "Two"}\n')
    found = read(tmp_path, rows, contamination=ContaminationSettings(heldout=[str(bench)]))
    assert [p.prompt[0]["content"] for p in found.pairs] == ["one", "three"]
    bench.write_text('{"promt": "Two"}\n')
    with pytest.raises(DataError, match=r"unknown column 'prompt'.*'promt'"):
        read(tmp_path, rows, contamination=ContaminationSettings(heldout=[str(bench)]))


def test_the_reward_stage_reads_them_in_the_same_way(tmp_path: Path) -> None:
    rows = (
        rated("q", ("good", 4.5), ("bad", 1)) + rated("other", ("a", 2), ("b", 3)) + rated("bench", ("a", 2), ("b", 3))
    )
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "bench.jsonl").write_text('{"prompt": "Bench"}\n')
    pairs = {
        "path": tmp_path / "rows.jsonl",
        "form": "ratings",
        "heldout_share": 0.5,
        "contamination.heldout": f"[{tmp_path / 'bench.jsonl'}]",
    }
    words = [f"reward_stage.pairs.{key}={value}" for key, value in pairs.items()]
    used = compose([f"run_dir={tmp_path / 'run'}", "model.name=smollm2", *words], needs_strata=False).settings
    (tmp_path / "run").mkdir()
    progress = StageProgress("plain", stream=(said := io.StringIO()))
    found = HeadSources(used, tmp_path / "run", progress).rows("reward", used.reward_stage.all_heads()["reward"])
    assert sorted((row.responses, row.target) for row in found.rows) == [(("b", "a"), 1.0), (("good", "bad"), 3.5)]
    assert sorted(row.heldout for row in found.rows) == [False, True]
    assert "1 prompts are held-out prompts too: 1 word for word" in said.getvalue()
