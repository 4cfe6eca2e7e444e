"""One data set for several strata: rows by the values of their columns."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cgpo.config import PromptSettings
from cgpo.data.prompts import load_prompts
from cgpo.errors import DataError

ROWS = [
    {"prompt": "a", "task": "math", "level": 1, "hard": True},
    {"prompt": "b", "task": "chat", "level": 2, "hard": False},
    {"prompt": "c", "task": "math", "level": 3},
    {"prompt": "d", "task": "math", "level": 2, "hard": False},
]


def texts(path: Path, **settings: Any) -> list[str]:
    chosen = PromptSettings.model_validate({"path": str(path), **settings})
    found = load_prompts(chosen, stratum="math", heldout=False, seed=0, lacks=lambda metadata: {})
    return [prompt.text for prompt in found]


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return file


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ({"task": "math"}, ["a", "c", "d"]),
        ({"task": "math", "level": [2, 3]}, ["c", "d"]),
        ({"hard": False}, ["b", "d"]),
        ({"level": 1}, ["a"]),  # and not True
        ({"hard": None}, ["c"]),
    ],
)
def test_rows_with_these_values_are_taken(rows: Path, where: dict[str, Any], expected: list[str]) -> None:
    assert texts(rows, where=where) == expected


def test_size_counts_what_is_taken(rows: Path) -> None:
    assert texts(rows, where={"task": "math"}, size=2) == ["a", "c"]
    with pytest.raises(DataError, match=r"4 prompts asked for, but .* has 3 rows where"):
        texts(rows, where={"task": "math"}, size=4)


def test_a_csv_has_no_types(tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_text("prompt,level,hard\na,3,true\nb,4,false\n")
    assert texts(file, where={"level": 3}) == ["a"]
    assert texts(file, where={"hard": False}) == ["b"]


def test_what_there_is_instead_is_named(rows: Path) -> None:
    with pytest.raises(DataError) as caught:
        texts(rows, where={"task": "maths"})
    for expected in ("strata.math.prompts.where", "task = 'maths'", "'math' (3 rows)", "'chat' (1 rows)"):
        assert expected in str(caught.value)
    with pytest.raises(DataError, match="Did you mean 'task'"):
        texts(rows, where={"tsk": "math"})
    with pytest.raises(DataError, match="Did you mean 'task'"):
        texts(rows, where={"tsk": None})  # no row has it, which is not the same as null in every row


def test_a_generator_has_no_columns() -> None:
    with pytest.raises(ValueError, match="`where` belongs to a data set"):
        PromptSettings.model_validate({"generator": "math", "size": 3, "where": {"task": "math"}})
